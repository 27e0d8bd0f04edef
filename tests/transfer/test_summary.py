"""The summary that making a payload returns: what a script wants to know of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import images
from docker_charon import Summary, inspect_payload, make_payload
from images import image, layer


@pytest.fixture
def stocked(source: str) -> str:
    """Fill a registry with two images that share a layer."""
    images.put(source, "app:1", image(layer(1, 3000)))
    images.put(source, "app:2", image(layer(1, 3000), layer(2, 2000)))
    return source


def test_it_says_what_the_payload_has(stocked: str, tmp_path: Path) -> None:
    payload = tmp_path / "p.zip"
    summary = make_payload(stocked, payload, ["app:1", "app:2"], ["app:1"], secure=False)
    inspected = inspect_payload(payload)
    assert summary.images == ("app:1", "app:2")
    assert summary.skipped == ("app:1",)
    assert summary.digests == {image.name: image.digest for image in inspected.images}
    assert summary.size == payload.stat().st_size
    assert (summary.carried, summary.saved) == (inspected.carried, inspected.saved)
    assert (summary.manifests, summary.blobs, summary.deltas) == (2, 2, 0)
    assert (summary.delivery, summary.dry_run) == (None, False)


def test_a_dry_run_says_the_same(stocked: str, tmp_path: Path) -> None:
    payload = tmp_path / "p.zip"
    planned = make_payload(stocked, payload, ["app:2"], secure=False, dry_run=True)
    assert not payload.exists()
    made = make_payload(stocked, payload, ["app:2"], secure=False)
    assert planned == dataclasses.replace(made, dry_run=True)


def test_it_has_the_number_of_the_delivery(stocked: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.zip"
    numbers = [
        make_payload(stocked, tmp_path / "p.zip", [name], secure=False, ledger=ledger).delivery
        for name in ("app:1", "app:2")
    ]
    assert numbers == [1, 2]


def test_it_cannot_be_changed(stocked: str, tmp_path: Path) -> None:
    summary = make_payload(stocked, tmp_path / "p.zip", ["app:1"], secure=False)
    assert isinstance(summary, Summary)
    assert hash(summary) == hash(dataclasses.replace(summary))
    with pytest.raises(dataclasses.FrozenInstanceError):
        summary.size = 0  # type: ignore[misc]
