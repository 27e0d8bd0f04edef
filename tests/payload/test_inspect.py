"""Summaries of payloads: sizes that add up, and platforms, from the metadata alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from docker_charon import PayloadSummary, inspect_payload
from docker_charon.oci.image import MAX_CONFIG_SIZE
from images import TestImage, artifact, digest_of, image, layer
from payloads import flip, path_of, payload_of, unzipped

WITH_BOTH_REGISTRIES = True


def with_large_config(size: int) -> TestImage:
    """Build an image for linux/arm64 whose config has ``size`` bytes."""
    small = image(layer(1), platform="linux/arm64")
    document = json.loads(small.manifest)
    config = small.blobs[0].rstrip(b"}") + b"}}"
    config = config + b" " * (size - len(config))
    document["config"].update(digest=digest_of(config), size=size)
    return TestImage(json.dumps(document).encode(), small.media_type, [config, *small.blobs[1:]])


def platforms_of(wanted: TestImage) -> tuple[str, ...]:
    (summary,) = inspect_payload(io.BytesIO(payload_of({"app:1": wanted}))).images
    return summary.platforms


def test_the_sizes_add_up(payload: Path) -> None:
    summary = inspect_payload(payload)
    assert [image.name for image in summary.images] == ["app:2", "base:1", "multi:1"]
    app, base, multi = summary.images
    whole = image(layer(1), layer(2), layer(3, 400_000)).contents()
    assert app.size == sum(map(len, whole.values()))
    assert app.size - app.carried == len(layer(1)) + len(layer(2))
    assert (app.lacking, app.expected, app.platforms) == (2, ("base",), ("linux/amd64",))
    assert (base.skipped, base.expected) == (True, ("base",))
    assert multi.platforms == ("linux/amd64", "linux/arm64")
    assert multi.carried == multi.size
    assert summary.size == summary.carried + summary.saved
    content = unzipped(payload.read_bytes())
    blobs = sum(len(data) for path, data in content.items() if path.startswith("blobs/"))
    assert summary.carried == blobs
    assert json.loads(summary.as_json())["images"][0]["digest"] == app.digest


def test_only_metadata_is_read(payload: Path) -> None:
    flip(payload, path_of(layer(3, 400_000)))
    assert len(inspect_payload(payload).images) == 3


@pytest.mark.parametrize("size", [2_000_000, MAX_CONFIG_SIZE])
def test_the_platform_stands_in_a_config_however_large_make_payload_takes(size: int) -> None:
    assert platforms_of(with_large_config(size)) == ("linux/arm64",)


def test_a_config_that_make_payload_does_not_read_shows_no_platform() -> None:
    assert platforms_of(with_large_config(MAX_CONFIG_SIZE + 1)) == ()


def test_an_artifact_has_no_platform() -> None:
    assert platforms_of(artifact(b"chart")) == ()


def test_the_table_counts_non_distributable_layers_that_are_left_out() -> None:
    summary = PayloadSummary((), 0, 0, 0, foreign=("sha256:1",))
    assert "1 non-distributable layer left out" in summary.as_table()
