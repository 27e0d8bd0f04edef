"""Renaming on arrival: a prefix before every repository, and a map of repositories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import images
import readme
from command_line import charon
from conftest import Sent
from docker_charon import (
    InvalidReference,
    ManifestNotFound,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.payload.reader import open_payload
from docker_charon.registry.http import HTTPSession
from images import image, layer
from payloads import carried, payload_of

WITH_BOTH_REGISTRIES = True

BASE = image(layer(1))
APP = image(layer(1), layer(2))
OTHER = image(layer(3))


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
    told = charon("push-payload", *options, "--dry-run").stderr
    assert "put site/mirror/team/app:1" in told
    assert charon("push-payload", *options).stdout == "site/mirror/base:1\nsite/mirror/team/app:1\n"


FULL_NAMES = {"quay.io", "ghcr.io"}
MAP = {"quay.io": "mirror/quay", "quay.io/team": "t", "docker.io/library": "base"}


@pytest.fixture
def from_three(tmp_path: Path) -> Path:
    """Return a delta from three registries, which counts on an image and skips another."""
    payload = tmp_path / "three.zip"
    payload.write_bytes(
        payload_of(
            {"quay.io/team/app:1": APP, "ghcr.io/app:1": OTHER, "python:3": BASE},
            {"quay.io/base:1": BASE, "python:3": BASE},
            registries=FULL_NAMES,
        )
    )
    return payload


def test_the_registry_in_front_is_left_out_unless_it_is_mapped(
    destination: str, tmp_path: Path
) -> None:
    wanted = {"quay.io/team/app:1": APP, "quay.io/x:1": BASE, "ghcr.io/app:1": OTHER, "py:3": BASE}
    (tmp_path / "p.zip").write_bytes(payload_of(wanted, registries=FULL_NAMES))
    for rules, places in (
        (None, ["team/app:1", "x:1", "app:1", "py:3"]),
        (MAP, ["t/app:1", "mirror/quay/x:1", "app:1", "base/py:3"]),
    ):
        pushed = push_payload_to_registry(
            destination, tmp_path / "p.zip", True, secure=False, repository_map=rules
        )
        assert pushed == [*wanted]
        for name, place in zip(wanted, places, strict=True):
            assert images.read(destination, place) == wanted[name].contents()


def test_a_map_goes_for_mounts_and_for_what_is_skipped_or_counted_on(
    destination: str, from_three: Path, sent: list[Sent]
) -> None:
    images.put(destination, "site/base/python:3", BASE)
    images.put(destination, "site/mirror/quay/base:1", BASE)
    sent.clear()
    push_payload_to_registry(
        destination,
        from_three,
        True,
        secure=False,
        repository_prefix="site",
        repository_map=MAP,
    )
    assert all("/v2/site/" in r.url for r in sent if not r.url.endswith("/v2/"))
    (mount,) = (request for request in sent if "mount=" in request.url)
    assert "/v2/site/t/app/" in mount.url
    assert images.read(destination, "site/t/app:1") == APP.contents()
    assert images.read(destination, "site/app:1") == OTHER.contents()


def test_without_its_map_a_delta_misses_what_it_counts_on(
    destination: str, from_three: Path
) -> None:
    images.put(destination, "base/python:3", BASE)
    with pytest.raises(ManifestNotFound, match="the same repository_prefix and repository_map"):
        push_payload_to_registry(destination, from_three, True, secure=False)


def test_an_inventory_has_the_mapped_names_already(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "team/app:1", APP)
    images.put(destination, "t/base:1", BASE)
    inventory, payload = tmp_path / "inventory.zip", tmp_path / "payload.zip"
    make_inventory(destination, inventory, secure=False)
    make_payload(
        source, payload, ["team/app:1"], secure=False, payloads_already_transferred=[inventory]
    )
    push_payload_to_registry(
        destination, payload, True, secure=False, repository_map={"team": "t", "t": "other"}
    )
    assert images.read(destination, "t/app:1") == APP.contents()


@pytest.mark.parametrize(
    "names", [{"repository_map": {"old": ""}}, {"repository_prefix": "p" * 253}]
)
def test_a_repository_that_cannot_be_renamed_is_looked_for_under_its_own_name(
    destination: str, tmp_path: Path, names: dict[str, Any]
) -> None:
    (tmp_path / "base.zip").write_bytes(payload_of({"old:1": BASE}))
    (tmp_path / "delta.zip").write_bytes(payload_of({"a:1": APP}, {"old:1": BASE}))
    push_payload_to_registry(destination, tmp_path / "base.zip", secure=False)
    for _ in range(2):  # the second time, the blobs are where the image is
        pushed = push_payload_to_registry(
            destination,
            tmp_path / "delta.zip",
            strict=True,
            secure=False,
            receipt=tmp_path / "receipt.zip",
            **names,
        )
        assert pushed == ["a:1"]
        assert not inspect_payload(tmp_path / "receipt.zip").missing_blobs


def test_referrers_go_where_their_image_goes(source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "team/app:1", APP)
    images.put(source, f"team/app:{images.tag_of(APP, '.sig')}", images.signature(APP))
    sbom = images.artifact(b"sbom", subject=APP.descriptor)
    images.refer(source, "team/app", APP, sbom)
    payload = tmp_path / "p.zip"
    make_payload(source, payload, ["team/app:1"], secure=False, include_referrers=True)
    push_payload_to_registry(
        destination, payload, secure=False, repository_map={"team/app": "tools/x"}
    )
    for reference in (f"tools/x:{images.tag_of(APP, '.sig')}", f"tools/x:{sbom.digest}"):
        assert images.read(destination, reference)
    assert images.read(destination, "team/app:1") is None


def test_two_images_for_one_tag_are_refused_before_the_first_write(
    destination: str, tmp_path: Path, sent: list[Sent]
) -> None:
    wanted = {"quay.io/team/app:1": APP, "ghcr.io/team/app:1": OTHER}
    payload = tmp_path / "p.zip"
    payload.write_bytes(payload_of(wanted, registries=FULL_NAMES))
    sent.clear()
    with pytest.raises(InvalidReference) as caught:
        push_payload_to_registry(destination, payload, secure=False)
    assert "quay.io/team/app:1 and ghcr.io/team/app:1 are different" in str(caught.value)
    assert "both would become team/app:1" in str(caught.value)
    assert "repository_map={'ghcr.io': 'ghcr.io'}" in str(caught.value)
    assert not sent
    options = ["-r", destination, "-i", payload, "--map", "ghcr.io=ghcr.io"]
    assert charon("push-payload", *options).stdout == "team/app:1\nghcr.io/team/app:1\n"


def test_one_image_may_arrive_twice_under_one_name(destination: str, tmp_path: Path) -> None:
    wanted = {"quay.io/team/app:1": APP, "ghcr.io/team/app:1": APP}
    (tmp_path / "p.zip").write_bytes(payload_of(wanted, registries=FULL_NAMES))
    pushed = push_payload_to_registry(destination, tmp_path / "p.zip", secure=False)
    assert pushed == [*wanted]
    assert images.read(destination, "team/app:1") == APP.contents()


def test_a_receipt_has_the_names_of_the_payload(destination: str, from_three: Path) -> None:
    receipt = from_three.with_name("receipt.zip")
    with pytest.warns(UserWarning, match="left out: "):
        pushed = push_payload_to_registry(
            destination, from_three, secure=False, repository_map=MAP, receipt=receipt
        )
    assert pushed == ["ghcr.io/app:1"]
    images.put(destination, "base/python:3", BASE)
    images.put(destination, "mirror/quay/base:1", BASE)
    pushed = push_payload_to_registry(
        destination, from_three, secure=False, repository_map=MAP, receipt=receipt
    )
    assert pushed == ["quay.io/team/app:1", "ghcr.io/app:1", "python:3"]
    with open_payload(receipt) as written:
        repositories = {name for names in written.at_destination.values() for name in names}
    assert repositories == {"quay.io/team/app", "quay.io/base", "ghcr.io/app", "python"}


def test_a_report_has_both_names(destination: str, from_three: Path) -> None:
    report = from_three.with_name("report.json")
    images.put(destination, "base/python:3", BASE)
    images.put(destination, "mirror/quay/base:1", BASE)
    push_payload_to_registry(
        destination, from_three, secure=False, repository_map=MAP, report=report
    )
    names = {i["name"]: i["destination"] for i in json.loads(report.read_text())["images"]}
    assert names == {
        "quay.io/team/app:1": "t/app:1",
        "ghcr.io/app:1": "app:1",
        "python:3": "base/python:3",
    }


def test_an_inventory_may_have_names_that_begin_with_a_registry(
    source: str, destination: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HTTPSession, "send", HTTPSession.send)
    readme.lead({"quay.io": source})
    images.put(source, "team/app:1", APP)
    images.put(destination, "quay.io/base:1", BASE)
    inventory, payload = tmp_path / "inventory.zip", tmp_path / "p.zip"
    make_inventory(destination, inventory, secure=False)
    make_payload(None, payload, ["quay.io/team/app:1"], payloads_already_transferred=[inventory])
    assert images.digest_of(layer(1)) not in carried(payload)
    for rules, name in ((None, "team/app:1"), ({"quay.io": "quay.io"}, "quay.io/team/app:1")):
        push_payload_to_registry(destination, payload, True, secure=False, repository_map=rules)
        assert images.read(destination, name) == APP.contents()


def test_deltas_of_full_names_go_on_from_payloads_inventories_and_receipts(
    only_docker_registry: None, source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "base:1", BASE)
    images.put(source, "team/app:1", APP)
    rules = {source: "mirror/dev", f"{source}/team": source.replace(":", "-")}
    first, ledger, receipt = (tmp_path / name for name in ("1.zip", "ledger.zip", "receipt.zip"))
    make_payload(None, first, [f"{source}/base:1"], secure=False, ledger=ledger)
    push_payload_to_registry(
        destination, first, secure=False, repository_map=rules, receipt=receipt
    )
    assert images.read(destination, "mirror/dev/base:1") == BASE.contents()
    inventory = tmp_path / "inventory.zip"
    make_inventory(destination, inventory, secure=False)
    for earlier in (
        {"payloads_already_transferred": [first]},
        {"payloads_already_transferred": [inventory]},
        {"ledger": ledger, "receipts": [receipt]},
    ):
        second = tmp_path / "2.zip"
        make_payload(None, second, [f"{source}/team/app:1"], secure=False, **earlier)
        assert images.digest_of(layer(1)) not in carried(second)
        push_payload_to_registry(destination, second, True, secure=False, repository_map=rules)
        name = f"{source.replace(':', '-')}/app:1"
        assert images.read(destination, name) == APP.contents()
        images.delete_manifest(destination, name.partition(":")[0], APP.digest)
