"""Candidates: which old layers a new one is compared with."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace

import pytest

from docker_charon.oci.config import ImageConfig
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.platform import Platform
from docker_charon.transfer.layer_deltas.candidates import (
    MOST_CANDIDATES,
    MOST_IMAGES,
    LayeredImage,
    choose_candidates,
    is_candidate,
    layered_images,
    newest_of_each,
)
from images import OCI, index_of
from images import image as image_of
from payloads import named

MB = 1_000_000
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DEBIAN, PYTHON, APP = "ADD debian", "RUN apt-get install python3", "COPY app /app"
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def layer(name: str, size: int = 20 * MB, media_type: str = GZIP) -> Descriptor:
    return Descriptor(media_type, Digest.of(name.encode()), size)


def built(
    repository: str, *layers: Descriptor, commands: Sequence[str] = (), age: int = 0
) -> LayeredImage:
    root = Descriptor(OCI, Digest.of(repr((repository, layers, commands)).encode()), 100)
    manifest = Manifest(b"", root, (), None, layers, None)
    return LayeredImage(repository, manifest, None, age, ImageConfig(None, tuple(commands)))


def chosen(new: LayeredImage, *old: LayeredImage) -> dict[Digest, list[Digest]]:
    """Return the candidates of the layers of ``new`` that no old image has."""
    there = {layer.digest for image in old for layer in image.manifest.layers}
    travelling = {layer.digest for layer in new.manifest.layers} - there
    candidates = choose_candidates([new], old, travelling, there)
    return {digest: [layer.digest for layer in layers] for digest, layers in candidates.items()}


def test_the_layer_that_the_same_command_made_comes_first() -> None:
    old = built(
        *("app", layer("debian-1"), layer("python-1"), layer("app-1")),
        commands=[DEBIAN, PYTHON, APP],
    )
    new = built("app", layer("debian-2"), layer("app-2"), commands=[DEBIAN, APP])
    candidates = chosen(new, old)
    assert candidates[layer("app-2").digest][0] == layer("app-1").digest
    assert candidates[layer("debian-2").digest][0] == layer("debian-1").digest


def test_without_commands_the_place_from_either_end_counts() -> None:
    old = built("app", layer("debian-1"), layer("python-1"), layer("app-1"))
    new = built("app", layer("debian-2"), layer("python-2"), layer("tools"), layer("app-2"))
    candidates = chosen(new, old)
    assert candidates[layer("debian-2").digest][0] == layer("debian-1").digest
    assert candidates[layer("app-2").digest][0] == layer("app-1").digest


def test_commands_of_a_history_that_does_not_fit_the_layers_do_not_count() -> None:
    old = built("app", layer("debian-1"), layer("app-1"), commands=[APP])
    new = built("app", layer("debian-2"), layer("app-2"), commands=[APP, DEBIAN])
    assert chosen(new, old)[layer("debian-2").digest][0] == layer("debian-1").digest


def test_the_image_with_more_in_common_comes_before_a_newer_one() -> None:
    alpine = built("app", layer("alpine"), layer("app-alpine"), age=0)
    debian = built("app", layer("debian"), layer("app-debian"), age=1)
    new = built("app", layer("debian"), layer("app-2"))
    assert chosen(new, alpine, debian)[layer("app-2").digest] == [
        layer("app-debian").digest,
        layer("app-alpine").digest,
        layer("alpine").digest,
    ]


def test_among_equals_the_newest_versions_come_first_and_no_more_than_three() -> None:
    olds = [built("app", layer("base"), layer(f"app-{9 - age}"), age=age) for age in range(9)]
    new = built("app", layer("base"), layer("app-10"))
    candidates = chosen(new, *reversed(olds))[layer("app-10").digest]
    assert candidates == [layer(f"app-{n}").digest for n in (9, 8, 7)]
    assert MOST_CANDIDATES == 3


def test_a_layer_that_the_new_image_has_as_well_is_not_compared() -> None:
    old = built("app", layer("base"), layer("app-1"))
    new = built("app", layer("base"), layer("app-2"))
    assert chosen(new, old) == {layer("app-2").digest: [layer("app-1").digest]}


def test_another_repository_counts_only_if_its_own_has_nothing() -> None:
    new = built("app", layer("debian-2"), layer("app-2", 50 * MB))
    other = built("other", layer("debian-1"), layer("other-1", 60 * MB))
    assert chosen(new, other) == {
        layer("debian-2").digest: [layer("debian-1").digest],
        layer("app-2").digest: [layer("other-1").digest],
    }
    own = built("app", layer("app-1"))
    assert chosen(new, other, own)[layer("debian-2").digest] == [layer("app-1").digest]


def test_a_layer_of_another_repository_has_to_have_about_the_same_size() -> None:
    new = built("app", layer("app-2", 50 * MB))
    assert chosen(new, built("other", layer("other-1", 101 * MB))) == {}
    assert chosen(new, built("other", layer("other-1", 24 * MB))) == {}


def test_a_layer_that_is_much_smaller_does_not_help() -> None:
    old = built("app", layer("tiny", MB))
    assert chosen(built("app", layer("app-2", 20 * MB)), old) == {}
    assert chosen(built("app", layer("app-2", 5 * MB)), old) != {}


def test_small_layers_travel_whole() -> None:
    assert chosen(built("app", layer("app-2", MB)), built("app", layer("app-1", MB))) == {}


def test_other_platforms_are_not_compared() -> None:
    new = replace(built("app", layer("app-2")), platform=ARM64)
    old = built("app", layer("app-1"))
    assert chosen(new, replace(old, platform=AMD64)) == {}
    assert chosen(new, replace(old, config=ImageConfig(AMD64))) == {}
    assert chosen(new, replace(old, platform=ARM64)) != {}
    assert chosen(new, old) != {}


def test_layers_of_another_build_of_windows_are_compared() -> None:
    old, new = (
        replace(built("app", layer(f"app-{n}")), platform=Platform("windows", "amd64", None, build))
        for n, build in enumerate(("10.0.20348.2000", "10.0.20348.2113"))
    )
    assert chosen(new, old) == {layer("app-1").digest: [layer("app-0").digest]}


def test_only_what_the_destination_has_is_a_candidate() -> None:
    new, old = built("app", layer("app-2")), built("app", layer("app-1"))
    assert choose_candidates([new], [old], {layer("app-2").digest}, set()) == {}


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        (GZIP, True),
        ("application/vnd.oci.image.layer.v1.tar", True),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", True),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", True),
        ("application/vnd.oci.image.layer.v1.tar+zstd", False),
        ("application/vnd.in-toto+json", False),
        ("", False),
    ],
)
def test_only_gzip_and_tar_can_become_deltas(media_type: str, *, expected: bool) -> None:
    assert is_candidate(layer("app", media_type=media_type)) is expected


def test_foreign_layers_and_other_digests_travel_whole() -> None:
    assert not is_candidate(replace(layer("app"), urls=("https://example.com/layer",)))
    assert not is_candidate(replace(layer("app"), digest=Digest.of(b"app", "sha512")))


def test_images_come_newest_first_with_the_platforms_of_their_index() -> None:
    old, amd64, arm64 = (image_of(gzip.compress(name)) for name in (b"old", b"amd64", b"arm64"))
    both = index_of({"linux/amd64": amd64, "linux/arm64": arm64})
    images = layered_images([named("app:1", old), named("app:2", both), named("other:1", old)])
    assert [(image.repository, image.platform) for image in images] == [
        ("other", None),
        ("app", AMD64),
        ("app", ARM64),
        ("app", None),
    ]
    assert [image.age for image in images] == [0, 1, 2, 3]


def test_only_the_newest_images_of_a_repository_are_looked_at() -> None:
    images = [built("app", layer(f"app-{n}"), age=n) for n in range(MOST_IMAGES + 5)]
    other = built("other", layer("other"), age=99)
    assert newest_of_each([*reversed(images), other]) == [*images[:MOST_IMAGES], other]
