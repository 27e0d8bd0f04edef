"""JSON as strangers write it: any values, and documents that are almost right."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from fuzz.mutation import ODD_TEXTS, ODD_VALUES
from images import DOCKER, OCI, OCI_INDEX, digest_of

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(ODD_TEXTS),
    st.sampled_from(ODD_VALUES),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
"""Anything that `json.dumps` writes, and some that JSON does not know: ``NaN``, ``Infinity``."""

digests = st.binary(max_size=3).map(digest_of)


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is right, and once in a while something else."""
    return st.integers(0, 15).flatmap(lambda dice: right if dice else values)


def members(**right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw an object with these members, or something that should be one."""
    return mostly(st.fixed_dictionaries({}, optional={k: mostly(v) for k, v in right.items()}))


def whole(**right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw an object with all of these members, seldom another value in one of them."""
    return mostly(st.fixed_dictionaries({k: mostly(v) for k, v in right.items()}))


media_types = st.sampled_from([OCI, DOCKER, OCI_INDEX, "application/x-layer"])
descriptors = whole(mediaType=media_types, digest=digests, size=st.integers(0, 2**64)) | members(
    mediaType=media_types,
    digest=digests,
    size=st.integers(),
    urls=st.lists(scalars, max_size=2),
    platform=members(os=scalars, architecture=scalars, variant=scalars),
    annotations=st.dictionaries(st.text(max_size=5), scalars, max_size=2),
)
manifests = members(
    schemaVersion=st.just(2),
    mediaType=media_types,
    config=descriptors,
    layers=st.lists(descriptors, max_size=4),
    manifests=st.lists(descriptors, max_size=4),
    subject=descriptors,
) | whole(schemaVersion=st.just(2), config=descriptors, layers=st.lists(descriptors, max_size=4))


def written(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Write what is drawn as JSON: with escapes or in UTF-8, sometimes damaged."""

    def write(value: Any, escapes: bool, cut: int) -> bytes:
        text = json.dumps(value, ensure_ascii=escapes).encode("utf-8", "surrogatepass")
        return text[:-cut] if cut else text

    return st.builds(write, strategy, st.booleans(), st.sampled_from([0] * 9 + [1, 5]))
