"""Receipts: what a registry has of a payload, taken back to correct the ledger of its site."""

from __future__ import annotations

import io
import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import images
from conftest import require, running
from docker_charon import (
    BlobNotFound,
    DockerCharonError,
    PayloadError,
    PushIncomplete,
    RegistryError,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from docker_charon.oci.digest import Digest
from docker_charon.payload.reader import open_payload
from images import TestImage, artifact, digest_of, image, layer, refer
from odd_registry import Answer, Call, OddRegistry, refusal
from payloads import carried, described, payload_of
from registries import SharedRegistries
from signers import allow, make_key

WITH_BOTH_REGISTRIES = True


@dataclass
class Site:
    """A site: the folder of its ledger, its registry, and the images that are delivered to it."""

    folder: Path
    registry: str
    source: str
    receipts: list[Path] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.zip"

    def make(self, name: str, *wanted: str, **options: Any) -> Path:
        """Make the next delivery, with the receipts that have come back since the last one."""
        payload = self.folder / name
        make_payload(
            self.source,
            payload,
            wanted,
            secure=False,
            ledger=self.ledger,
            receipts=self.receipts,
            **options,
        )
        self.receipts = []
        return payload

    def push(self, payload: Path, **options: Any) -> list[str]:
        """Push a delivery and send its receipt back; what is left out is no failure."""
        receipt = payload.with_name(f"receipt-{payload.name}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                return push_payload_to_registry(
                    self.registry, payload, secure=False, receipt=receipt, **options
                )
            finally:
                self.receipts.append(receipt)


@contextmanager
def a_site(folder: Path, kind: str, source: str, shared: SharedRegistries) -> Iterator[Site]:
    folder.mkdir(parents=True)
    with running(kind, folder / "registry", shared) as address:
        yield Site(folder, address, source)


@pytest.fixture
def site(
    kind: str, source: str, tmp_path: Path, shared_registries: SharedRegistries
) -> Iterator[Site]:
    with a_site(tmp_path / "site", kind, source, shared_registries) as running_site:
        yield running_site


def week_of(week: int) -> dict[str, TestImage]:
    """Build the six images of a week: a common layer, and those of last week and of this one.

    The images 3 to 5 are rebuilt on the same tag every week; the others get a new tag.
    """
    weekly = {}
    for n in range(6):
        layers = [layer(5000), layer(100 * n + week - 1), layer(100 * n + week)]
        tag = f"{week}" if n < 3 else "latest"
        weekly[f"team/app-{n}:{tag}"] = image(*layers)
    return weekly


def size_of_blobs(payload: Path) -> int:
    """Return the bytes of the configs and layers that a payload carries."""
    blobs = described(payload)["blobs_paths"]
    return sum(len(content) for digest, content in carried(payload).items() if digest in blobs)


def bytes_lacking(weekly: dict[str, TestImage], there: set[str]) -> int:
    """Return the bytes of the configs and layers of images that a site lacks."""
    blobs = {digest_of(blob): blob for wanted in weekly.values() for blob in wanted.blobs}
    return sum(len(blob) for digest, blob in blobs.items() if digest not in there)


def test_ten_weekly_deliveries_to_two_sites_one_of_which_loses_a_delivery(
    kind: str, source: str, tmp_path: Path, shared_registries: SharedRegistries
) -> None:
    with (
        a_site(tmp_path / "a", kind, source, shared_registries) as lucky,
        a_site(tmp_path / "b", kind, source, shared_registries) as unlucky,
    ):
        there: dict[str, set[str]] = {lucky.registry: set(), unlucky.registry: set()}
        for week in range(1, 11):
            weekly = week_of(week)
            for name, wanted in weekly.items():
                images.put(source, name, wanted)
            blobs = {digest_of(blob) for wanted in weekly.values() for blob in wanted.blobs}
            for site in (lucky, unlucky):
                payload = site.make(f"week-{week}.zip", *weekly)
                is_uninformed = site is unlucky and week == 5  # nobody knows of the loss yet
                if not is_uninformed:
                    lacking = bytes_lacking(weekly, there[site.registry])
                    assert size_of_blobs(payload) == lacking
                if site is unlucky and week == 4:
                    payload.unlink()  # it is lost, and so is its receipt
                    continue
                pushed = site.push(payload)
                payload.unlink()
                if is_uninformed:
                    assert pushed == []
                    continue
                assert pushed == list(weekly)
                there[site.registry] |= blobs
                for name in ("team/app-0:" + str(week), "team/app-5:latest"):
                    assert images.read(site.registry, name) == weekly[name].contents()
                kept = {path.name for path in site.folder.glob("*.zip")}
                assert all(name.startswith(("ledger", "receipt")) for name in kept)
        for site in (lucky, unlucky):
            summary = inspect_payload(site.ledger)
            assert (summary.kind, summary.delivery) == ("ledger", 10)
            assert len(summary.images) == 3 * (10 if site is lucky else 8) + 3
            assert site.ledger.stat().st_size < 4000 * len(summary.images)


@pytest.fixture
def lost(site: Site) -> Path:
    """Return the third delivery to a site; the second one is lost."""
    for version, layers in ((1, [1]), (2, [1, 2]), (3, [1, 2, 3])):
        images.put(site.source, f"app:{version}", image(*map(layer, layers)))
    images.put(site.source, "other:1", image(layer(9)))
    site.push(site.make("first.zip", "app:1"))
    site.make("second.zip", "app:2")
    return site.make("third.zip", "app:3", "other:1")


def test_a_push_says_which_delivery_is_missing(site: Site, lost: Path) -> None:
    with pytest.warns(UserWarning, match="this is delivery 3, and delivery 2 has not arrived"):
        pushed = push_payload_to_registry(site.registry, lost, secure=False)
    assert pushed == ["other:1"]
    with pytest.raises(BlobNotFound, match="push it first, or take the receipt of this push"):
        push_payload_to_registry(site.registry, lost, strict=True, secure=False)


def test_a_push_names_several_deliveries_that_are_missing(site: Site) -> None:
    for version, layers in ((1, [1]), (2, [1, 2]), (3, [1, 2, 3])):
        images.put(site.source, f"app:{version}", image(*map(layer, layers)))
        site.make(f"{version}.zip", f"app:{version}")
    images.put(site.source, "app:4", image(*map(layer, [1, 2, 3, 4])))
    payload = site.make("4.zip", "app:4")
    lost = "deliveries 1, 2 and 3 have not arrived there, or their content is gone: push them first"
    with pytest.warns(UserWarning, match=lost):
        push_payload_to_registry(site.registry, payload, secure=False)


def test_a_receipt_lists_what_is_there_and_what_is_missing(site: Site, lost: Path) -> None:
    site.push(lost)
    receipt = site.receipts[-1]
    assert verify_payload(receipt) == []
    summary = inspect_payload(receipt)
    assert (summary.kind, summary.delivery, summary.registry) == ("receipt", 3, site.registry)
    assert [one.name for one in summary.images] == ["other:1"]
    assert [*summary.missing_images] == ["app:3"]
    assert digest_of(layer(2)) in summary.missing_images["app:3"]
    config = image(*map(layer, (1, 2, 3))).blobs[0]
    assert {*summary.missing_blobs} == {digest_of(b) for b in (config, layer(2), layer(3))}
    assert carried(receipt).keys() == {image(layer(9)).digest}
    table = summary.as_table()
    assert f"a receipt of delivery 3 from {site.registry}, which lacks 1 image and 3 blobs" in table
    assert "a ledger: what a site has after delivery 3" in inspect_payload(site.ledger).as_table()
    assert "delivery 3 of its ledger" in inspect_payload(lost).as_table()


def test_a_receipt_corrects_the_ledger(site: Site, lost: Path) -> None:
    site.push(lost)
    repair = site.make("repair.zip", "app:3")
    assert {digest_of(layer(2)), digest_of(layer(3))} <= carried(repair).keys()
    assert digest_of(layer(1)) not in carried(repair)
    assert site.push(repair) == ["app:3"]
    assert [one.name for one in inspect_payload(site.ledger).images] == [
        "app:1",
        "app:3",
        "other:1",
    ]


def test_everything_in_a_lost_delivery_counts_as_not_delivered(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for version in (1, 2, 3):
        images.put(site.source, f"app:{version}", image(*map(layer, range(version))))
    images.put(site.source, "other:2", image(layer(12)))
    images.put(site.source, "other:4", image(layer(12), layer(14)))
    site.push(site.make("first.zip", "app:1"))
    site.make("second.zip", "app:2", "other:2")  # it is lost
    site.push(site.make("third.zip", "app:3"))  # needs a layer of app:2, and nothing of other:2
    with caplog.at_level(logging.INFO):
        fourth = site.make("fourth.zip", "app:3", "other:4")
    assert (
        f"delivery 2 has not arrived at {site.registry}, or its content is gone: everything"
        in caplog.text
    )
    assert {digest_of(layer(n)) for n in (1, 2, 12, 14)} <= carried(fourth).keys()
    assert digest_of(layer(0)) not in carried(fourth)
    assert site.push(fourth) == ["app:3", "other:4"]


def test_a_delivery_of_which_something_has_arrived_is_not_lost(site: Site) -> None:
    for name, layers in (("app:1", [1]), ("other:1", [11]), ("third:1", [12])):
        images.put(site.source, name, image(*map(layer, layers)))
    images.put(site.source, "app:2", image(*map(layer, (1, 11, 2))))
    site.make("first.zip", "app:1", "other:1", "third:1")
    for name, number in (("other:1", 11), ("third:1", 12)):  # app:1 has not arrived
        images.put(site.registry, name, image(layer(number)))
    site.push(site.make("second.zip", "app:2"))
    third = site.make("third.zip", "app:2", "third:1")
    assert digest_of(layer(1)) in carried(third)
    assert {digest_of(layer(11)), digest_of(layer(12))}.isdisjoint(carried(third))


def test_a_delivery_that_had_arrived_is_not_lost_when_an_image_of_it_is_deleted(
    site: Site,
) -> None:
    images.put(site.source, "app:1", image(layer(1)))
    images.put(site.source, "other:1", image(layer(11)))
    site.push(site.make("first.zip", "app:1", "other:1"))
    images.put(site.source, "app:2", image(layer(1), layer(2)))
    payload = site.make("second.zip", "app:2")  # with the receipt of the first one
    with OddRegistry() as emptied:
        site.registry = emptied.address
        site.push(payload)
    third = site.make("third.zip", "app:2", "other:1")
    assert digest_of(layer(1)) in carried(third)
    assert digest_of(layer(11)) not in carried(third)


def test_a_receipt_that_is_given_again_does_not_undo_a_later_delivery(
    site: Site, lost: Path
) -> None:
    site.push(lost)
    again = [*site.receipts]
    site.push(site.make("repair.zip", "app:3"))
    images.put(site.source, "app:4", image(*map(layer, (1, 2, 3, 4))))
    site.receipts += again
    payload = site.make("fifth.zip", "app:4")
    assert {digest_of(layer(n)) for n in (1, 2, 3)}.isdisjoint(carried(payload))
    assert "app:3" in [one.name for one in inspect_payload(site.ledger).images]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_receipt_of_the_later_delivery_counts_wherever_it_is_given(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    with OddRegistry() as source, OddRegistry() as old, OddRegistry() as reinstalled:
        for version in (1, 2, 3):
            content = image(*map(layer, range(version)))
            images.put(source.address, f"app:{version}", content)
        site = Site(tmp_path, old.address, source.address)
        site.push(site.make("first.zip", "app:1"))
        site.registry = reinstalled.address
        receipts = [*site.receipts]
        site.receipts = []
        site.push(site.make("second.zip", "app:2"))
        receipts += site.receipts
        site.receipts = [receipts[place] for place in order]
        third = site.make("third.zip", "app:3")
        assert {digest_of(layer(n)) for n in range(3)} <= carried(third).keys()


def test_a_lost_delivery_that_arrives_late_needs_no_repair(site: Site, lost: Path) -> None:
    site.push(site.folder / "second.zip")
    assert site.push(lost) == ["app:3", "other:1"]
    images.put(site.source, "app:4", image(*map(layer, (1, 2, 3, 4))))
    payload = site.make("fourth.zip", "app:4")
    assert {digest_of(layer(n)) for n in (1, 2, 3)}.isdisjoint(carried(payload))


def test_a_receipt_is_written_when_a_push_is_refused_or_fails(
    site: Site, lost: Path, tmp_path: Path
) -> None:
    with pytest.raises(BlobNotFound):
        site.push(lost, strict=True)
    assert set(inspect_payload(site.receipts[0]).missing_images) == {"app:3", "other:1"}
    receipt = tmp_path / "receipt.zip"
    with pytest.raises(RegistryError):
        push_payload_to_registry("127.0.0.1:9", lost, secure=False, receipt=receipt)
    assert digest_of(layer(9)) in inspect_payload(receipt).missing_blobs  # it did not arrive
    assert digest_of(layer(2)) not in inspect_payload(receipt).missing_blobs  # nobody was asked


def test_the_ledger_has_the_names_of_the_payload_whatever_the_prefix_is(
    site: Site, lost: Path
) -> None:
    site.push(site.folder / "first.zip", repository_prefix="mirror/prod")
    site.push(lost, repository_prefix="mirror/prod")
    site.receipts = site.receipts[-1:]
    repair = site.make("repair.zip", "app:3")
    assert {digest_of(layer(2)), digest_of(layer(3))} <= carried(repair).keys()
    assert digest_of(layer(1)) not in carried(repair)
    assert described(site.ledger)["blobs_paths"][digest_of(layer(9))] == {"repository": "other"}
    assert site.push(repair, repository_prefix="mirror/prod") == ["app:3"]


def test_a_layer_of_another_repository_is_looked_for_with_the_prefix(
    site: Site, lost: Path
) -> None:
    site.push(site.folder / "first.zip", repository_prefix="mirror")
    images.put(site.source, "tool:1", image(*map(layer, (1, 2, 8))))
    payload = site.make("tool.zip", "tool:1")
    assert site.push(payload, repository_prefix="mirror") == []
    with open_payload(site.receipts[-1]) as receipt:
        assert (Digest(digest_of(layer(1))), "app") in list(receipt.delivered())
        assert receipt.arrival is not None
        assert receipt.arrival.missing_blobs[Digest(digest_of(layer(2)))] == ("tool", "app")


def test_an_image_that_should_be_there_and_is_not_counts_as_not_delivered(
    site: Site, tmp_path: Path
) -> None:
    base = images.put(site.source, "base:1", image(layer(1)))
    images.put(site.source, "app:1", image(layer(1), layer(2)))
    payload = tmp_path / "p.zip"
    make_payload(
        site.source, payload, ["base:1", "app:1"], ["base:1"], secure=False, ledger=site.ledger
    )
    assert site.push(payload) == []
    repair = site.make("repair.zip", "base:1", "app:1")
    assert base.contents().keys() <= carried(repair).keys()
    assert site.push(repair) == ["base:1", "app:1"]


def test_the_receipt_of_the_first_delivery_to_another_site_is_refused(
    source: str, destination: str, tmp_path: Path
) -> None:
    for name, seed in (("app:1", 1), ("other:1", 2)):
        images.put(source, name, image(layer(seed)))
    ours, theirs = tmp_path / "ours.zip", tmp_path / "theirs.zip"
    payload, receipt = tmp_path / "p.zip", tmp_path / "receipt.zip"
    make_payload(source, payload, ["other:1"], secure=False, ledger=theirs)
    push_payload_to_registry(destination, payload, secure=False, receipt=receipt)
    make_payload(source, payload, ["app:1"], secure=False, ledger=ours)
    before = ours.read_bytes()
    with pytest.raises(PayloadError, match="receipt of a delivery 1 that is not in this ledger"):
        make_payload(source, payload, ["app:1"], secure=False, ledger=ours, receipts=[receipt])
    assert ours.read_bytes() == before


def test_a_receipt_of_another_site_is_refused(
    site: Site, lost: Path, source: str, tmp_path: Path
) -> None:
    site.push(lost)
    before = site.ledger.read_bytes()
    other = Site(tmp_path, site.registry, source)
    for number in range(4):
        with pytest.raises(PayloadError, match="receipt of a delivery 3 that is not in this"):
            make_payload(
                source,
                tmp_path / "refused.zip",
                ["other:1"],
                secure=False,
                ledger=other.ledger,
                receipts=site.receipts[-1:],
            )
        other.make(f"{number}.zip", "other:1")
    assert site.ledger.read_bytes() == before


def test_what_is_no_receipt_is_refused(site: Site, lost: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.zip"
    make_inventory(site.registry, inventory, secure=False)
    for file in (inventory, lost, site.ledger):
        site.receipts = [file]
        with pytest.raises(PayloadError, match="is not a receipt"):
            site.make("p.zip", "app:3")
    site.receipts = []
    site.push(lost)
    site.ledger.write_bytes(site.receipts.pop().read_bytes())
    with pytest.raises(PayloadError, match="is a receipt, not a ledger"):
        site.make("p.zip", "app:3")


def test_a_receipt_that_cannot_be_written_is_refused_before_the_push(
    site: Site, lost: Path, tmp_path: Path
) -> None:
    with pytest.raises(PayloadError, match="cannot write the receipt"):
        push_payload_to_registry(
            site.registry, lost, secure=False, receipt=tmp_path / "no" / "receipt.zip"
        )
    assert images.read(site.registry, "other:1") is None
    with pytest.raises(DockerCharonError, match="a dry run writes no receipt"):
        push_payload_to_registry(
            site.registry, lost, secure=False, receipt=tmp_path / "r.zip", dry_run=True
        )


def test_the_receipt_of_a_payload_without_a_ledger_can_correct_any(
    site: Site, lost: Path, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    make_payload(site.source, payload, ["app:2"], secure=False)
    site.push(payload)
    assert described(site.receipts[-1]).get("ledger") is None
    site.receipts = site.receipts[-1:]
    images.put(site.source, "app:4", image(*map(layer, (1, 2, 4))))
    assert digest_of(layer(2)) not in carried(site.make("fourth.zip", "app:4"))


def test_what_a_registry_has_is_in_a_receipt_with_the_names_of_the_payload(
    site: Site, lost: Path
) -> None:
    site.push(lost, repository_prefix="mirror")
    with open_payload(site.receipts[-1]) as receipt:
        assert {name for _, name in receipt.delivered()} == {"other"}


def test_an_image_that_the_registry_refuses_is_missing_and_its_layers_are_there(
    tmp_path: Path,
) -> None:
    receipt, report = tmp_path / "receipt.zip", tmp_path / "report.json"
    refused, arrived = image(layer(1), layer(2)), image(layer(1), layer(3))

    def immutable(call: Call) -> Answer | None:
        is_refused = call.is_for("PUT", "/app/manifests/1")
        return refusal(412, "PRECONDITION", "configured as immutable") if is_refused else None

    payload = io.BytesIO(payload_of({"app:1": refused, "other:1": arrived}))
    with OddRegistry(immutable) as registry, pytest.raises(PushIncomplete):
        push_payload_to_registry(
            registry.address, payload, secure=False, receipt=receipt, report=report
        )
    summary = inspect_payload(receipt)
    assert [one.name for one in summary.images] == ["other:1"]
    assert "immutable" in summary.missing_images["app:1"]
    assert summary.missing_blobs == ()
    with open_payload(receipt) as opened:
        assert (Digest(digest_of(layer(2))), "app") in list(opened.delivered())
    states = {one["name"]: one["state"] for one in json.loads(report.read_text())["images"]}
    assert states == {"app:1": "failed", "other:1": "new"}


def test_a_push_that_breaks_off_has_a_receipt_of_what_has_arrived(tmp_path: Path) -> None:
    receipt, report = tmp_path / "receipt.zip", tmp_path / "report.json"
    wanted = {"app:1": image(layer(1, 5000)), "other:1": image(layer(2))}

    def deny_manifests(call: Call) -> Answer | None:
        return Answer(401) if call.is_for("PUT", "/manifests/") else None

    with OddRegistry(deny_manifests) as registry, pytest.raises(RegistryError):
        push_payload_to_registry(
            registry.address,
            io.BytesIO(payload_of(wanted)),
            secure=False,
            receipt=receipt,
            report=report,
        )
    summary = inspect_payload(receipt)
    assert summary.missing_images.keys() == wanted.keys()
    assert summary.missing_blobs == ()
    assert json.loads(report.read_text())["bytes"]["transferred"] == sum(
        len(blob) for one in wanted.values() for blob in one.blobs
    )


def test_referrers_that_were_skipped_count_as_missing(
    source: str, site: Site, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    sbom = artifact(b"sbom", subject=app.descriptor)
    refer(source, "app", app, sbom)
    payload = site.make("p.zip", "app:1", include_referrers=True)
    assert site.push(payload, skip_referrers=True) == ["app:1"]
    assert digest_of(b"sbom") in inspect_payload(site.receipts[-1]).missing_blobs
    again = site.make("again.zip", "app:1", include_referrers=True)
    assert digest_of(b"sbom") in carried(again)
    assert digest_of(layer(1)) not in carried(again)
    site.push(again)
    assert inspect_payload(site.receipts[-1]).missing_blobs == ()


def test_a_ledger_is_signed_with_the_key_of_its_payload(
    source: str, site: Site, tmp_path: Path
) -> None:
    require(shutil.which("ssh-keygen") is not None, "ssh-keygen")
    key = make_key(tmp_path, "alice")
    allowed = allow(tmp_path / "allowed", key)
    images.put(source, "app:1", image(layer(1)))
    payload = site.make("p.zip", "app:1", sign=key)
    for file in (payload, site.ledger):
        assert inspect_payload(file, allowed_signers=allowed).signer == "alice@example.com"
