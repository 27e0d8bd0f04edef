"""The index of a payload: what is read from it, and what is refused."""

from __future__ import annotations

import json

import pytest

from docker_charon.errors import PayloadError
from docker_charon.payload.format.index import REF_NAME, parse_index
from images import image, layer

APP = image(layer(1), layer(2))
BASE = image(layer(1))


def test_what_the_index_lists_may_have_no_name() -> None:
    value = {"manifests": [APP.descriptor, {**BASE.descriptor, "annotations": {REF_NAME: "base"}}]}
    assert [name for name, _ in parse_index(json.dumps(value).encode())] == [None, "base"]


@pytest.mark.parametrize(
    "value",
    [{}, {"manifests": {}}, {"manifests": [1]}, {"manifests": [{**APP.descriptor, "size": -1}]}],
)
def test_a_malformed_index_is_refused(value: object) -> None:
    with pytest.raises(PayloadError, match=r"index\.json"):
        parse_index(json.dumps(value).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[" * 200_000])
def test_what_is_not_json_is_refused_by_its_path(content: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^index\.json is not valid JSON"):
        parse_index(content)
