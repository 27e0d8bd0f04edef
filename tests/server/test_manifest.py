"""Manifests that clients put: which the embedded registry takes."""

from __future__ import annotations

import json

import pytest

import images
from docker_charon import InvalidManifest
from docker_charon.oci.digest import Digest
from docker_charon.server.manifest import StoredManifest
from images import DOCKER, OCI, artifact, digest_of, image, index, layer


def test_it_knows_what_has_to_be_there() -> None:
    wanted = image(layer(1), layer(2), layer(1))
    stored = StoredManifest.parse(wanted.manifest, DOCKER)
    assert stored.blobs == tuple(dict.fromkeys(map(digest_of, wanted.blobs)))
    assert (stored.digest, stored.size) == (wanted.digest, len(wanted.manifest))
    multi = index(image(layer(1)), image(layer(2)))
    stored = StoredManifest.parse(multi.manifest)
    assert [each.digest for each in stored.manifests] == [each.digest for each in multi.children]
    assert stored.blobs == ()


def test_it_has_the_digest_that_is_asked_for() -> None:
    wanted = image(layer(1))
    assert StoredManifest.parse(wanted.manifest, DOCKER, "sha512").digest == Digest.of(
        wanted.manifest, "sha512"
    )


def test_layers_that_are_to_be_had_elsewhere_are_told_apart() -> None:
    far = {**images.descriptor("application/vnd.far", b"far"), "urls": ["https://example.com/"]}
    config = images.descriptor("application/vnd.config", b"{}")
    content = json.dumps({"schemaVersion": 2, "config": config, "layers": [far]}).encode()
    stored = StoredManifest.parse(content, OCI)
    assert (stored.blobs, stored.non_distributable_blobs) == ((config["digest"],), (far["digest"],))


def test_a_referrer_is_described_with_its_type_and_annotations() -> None:
    subject = image(layer(1)).descriptor
    signature = artifact(layer(2), subject=subject, annotations={"a": "b"})
    stored = StoredManifest.parse(signature.manifest, OCI)
    assert stored.subject == subject["digest"]
    assert stored.as_referrer() == {
        **signature.descriptor,
        "artifactType": "application/vnd.example.thing",
        "annotations": {"a": "b"},
    }


def test_an_image_without_a_type_has_that_of_its_config_and_an_index_has_none() -> None:
    plain = StoredManifest.parse(image(layer(1)).manifest, DOCKER)
    assert plain.artifact_type == images.CONFIG_TYPES[DOCKER]
    multi = StoredManifest.parse(index(image(layer(1))).manifest)
    assert "artifactType" not in multi.as_referrer()


def test_a_type_that_nobody_has_heard_of_is_read_as_the_others_are() -> None:
    part = images.descriptor("application/vnd.part", b"part")
    child = image(layer(1)).descriptor
    content = json.dumps({"blobs": [part], "manifests": [child, part]}).encode()
    stored = StoredManifest.parse(content, "application/vnd.new+json")
    assert stored.blobs == (part["digest"],)
    assert [each.digest for each in stored.manifests] == [child["digest"]]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b"[" * 100_000, b'{"schemaVersion": 1}', b'{"layers": [1]}'],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidManifest):
        StoredManifest.parse(content, "application/vnd.new+json")
