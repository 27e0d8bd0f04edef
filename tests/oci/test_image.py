"""Images: the manifests and blobs below a manifest, and the platform in a config."""

from __future__ import annotations

import json

import pytest

from docker_charon.errors import InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import (
    MAX_CONFIG_SIZE,
    Image,
    Referrer,
    SkippedImage,
    config_platform,
)
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.platform import Platform
from images import DOCKER, OCI_INDEX, TestImage, artifact, image, index, layer
from payloads import named

ONE = image(layer(1), layer(2))


def collect(root: TestImage) -> tuple[Image, list[str]]:
    """Return the image below ``root``, and the digests that were asked for on the way."""
    contents, asked = root.contents(), []

    def child(descriptor: Descriptor) -> Manifest:
        asked.append(str(descriptor.digest))
        return Manifest.of(descriptor, contents[descriptor.digest])

    return Image.collect(Manifest.parse(root.manifest), child), asked


def test_a_single_image_is_a_graph_of_one() -> None:
    graph, asked = collect(ONE)
    assert [m.digest for m in graph.manifests] == [graph.root.digest] == [ONE.digest]
    assert asked == []


def test_every_manifest_below_an_index_is_asked_for_once() -> None:
    child = image(layer(3))
    graph, asked = collect(index(ONE, child, ONE))
    assert sorted(asked) == sorted([ONE.digest, child.digest])
    assert len(graph.manifests) == 3


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
    graph, _ = collect(root)
    place = {manifest.digest: n for n, manifest in enumerate(graph.manifests)}
    for manifest in graph.manifests:
        assert all(place[child.digest] < place[manifest.digest] for child in manifest.manifests)
    assert len(place) == len(graph.manifests)
    assert graph.root.digest == root.digest


def test_the_children_of_an_index_keep_its_order() -> None:
    children = [image(layer(seed)) for seed in range(3)]
    graph, _ = collect(index(*children))
    assert [m.digest for m in graph.manifests[:-1]] == [child.digest for child in children]


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
    graph = Image.collect(
        Manifest.parse(root.manifest), lambda child: Manifest.of(child, manifests[child.digest])
    )
    assert len(graph.manifests) == 1501
    assert graph.manifests[0].digest == ONE.digest


def test_a_blob_of_several_images_is_there_once() -> None:
    graph, _ = collect(index(image(layer(1), layer(2)), image(layer(1), layer(3))))
    digests = [blob.digest for blob in graph.blobs]
    assert len(digests) == len(set(digests))
    assert {Digest.of(layer(n)) for n in (1, 2, 3)} < set(digests)


def test_two_sizes_of_one_blob_are_refused() -> None:
    document = json.loads(ONE.manifest)
    document["layers"].append({**document["layers"][0], "size": 1})
    with pytest.raises(InvalidManifest, match="two sizes"):
        collect(TestImage(json.dumps(document).encode(), DOCKER))


def platform_of(wanted: TestImage, content: bytes | None = None) -> Platform | None:
    """Return the platform of an image, whose config may have other ``content``."""

    def read(config: Descriptor) -> bytes:
        return wanted.contents()[config.digest] if content is None else content

    return config_platform(Manifest.parse(wanted.manifest), read)


def test_the_config_of_an_image_names_its_platform() -> None:
    assert platform_of(image(layer(1), platform="linux/arm/v7")) == Platform("linux", "arm", "v7")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"os": 1, "architecture": 2}', b"\xff"])
def test_a_config_that_names_no_platform_has_none(content: bytes) -> None:
    assert platform_of(ONE, content) is None


def test_an_index_and_an_artifact_have_no_platform_and_nothing_is_read() -> None:
    for wanted in (index(ONE), artifact(b"chart")):
        assert platform_of(TestImage(wanted.manifest, wanted.media_type)) is None


def test_a_config_that_is_too_large_is_not_read() -> None:
    document = json.loads(ONE.manifest)
    document["config"]["size"] = MAX_CONFIG_SIZE + 1
    with pytest.raises(InvalidManifest, match="too many to look for its platform"):
        platform_of(TestImage(json.dumps(document).encode(), DOCKER))


def test_only_the_referrers_of_a_skipped_image_are_transferred() -> None:
    app, referrer = named("app:1", ONE), Referrer(named("app:2", artifact(b"sbom")).image)
    skipped = SkippedImage("app:1", app.reference, app.image, (referrer,))
    assert skipped.graphs == (referrer.image,)
    assert skipped.known_graphs == (app.image, referrer.image)
    assert skipped.blobs == referrer.image.blobs
