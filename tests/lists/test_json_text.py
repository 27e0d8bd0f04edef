"""JSON text: documents, each on lines of its own, with the lines of their values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docker_charon.lists.json_text import InvalidJSON, read_json
from docker_charon.lists.tree import Mapping, Node, Scalar, Style

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=5), below),
    max_leaves=12,
)


def as_value(node: Node | None) -> Any:
    if isinstance(node, Scalar):
        return node.text if node.style is Style.QUOTED else json.loads(node.text)
    if isinstance(node, Mapping):
        return {key: as_value(value) for key, value in node.entries}
    return [as_value(item) for item in node.items] if node else None


@given(st.lists(st.lists(VALUES, max_size=4), max_size=3), st.sampled_from([None, 0, 4]))
@settings(max_examples=200, deadline=None)
def test_documents_are_read_as_the_standard_library_reads_them(
    values: list[Any], indent: int | None
) -> None:
    text = "\n".join(json.dumps(value, indent=indent, ensure_ascii=False) for value in values)
    text = text.replace("\\r", "\\u000d")
    assert [as_value(document.root) for document in read_json(text.split("\n"))] == values


def test_each_value_has_its_line() -> None:
    (first, second) = read_json(['{"a":', ' {"b": "c"}}', "", '{"d": 1}'])
    assert isinstance(first.root, Mapping)
    assert isinstance(second.root, Mapping)
    assert [node.line for _, node in first.root.mapping("a").entries] == [2]
    assert second.root.line == 4


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["{", '"a": [1, 2'], 2),
        (['{"a": 1}', '{"a": 1,}'], 2),
        (['{"a": 1}', "text"], 2),
        (["{a: 1}"], 1),
        (["{'a': 1}"], 1),
        (['{"a": 1} # comment'], 1),
        (['{"a": 1}, {"b": 2}'], 1),
        (['["a', 'b"]'], 1),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(lines: list[str], line: int) -> None:
    with pytest.raises(InvalidJSON) as caught:
        read_json(lines)
    assert caught.value.line == line
