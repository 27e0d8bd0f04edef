"""A blob that a real registry has lost: its images are left out, and the others arrive."""

from __future__ import annotations

from pathlib import Path

import pytest

import images
from docker_charon import BlobNotFound, make_payload, push_payload_to_registry
from images import digest_of, image, layer

WITH_BOTH_REGISTRIES = True

LOST = layer(2)


@pytest.fixture
def names(source: str) -> list[str]:
    """Put three images into the registry, two of which need the lost blob; return their names."""
    images.put(source, "app:1", image(layer(1)))
    images.put(source, "lost:1", image(layer(1), LOST))
    images.put(source, "lost:2", image(LOST, layer(3)))
    images.delete_blob(source, "lost", digest_of(LOST))
    return ["lost:1", "app:1", "lost:2"]


def test_the_images_that_need_it_are_left_out_and_the_others_arrive(
    only_docker_registry: None, source: str, destination: str, names: list[str], tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    with pytest.warns(UserWarning, match=f"has no blob {digest_of(LOST)} in lost") as warned:
        summary = make_payload(source, payload, names, secure=False, keep_going=True)
    assert len(warned) == 2
    assert list(summary.left_out) == ["lost:1", "lost:2"]
    assert push_payload_to_registry(destination, payload, True, secure=False) == ["app:1"]
    assert images.read(destination, "app:1") == image(layer(1)).contents()
    assert images.read(destination, "lost:1") is None


def test_a_blob_that_the_destination_has_is_not_missed(
    only_docker_registry: None, source: str, names: list[str], tmp_path: Path
) -> None:
    images.put(source, "old/lost:1", image(layer(1), LOST))
    first = tmp_path / "first.zip"
    make_payload(source, first, ["old/lost:1"], secure=False)
    second = tmp_path / "second.zip"
    with pytest.raises(BlobNotFound):
        make_payload(source, second, names, secure=False)
    summary = make_payload(
        source,
        second,
        names,
        secure=False,
        payloads_already_transferred=[first],
        keep_going=True,
    )
    assert not summary.left_out
