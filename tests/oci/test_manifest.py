"""Manifests: bytes kept as they are, and the graph that they make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docker_charon.errors import DigestMismatch, InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image
from docker_charon.oci.manifest import MAX_SIZE, Manifest
from images import DOCKER, DOCKER_LIST, OCI, OCI_INDEX, TestImage, artifact, image, index, layer

ONE = image(layer(1), layer(2))


def changed(wanted: TestImage, **members: Any) -> bytes:
    """Return a manifest with other members; those that are ``...`` are left out."""
    document = {**json.loads(wanted.manifest), **members}
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


def collect(root: TestImage) -> tuple[Image, list[str]]:
    """Return the image below ``root``, and the digests that were asked for on the way."""
    contents, asked = root.contents(), []

    def child(descriptor: Descriptor) -> Manifest:
        asked.append(str(descriptor.digest))
        return Manifest.of(descriptor, contents[descriptor.digest])

    return Image.collect(Manifest.parse(root.manifest), child), asked


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


@pytest.mark.parametrize("layers", [None, []])
def test_a_manifest_may_have_no_layers(layers: object) -> None:
    assert len(Manifest.parse(changed(ONE, layers=layers)).blobs) == 1


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
def test_without_a_media_type_of_its_own_the_carrier_says_it_and_then_the_shape(
    wanted: TestImage, carried: str | None, media_type: str
) -> None:
    assert Manifest.parse(changed(wanted, mediaType=...), carried).media_type == media_type


def test_its_own_media_type_goes_before_the_carriers() -> None:
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
        (b"{}", "schemaVersion is not 2"),
        (changed(ONE, schemaVersion="2"), "schemaVersion is not 2"),
        (changed(ONE, schemaVersion=2.0), "schemaVersion is not 2"),
        (changed(ONE, schemaVersion=1), "schema 1"),
        (changed(ONE, mediaType="text/html"), "its media type is 'text/html'"),
        (changed(ONE, mediaType=[DOCKER]), "its media type is"),
        (changed(ONE, mediaType=..., config=..., layers=...), "neither manifests nor a config"),
        (changed(ONE, config=...), "config is not a descriptor"),
        (changed(ONE, layers=...), "layers is not a list"),
        (changed(ONE, layers={}), "layers is not a list"),
        (changed(ONE, layers=[{}]), r"layers\[0\] has no mediaType"),
        (changed(ONE, subject="x"), "subject is not a descriptor"),
        (changed(ONE, manifests=[]), "both an image manifest and an index"),
        (changed(index(ONE), layers=[]), "both an image manifest and an index"),
        (changed(index(ONE), manifests=...), "manifests is not a list"),
        (changed(ONE, mediaType=OCI_INDEX), "manifests is not a list"),
        (b" " * (MAX_SIZE + 1), "more than 4 MiB"),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidManifest, match=problem) as raised:
        Manifest.parse(content, DOCKER if b"mediaType" in content else None)
    assert "\n" not in str(raised.value)


def test_the_largest_manifest_is_still_read() -> None:
    assert Manifest.parse(ONE.manifest.ljust(MAX_SIZE)).descriptor.size == MAX_SIZE


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_is_held_against_the_digest_that_it_was_asked_for_by(algorithm: str) -> None:
    digest = Digest.of(ONE.manifest, algorithm)
    assert Manifest.parse(ONE.manifest, digest=digest).digest == digest
    with pytest.raises(DigestMismatch, match=str(digest)):
        Manifest.parse(ONE.manifest + b" ", digest=digest)


def test_a_manifest_is_held_against_the_size_in_its_descriptor() -> None:
    descriptor = Manifest.parse(ONE.manifest).descriptor
    assert Manifest.of(descriptor, ONE.manifest).content == ONE.manifest
    with pytest.raises(DigestMismatch, match=f"has {len(ONE.manifest) + 1} bytes"):
        Manifest.of(descriptor, ONE.manifest + b" ")


def test_a_single_image_is_a_graph_of_one() -> None:
    found, asked = collect(ONE)
    assert [m.digest for m in found.manifests] == [found.root.digest] == [ONE.digest]
    assert asked == []


def test_every_manifest_below_an_index_is_asked_for_once() -> None:
    child = image(layer(3))
    found, asked = collect(index(ONE, child, ONE))
    assert sorted(asked) == sorted([ONE.digest, child.digest])
    assert len(found.manifests) == 3


@pytest.mark.parametrize(
    "root",
    [
        index(ONE, image(layer(3))),
        index(ONE, index(ONE)),
        index(index(ONE), ONE),
        index(index(index(ONE), ONE), index(ONE)),
        index(index(ONE, image(layer(3))), index(image(layer(3)), ONE)),
    ],
    ids=["flat", "child first", "nested first", "twice nested", "crossed"],
)
def test_children_come_before_every_index_that_lists_them(root: TestImage) -> None:
    found, _ = collect(root)
    place = {manifest.digest: n for n, manifest in enumerate(found.manifests)}
    for manifest in found.manifests:
        assert all(place[child.digest] < place[manifest.digest] for child in manifest.manifests)
    assert len(place) == len(found.manifests)
    assert found.root.digest == root.digest


def test_the_children_of_an_index_keep_its_order() -> None:
    children = [image(layer(seed)) for seed in range(3)]
    found, _ = collect(index(*children))
    assert [m.digest for m in found.manifests[:-1]] == [child.digest for child in children]


def test_a_graph_deeper_than_the_interpreters_stack_is_walked() -> None:
    root = ONE
    for _ in range(1500):
        root = TestImage(index(root).manifest, OCI_INDEX, [], [root])
    manifests = {}
    below: list[TestImage] = [root]
    while below:
        current = below.pop()
        manifests[current.digest] = current.manifest
        below += current.children
    found = Image.collect(
        Manifest.parse(root.manifest), lambda child: Manifest.of(child, manifests[child.digest])
    )
    assert len(found.manifests) == 1501
    assert found.manifests[0].digest == ONE.digest


def test_a_blob_of_several_images_is_there_once() -> None:
    found, _ = collect(index(image(layer(1), layer(2)), image(layer(1), layer(3))))
    digests = [blob.digest for blob in found.blobs]
    assert len(digests) == len(set(digests))
    assert {Digest.of(layer(n)) for n in (1, 2, 3)} < set(digests)


def test_two_sizes_of_one_blob_are_refused() -> None:
    document = json.loads(ONE.manifest)
    document["layers"].append({**document["layers"][0], "size": 1})
    with pytest.raises(InvalidManifest, match="two sizes"):
        collect(TestImage(json.dumps(document).encode(), DOCKER))
