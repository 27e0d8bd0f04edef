"""A payload for the tests that inspect and verify one."""

from __future__ import annotations

from pathlib import Path

import pytest

import images
from docker_charon import make_payload
from images import image, layer


@pytest.fixture
def payload(source: str, tmp_path: Path) -> Path:
    """Return a delta with two images, one of them an index, and a skipped one."""
    images.put(source, "base:1", image(layer(1), layer(2)))
    images.put(source, "app:2", image(layer(1), layer(2), layer(3, 400_000)))
    images.put(source, "multi:1", images.index(image(layer(4)), image(layer(5), b"")))
    target = tmp_path / "p.zip"
    wanted = ["app:2", "base:1", "multi:1"]
    make_payload(source, target, wanted, ["base:1"], secure=False)
    return target
