"""Manifests: their bytes stay the same, and their members are checked."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from docker_charon.errors import DigestMismatch, InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MAX_SIZE, Manifest, encode_index
from images import (
    DOCKER,
    DOCKER_LIST,
    EMPTY,
    OCI,
    OCI_INDEX,
    TestImage,
    artifact,
    image,
    index,
    layer,
)

ONE = image(layer(1), layer(2))


def changed(wanted: TestImage, **members: Any) -> bytes:
    """Return a manifest with other members; those that are ``...`` are left out."""
    document = {**json.loads(wanted.manifest), **members}
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


@pytest.mark.parametrize("media_type", [DOCKER, OCI])
def test_an_image_manifest_has_a_config_and_layers(media_type: str) -> None:
    wanted = image(layer(1), layer(2), layer(1), media_type=media_type)
    manifest = Manifest.parse(wanted.manifest)
    assert manifest.content == wanted.manifest
    assert manifest.media_type == media_type
    assert manifest.digest == wanted.digest
    assert manifest.descriptor.size == len(wanted.manifest)
    assert [blob.digest for blob in manifest.blobs] == [Digest.of(b) for b in wanted.blobs]
    assert manifest.manifests == ()
    assert not manifest.is_index


@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
def test_an_index_has_manifests(media_type: str) -> None:
    wanted = index(ONE, image(layer(3)), media_type=media_type)
    manifest = Manifest.parse(wanted.manifest)
    assert manifest.is_index
    assert [m.digest for m in manifest.manifests] == [c.digest for c in wanted.children]
    assert [str(m.platform) for m in manifest.manifests] == ["linux/amd64", "linux/arm64"]
    assert manifest.blobs == ()


def test_layers_in_an_index_are_blobs() -> None:
    cached = json.loads(artifact(layer(4)).manifest)["layers"][0]
    document = json.loads(index(ONE).manifest)
    document["manifests"].append(cached)
    manifest = Manifest.parse(json.dumps(document).encode())
    assert [m.digest for m in manifest.manifests] == [ONE.digest]
    assert [b.digest for b in manifest.blobs] == [cached["digest"]]


def test_an_artifact_names_its_subject() -> None:
    signature = artifact(b"signed", subject=ONE.descriptor)
    subject = Manifest.parse(signature.manifest).subject
    assert subject == Descriptor(ONE.media_type, Digest(ONE.digest), len(ONE.manifest))
    assert Manifest.parse(ONE.manifest).subject is None


@pytest.mark.parametrize("layers", [None, [], ...])
def test_a_manifest_may_have_no_layers(layers: object) -> None:
    manifest = Manifest.parse(changed(ONE, layers=layers))
    assert manifest.blobs == (manifest.config,)


@pytest.mark.parametrize("config", [None, ...])
def test_a_manifest_may_have_no_config(config: object) -> None:
    manifest = Manifest.parse(changed(ONE, config=config))
    assert manifest.config is None
    assert len(manifest.blobs) == len(manifest.layers) == 2


@pytest.mark.parametrize(
    "members",
    [
        {"schemaVersion": ...},
        {"schemaVersion": "2"},
        {"schemaVersion": 2.0},
        {"schemaVersion": None},
        {"mediaType": ""},
        {"mediaType": None},
        {"annotations": None},
        {"annotations": {"key": 1, "other": None}},
        {"annotations": "text"},
        {"subject": {}},
        {"subject": "x"},
        {"subject": None},
        {"artifactType": 5},
        {"unheard.of": {"a": []}},
    ],
)
def test_members_that_only_describe_content_may_be_missing_or_malformed(
    members: dict[str, Any],
) -> None:
    manifest = Manifest.parse(changed(ONE, **members), DOCKER)
    assert manifest.media_type == DOCKER
    assert manifest.subject is None
    assert [blob.digest for blob in manifest.blobs] == [Digest.of(blob) for blob in ONE.blobs]


@pytest.mark.parametrize("media_type", [..., "", None])
def test_a_part_of_an_index_without_a_media_type_is_a_manifest(media_type: object) -> None:
    part = {**ONE.descriptor, "mediaType": media_type}
    if media_type is ...:
        del part["mediaType"]
    manifest = Manifest.parse(changed(index(ONE), manifests=[part]))
    assert [m.digest for m in manifest.manifests] == [ONE.digest]
    assert manifest.blobs == ()
    assert Manifest.of(manifest.manifests[0], ONE.manifest).media_type == DOCKER


@pytest.mark.parametrize(
    ("wanted", "carried", "media_type"),
    [
        (ONE, OCI, OCI),
        (ONE, DOCKER, DOCKER),
        (ONE, None, OCI),
        (ONE, "text/plain", OCI),
        (index(ONE), DOCKER_LIST, DOCKER_LIST),
        (index(ONE), None, OCI_INDEX),
        (index(ONE), "application/json", OCI_INDEX),
    ],
)
def test_without_a_media_type_of_its_own_it_comes_from_outside_or_from_the_members(
    wanted: TestImage, carried: str | None, media_type: str
) -> None:
    assert Manifest.parse(changed(wanted, mediaType=...), carried).media_type == media_type


def test_its_own_media_type_takes_precedence() -> None:
    assert Manifest.parse(ONE.manifest, OCI_INDEX).media_type == DOCKER


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b"\n <!DOCTYPE html><html>", "a web page"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "neither manifests nor a config nor layers"),
        (b'{"errors": []}', "neither manifests nor a config nor layers"),
        (gzip.compress(ONE.manifest), "it is compressed"),
        (changed(ONE, schemaVersion=1), "schema 1"),
        (changed(ONE, mediaType="text/html"), "its media type is 'text/html'"),
        (changed(ONE, mediaType=..., config=..., layers=...), "neither manifests nor a config"),
        (changed(ONE, config=[]), "config is not a descriptor"),
        (changed(ONE, layers={}), "layers is not a list"),
        (changed(ONE, layers=[{}]), r"layers\[0\]: None is not a digest"),
        (changed(ONE, layers=[None]), r"layers\[0\] is not a descriptor"),
        (changed(ONE, manifests=[]), "both an image manifest and an index"),
        (changed(index(ONE), layers=[]), "both an image manifest and an index"),
        (changed(index(ONE), manifests={}), "manifests is not a list"),
        (changed(ONE, mediaType=OCI_INDEX), "both an image manifest and an index"),
        (changed(index(ONE), mediaType=OCI), "both an image manifest and an index"),
        (b" " * (MAX_SIZE + 1), "more than 4 MiB"),
    ],
)
def test_a_document_that_is_not_a_manifest_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidManifest, match=problem) as raised:
        Manifest.parse(content, DOCKER if b"mediaType" in content else None)
    assert "\n" not in str(raised.value)


def test_the_largest_manifest_is_still_read() -> None:
    assert Manifest.parse(ONE.manifest.ljust(MAX_SIZE)).descriptor.size == MAX_SIZE


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_must_have_the_digest_that_was_asked_for(algorithm: str) -> None:
    digest = Digest.of(ONE.manifest, algorithm)
    assert Manifest.parse(ONE.manifest, digest=digest).digest == digest
    with pytest.raises(DigestMismatch, match=str(digest)):
        Manifest.parse(ONE.manifest + b" ", digest=digest)


def test_a_manifest_must_have_the_size_in_its_descriptor() -> None:
    descriptor = Manifest.parse(ONE.manifest).descriptor
    assert Manifest.of(descriptor, ONE.manifest).content == ONE.manifest
    with pytest.raises(DigestMismatch, match=f"has {len(ONE.manifest) + 1} bytes"):
        Manifest.of(descriptor, ONE.manifest + b" ")


def test_the_artifact_type_is_the_manifests_own_or_that_of_its_config() -> None:
    own = Manifest.parse(artifact(b"chart").manifest)
    assert own.artifact_type == "application/vnd.example.thing"
    without = Manifest.parse(changed(artifact(b"chart"), artifactType=...))
    assert without.artifact_type == EMPTY
    assert Manifest.parse(changed(artifact(b"chart"), artifactType=1)).artifact_type == EMPTY
    assert Manifest.parse(index(ONE).manifest).artifact_type == ""


def test_a_referrer_is_listed_with_its_type_and_those_annotations_that_are_text() -> None:
    chart = Manifest.parse(artifact(b"chart", annotations={"a": "b", "c": 1}).manifest)
    assert chart.as_referrer() == {
        "mediaType": OCI,
        "digest": chart.digest,
        "size": len(chart.content),
        "artifactType": "application/vnd.example.thing",
        "annotations": {"a": "b"},
    }


def test_an_index_is_encoded_with_the_members_that_it_had() -> None:
    content = encode_index([ONE.descriptor], {"annotations": {"a": "\ud800"}})
    assert content.isascii()
    assert Manifest.parse(content).manifests[0].digest == ONE.digest
    assert list(json.loads(content)) == ["schemaVersion", "mediaType", "annotations", "manifests"]
