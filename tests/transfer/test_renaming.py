"""Renaming on arrival: a prefix before every repository."""

from __future__ import annotations

from pathlib import Path

import pytest

import images
from command_line import charon
from conftest import Sent
from docker_charon import (
    InvalidReference,
    make_inventory,
    make_payload,
    push_payload_to_registry,
)
from images import image, layer
from payloads import carried

WITH_BOTH_REGISTRIES = True

BASE = image(layer(1))
APP = image(layer(1), layer(2))


@pytest.fixture
def delta(source: str, destination: str, tmp_path: Path) -> Path:
    """Push a base image under a prefix; return a delta that is based on it and skips it."""
    images.put(source, "base:1", BASE)
    images.put(source, "team/app:1", APP)
    make_payload(source, tmp_path / "base.zip", ["base:1"], secure=False)
    push_payload_to_registry(
        destination, tmp_path / "base.zip", True, secure=False, repository_prefix="site/mirror"
    )
    wanted = ["base:1", "team/app:1"]
    make_payload(source, tmp_path / "delta.zip", wanted, ["base:1"], secure=False)
    return tmp_path / "delta.zip"


@pytest.mark.parametrize("prefix", ["site/mirror", "site/mirror/"])
def test_a_prefix_goes_for_images_mounts_and_what_is_skipped(
    destination: str, delta: Path, prefix: str, sent: list[Sent]
) -> None:
    sent.clear()
    pushed = push_payload_to_registry(
        destination, delta, True, secure=False, repository_prefix=prefix
    )
    assert pushed == ["base:1", "team/app:1"]
    assert all("/v2/site/mirror/" in r.url for r in sent if not r.url.endswith("/v2/"))
    mounts = [request for request in sent if "mount=" in request.url]
    assert len(mounts) == 1
    assert "from=site%2Fmirror%2Fbase" in mounts[0].url
    assert images.read(destination, "site/mirror/team/app:1") == APP.contents()
    assert images.read(destination, "team/app:1") is None


def test_an_inventory_has_the_names_with_the_prefix_already(
    source: str, destination: str, delta: Path, tmp_path: Path
) -> None:
    inventory, payload = tmp_path / "inventory.zip", tmp_path / "payload.zip"
    assert make_inventory(destination, inventory, secure=False) == ["site/mirror/base:1"]
    make_payload(
        source, payload, ["team/app:1"], secure=False, payloads_already_transferred=[inventory]
    )
    assert images.digest_of(layer(1)) not in carried(payload)
    push_payload_to_registry(
        destination, payload, True, secure=False, repository_prefix="site/mirror"
    )
    assert images.read(destination, "site/mirror/team/app:1") == APP.contents()


@pytest.mark.parametrize("prefix", ["Site", "a b", "/", "/a", "a//b", "x" * 253, "a:1"])
def test_what_cannot_be_a_prefix_is_refused_before_anything_is_sent(
    destination: str, delta: Path, prefix: str, sent: list[Sent]
) -> None:
    sent.clear()
    with pytest.raises(InvalidReference):
        push_payload_to_registry(destination, delta, secure=False, repository_prefix=prefix)
    assert not [request for request in sent if request.method not in ("GET", "HEAD")]


def test_a_prefix_is_an_option(destination: str, delta: Path) -> None:
    options = ["-r", destination, "-i", "-f", delta, "--repository-prefix", "site/mirror", "-s"]
    assert charon("push-payload", *options).stdout == "site/mirror/base:1\nsite/mirror/team/app:1\n"
    told = charon("push-payload", *options, "--dry-run").stderr
    assert "put site/mirror/team/app:1" in told
