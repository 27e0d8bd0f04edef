"""JSON documents that nobody would write: any, and right ones with wrong members."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Raw:
    """A piece of JSON as it stands in the document."""

    text: str


def written(value: Any) -> str:
    """Write a value, whose parts may be `Raw`."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


texts = st.text(st.characters(exclude_categories=()), max_size=30)  # with lone surrogates
depths = st.sampled_from([2, 50, *range(960, 1010), 5_000, 100_000])
nested = st.one_of(
    depths.map(lambda n: Raw("[" * n + "]" * n)),
    depths.map(lambda n: Raw('{"a":' * n + "1" + "}" * n)),
    depths.map(lambda n: Raw("[" * n)),
)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([-1, 0, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 1e308]),
    st.sampled_from(["1e999", "-1e999", "NaN", "-0", "0.0", "2.0", "9" * 4300, "9" * 4301]).map(
        Raw
    ),
    st.integers(0, 6000).map(lambda n: Raw("1" + "0" * n)),
)
digests = st.one_of(
    st.text("0123456789abcdefABCDEFg", max_size=130).map(lambda text: f"sha256:{text}"),
    st.sampled_from(["sha256:", "sha512:", "sha256:../../x", "md5:" + "0" * 32]),
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: f"sha256:{text}"),
)
paths = st.sampled_from(
    ["", ".", "..", "/", "../x", "/etc/passwd", "oci-layout", "index.json", "blobs", "\0", "\\"]
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts, digests, paths)
values = st.one_of(
    nested,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    ),
)


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every part of a value."""
    yield here
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*here, key))


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


@st.composite
def changed(draw: st.DrawFn, document: Any) -> bytes:
    """Replace, remove, repeat, rename or swap a few parts of a right document."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(document))))
        if not place:
            if draw(st.integers(0, 9)) == 0:
                return written(draw(values)).encode("utf-8", "replace")
            continue
        parent, key = at(document, place[:-1]), place[-1]
        how = draw(st.sampled_from(["replace", "remove", "repeat", "rename", "swap"]))
        if how == "replace":
            parent[key] = draw(values)
        elif how == "remove":
            del parent[key]
        elif how == "swap":
            other = draw(st.sampled_from(list(places(document))))
            parent[key] = copy.deepcopy(at(document, other))
        elif isinstance(parent, list):
            parent.extend([copy.deepcopy(parent[key])] * draw(st.integers(1, 50)))
        elif how == "rename":
            parent[draw(texts | digests)] = parent.pop(key)
        else:  # a key that is there twice
            again = f"{json.dumps(key)}:{written(draw(values))}"
            parent[key] = Raw(f"{written(parent[key])},{again}")
    text = written(document)
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    codec = draw(st.sampled_from(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "utf-32"]))
    return text.encode(codec, "replace")


anything = st.one_of(st.binary(max_size=200), values.map(lambda value: written(value).encode()))
