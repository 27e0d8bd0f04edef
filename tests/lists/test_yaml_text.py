"""YAML text: what is read is what a complete reader of YAML reads, and what is not read is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from docker_charon.lists.tree import MOST_LEVELS, Document, Mapping, Node, Scalar, Style
from docker_charon.lists.yaml_text import read_yaml

CORPUS = Path(__file__).parent / "corpus"
INVALID = {
    *("ansible.yaml", "bad-lines.yaml", "helm-not-rendered.yaml", "secret-in-a-bad-line.yaml"),
    "compose-utf16.yaml",
}
"""Files that are no YAML in UTF-8."""

# Texts that need quotes, escapes, or several lines in YAML.
_TEXTS = st.one_of(
    st.text(st.sampled_from("ab :#-{}[],&*!|>'\"%@`~?\\\n\t0é$="), max_size=12),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=60),
    st.sampled_from(["a b " * 40, "null", "x: y", "- z", "line\nimage: a\n  b\n", "it's", "k #c"]),
)
_KEYS = st.text(st.sampled_from("ab./_ :#-{}[],&*!|>'\"%@`~?\\é$="), min_size=1, max_size=12)
VALUES = st.recursive(
    _TEXTS | st.none() | st.booleans() | st.integers(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(_KEYS, below, max_size=4),
    max_leaves=12,
)
LAYOUTS = st.fixed_dictionaries(
    {
        "default_flow_style": st.sampled_from([None, True, False]),
        "default_style": st.sampled_from([None, '"', "'", "|", ">"]),
        "indent": st.sampled_from([2, 4, 7]),
        "width": st.sampled_from([20, 80, 1000]),
        "allow_unicode": st.booleans(),
    }
)


def read(text: str) -> list[Document]:
    return read_yaml(text.split("\n"))


def words(text: str) -> str:
    """Return a text without what is not kept: how many spaces and line breaks are in a row."""
    return " ".join(text.split())


def simplified(node: Node | None) -> Any:
    if node is None:
        return ""
    if isinstance(node, Scalar):
        return words(f"*{node.text}" if node.style is Style.ALIAS else node.text)
    if isinstance(node, Mapping):
        return [(words(key), simplified(value)) for key, value in node.entries]
    return [simplified(item) for item in node.items]


def expected(text: str) -> list[Any]:
    """Return the documents in a text, as PyYAML reads them."""
    events = iter(yaml.parse(text, Loader=yaml.BaseLoader))
    starts = (event for event in events if isinstance(event, yaml.DocumentStartEvent))
    documents = (_value(next(events), events) for _ in starts)
    return [document for document in documents if document != ""]


def _value(event: yaml.Event, events: Iterator[yaml.Event]) -> Any:
    if isinstance(event, yaml.AliasEvent):
        return f"*{event.anchor}"
    if isinstance(event, yaml.ScalarEvent):
        return words(event.value)
    values = []
    while not isinstance(event := next(events), yaml.CollectionEndEvent):
        values.append(_value(event, events))
    return values


@given(VALUES, LAYOUTS)
@settings(max_examples=300, deadline=None)
def test_what_one_program_writes_is_read_as_it_was_meant(
    value: Any, layout: dict[str, Any]
) -> None:
    text = yaml.dump(value, **layout).replace("\x85", "\n")
    documents = read(text)
    assert not any(document.unread for document in documents)
    roots = [simplified(document.root) for document in documents]
    assert flat([root for root in roots if root != ""]) == flat(expected(text))


def flat(value: Any) -> Any:
    """Return pairs of keys and values as PyYAML lists them: one after the other."""
    if not isinstance(value, list):
        return value
    is_mapping = bool(value) and all(isinstance(item, tuple) for item in value)
    items = [part for item in value for part in item] if is_mapping else value
    return [flat(item) for item in items]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.name)
def test_each_file_of_the_corpus_is_read_as_a_complete_reader_reads_it(path: Path) -> None:
    if path.name in INVALID:
        return
    text = path.read_text("utf-8")
    documents = read(text.replace("\r\n", "\n"))
    assert not any(document.unread for document in documents)
    roots = [simplified(document.root) for document in documents]
    assert flat(roots) == flat(expected(text))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: b\n  c: d\n", 2, "its indentation does not fit"),
        ("a:\n    b: c\n  d: e\n", 3, "its indentation does not fit"),
        ("a: b\n- c\n", 2, "its indentation does not fit"),
        ("a:\n\t- b\n", 2, "a tab is in its indentation"),
        ("a: b\nsome words\n", 2, "it is neither a key nor an item of a list"),
        ('a: "b" c\n', 1, "something follows the closing quote"),
        ("a: [b] c\n", 1, "something follows the closing bracket"),
        ("a: [b\nc: d\n", 2, "an unexpected :"),
        ("a: {b: c]\n", 1, "an unexpected ]"),
        ("a: {b: c {d}}\n", 1, "a comma is missing"),
        ('a: {b: "c" "d"}\n', 1, "a comma is missing"),
        ("a: {[b]: c}\n", 1, "a key is missing"),
        ("x: y\na: 'b\n---\nc: d\n", 2, "the quote in it is not closed"),
        ("x: y\na: {b: c\n---\nc: d\n", 2, "the bracket in it is not closed"),
        ("{{- if .Values.x }}\na: b\n{{- end }}\n", 1, "it is a template"),
        ("- " * (MOST_LEVELS + 1) + "a\n", 1, "its indentation does not fit"),
        ("a: " + "[" * (MOST_LEVELS + 1) + "\n", 1, f"more than {MOST_LEVELS} levels"),
        ("a: b\n" + "c" * 1_000_001 + ": d\n", 2, "it is too long"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_left_out(text: str, line: int, reason: str) -> None:
    unread = [unread for document in read(text) for unread in document.unread]
    assert [(told.line, told.reason.startswith(reason)) for told in unread] == [(line, True)]


def test_what_follows_a_line_that_cannot_be_read_is_read() -> None:
    (document,) = read("a: b\n  c: d\ne: f\n")
    assert simplified(document.root) == [("a", "b"), ("e", "f")]


def test_each_value_has_the_line_that_it_begins_on() -> None:
    text = "a: b\nc:\n  d: >-\n    e\n    f\n  g:\n  - {h: i,\n     j: 'k\n     l'}\n"
    lines = {}
    stack = [(document.root, "") for document in read(text)]
    while stack:
        node, key = stack.pop()
        assert node is not None
        lines[key] = node.line
        if isinstance(node, Mapping):
            stack += [(value, name) for name, value in node.entries]
        elif not isinstance(node, Scalar):
            stack += [(item, "item") for item in node.items]
    assert lines == {"": 1, "a": 1, "c": 2, "d": 3, "g": 6, "item": 7, "h": 7, "j": 8}


def test_an_anchor_belongs_to_its_value() -> None:
    (document,) = read(
        "a: &one b\nc: &two\n  d: e\nf:\n  &three\n  g: h\ni: &four [j]\nk: &five\n  l\n"
    )
    assert isinstance(document.root, Mapping)
    anchors = [node.anchor for _, node in document.root.entries]
    assert anchors == ["one", "two", "three", "four", "five"]


def test_values_of_lines_that_cannot_be_read_are_not_shown() -> None:
    (document,) = read('a: b\n  password: secret\nsecret\nkey: "secret\n')
    assert [unread.text for unread in document.unread] == ["password:", "", "key:"]
