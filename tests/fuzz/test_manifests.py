"""Manifests and indexes: parsed into what they say, or refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_charon.errors import DigestMismatch, DockerCharonError, InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import MOST_VALUES, count_values, parse_json
from docker_charon.oci.image import Image
from docker_charon.oci.manifest import MANIFEST_TYPES, Manifest
from fuzz.json_values import descriptors, manifests, media_types, values, written
from fuzz.line import check_line
from images import OCI


@given(descriptors)
def test_a_descriptor_is_refused_or_well_formed(value: Any) -> None:
    try:
        descriptor = Descriptor.parse(value, "layers[0]")
    except InvalidManifest as error:
        check_line(error)
        return
    assert descriptor.digest == value["digest"]
    assert descriptor.media_type in ("", value.get("mediaType"))
    assert type(descriptor.size) is int
    assert 0 <= descriptor.size < 2**63
    str(descriptor.platform)


@given(written(manifests) | st.binary(max_size=50), st.none() | media_types)
def test_a_manifest_is_refused_or_says_what_stands_in_it(
    content: bytes, media_type: str | None
) -> None:
    try:
        manifest = Manifest.parse(content, media_type)
    except InvalidManifest as error:
        check_line(error)
        return
    assert manifest.content == content
    assert manifest.digest == Digest.of(content)
    assert manifest.media_type in MANIFEST_TYPES
    document = json.loads(content)
    parts = [*manifest.manifests, *manifest.blobs]
    listed = document.get("manifests" if manifest.is_index else "layers") or []
    assert len(parts) == len(listed) + (manifest.config is not None)
    assert {part.digest for part in parts} >= {one["digest"] for one in listed}


@given(st.lists(written(manifests), max_size=6), st.data())
def test_a_graph_is_refused_or_ends(contents: list[bytes], data: st.DataObject) -> None:
    known: dict[Digest, bytes] = {Digest.of(content): content for content in contents}
    for _ in range(3):  # some that refer to those
        below = data.draw(st.lists(st.sampled_from(sorted(known)), max_size=3)) if known else []
        listed = [{"mediaType": OCI, "digest": d, "size": len(known[d])} for d in below]
        content = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
        known[Digest.of(content)] = content

    def child(descriptor: Descriptor) -> Manifest:
        if descriptor.digest not in known:
            raise InvalidManifest("there is none")
        return Manifest.of(descriptor, known[descriptor.digest])

    for content in known.values():
        try:
            image = Image.collect(Manifest.parse(content), child)
        except (InvalidManifest, DigestMismatch):
            continue
        digests = [manifest.digest for manifest in image.manifests]
        assert len(set(digests)) == len(digests)
        assert image.root.content == content
        for n, manifest in enumerate(image.manifests):
            assert {one.digest for one in manifest.manifests} <= set(digests[:n])


@given(written(values) | st.binary(max_size=30))
def test_json_is_a_value_or_a_value_error(content: bytes) -> None:
    try:
        value = parse_json(content)
    except ValueError:
        return
    assert count_values(content) >= _values(value)


def _values(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_values, inner))


HARD = {
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a huge number": b'{"size":' + b"9" * 4_000_000 + b"}",
    "many values": b"[" + b"0," * MOST_VALUES + b"0]",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "half a character": b'{"schemaVersion":2,"mediaType":"\\ud800"}',
    "infinity": b'{"schemaVersion":2,"config":{"mediaType":"a","digest":"x","size":1e999}}',
    "a layer of 1.0": b'{"schemaVersion":2,"layers":[1.0]}',
    "true": b'{"schemaVersion":true,"layers":[]}',
}


@pytest.mark.parametrize("kind", HARD)
def test_hard_json_is_refused_in_one_line(kind: str) -> None:
    with pytest.raises(DockerCharonError) as raised:
        Manifest.parse(HARD[kind])
    assert str(raised.value).isprintable()
    str(raised.value).encode()
