"""Ledgers: what a site has after all deliveries, which each payload leaves out."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

import images
from docker_charon import (
    DockerCharonError,
    PayloadError,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from docker_charon.payload.random_access import RandomAccess
from docker_charon.payload.reader import open_payload
from docker_charon.transfer.ledger_file import open_ledger
from images import TestImage, digest_of, image, index, layer
from payloads import carried, described

WITH_BOTH_REGISTRIES = True


@pytest.fixture
def app(source: str) -> TestImage:
    return images.put(source, "app:1", image(layer(1), layer(2)))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "site-a.zip"


def make(source: str, ledger: Path, *names: str, **options: Any) -> Path:
    """Make the next delivery; return its file."""
    payload = ledger.with_name(f"{'-'.join(names).replace(':', '-').replace('/', '-')}.zip")
    make_payload(source, payload, names, secure=False, ledger=ledger, **options)
    return payload


def blobs_of(payload: Path) -> set[str]:
    """Return the digests of the configs and layers that a payload carries."""
    return {digest for digest in carried(payload) if digest in described(payload)["blobs_paths"]}


def test_the_first_delivery_carries_everything_and_the_next_only_what_is_new(
    source: str, app: TestImage, ledger: Path
) -> None:
    first = make(source, ledger, "app:1")
    assert carried(first) == app.contents()
    after = images.put(source, "app:2", image(layer(1), layer(2), layer(3)))
    second = make(source, ledger, "app:2")
    assert carried(second).keys() == after.contents().keys() - {
        digest_of(layer(1)),
        digest_of(layer(2)),
    }


@pytest.mark.parametrize("volume_size", [None, 5000])
def test_the_same_command_again_says_that_a_delivery_is_replaced(
    source: str,
    app: TestImage,
    ledger: Path,
    caplog: pytest.LogCaptureFixture,
    volume_size: int | None,
) -> None:
    make(source, ledger, "app:1", volume_size=volume_size)
    assert not caplog.records
    payload = make(source, ledger, "app:1", volume_size=volume_size)
    (warning,) = caplog.messages
    assert warning.startswith(f"{payload} is delivery 1, and is replaced by a payload that carries")
    assert "give the receipt of its next push (receipts=)" in warning


def test_a_delivery_is_named_when_some_of_its_volumes_are_on_their_way(
    source: str, app: TestImage, ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    payload = make(source, ledger, "app:1", volume_size=2000)
    payload.with_name(f"{payload.name}.001").unlink()
    make(source, ledger, "app:1", volume_size=2000)
    (warning,) = caplog.messages
    assert warning.startswith(f"{payload} is delivery 1, and is replaced by a payload that carries")


@pytest.mark.posix
def test_a_pipe_that_a_delivery_goes_to_is_not_read(
    source: str, app: TestImage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(source, ledger, "app:1")
    os.mkfifo(ledger.with_name("pipe"))
    monkeypatch.setattr("docker_charon.transfer.ledger_file.open_payload", refuse_pipes)
    pipe = os.open(ledger.with_name("pipe"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        make_payload(source, ledger.with_name("pipe"), ["app:1"], secure=False, ledger=ledger)
        assert os.read(pipe, 2) == b"PK"
    finally:
        os.close(pipe)


def refuse_pipes(file: Any, **options: Any) -> Any:
    """Open a payload, which would wait for ever if it were a pipe."""
    assert not (isinstance(file, Path) and file.is_fifo())
    return open_payload(file, **options)


def test_a_delivery_that_is_replaced_by_new_layers_or_has_arrived_needs_no_warning(
    source: str,
    destination: str,
    app: TestImage,
    ledger: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    payload = make(source, ledger, "app:1")
    receipt = tmp_path / "receipt.zip"
    push_payload_to_registry(destination, payload, secure=False, receipt=receipt)
    make(source, ledger, "app:1", receipts=[receipt])
    images.put(source, "app:1", image(layer(3)))
    make(source, ledger, "app:1")
    assert not caplog.records


def test_a_ledger_lists_everything_of_all_deliveries_and_has_no_layers(
    source: str, app: TestImage, ledger: Path
) -> None:
    other = images.put(source, "team/other:1", image(layer(1), layer(7)))
    make(source, ledger, "app:1")
    make(source, ledger, "team/other:1")
    assert [one.name for one in inspect_payload(ledger).images] == ["app:1", "team/other:1"]
    assert verify_payload(ledger) == []
    assert carried(ledger).keys() == {app.digest, other.digest}
    repositories = described(ledger)["blobs_paths"][digest_of(layer(1))]
    assert repositories == {"repository": "app", "repositories": ["app", "team/other"]}


def test_a_tag_that_moves_is_listed_once_and_the_layers_of_both_images_count_as_delivered(
    source: str, app: TestImage, ledger: Path
) -> None:
    make(source, ledger, "app:1")
    moved = images.put(source, "app:1", image(layer(2), layer(3)))
    make(source, ledger, "app:1")
    assert [one.digest for one in inspect_payload(ledger).images] == [moved.digest]
    images.put(source, "app:3", image(layer(1), layer(2), layer(3)))
    third = make(source, ledger, "app:3")
    assert blobs_of(third).isdisjoint(map(digest_of, (layer(1), layer(2), layer(3))))


def test_a_payload_has_its_number_the_ledger_before_it_and_who_brought_what_it_counts_on(
    source: str, app: TestImage, ledger: Path
) -> None:
    first = described(make(source, ledger, "app:1"))["ledger"]
    assert first == {"number": 1, "previous": None, "brought": {}}
    before = hashlib.sha256(ledger.read_bytes()).hexdigest()
    images.put(source, "app:2", image(layer(1), layer(3)))
    second = described(make(source, ledger, "app:2"))["ledger"]
    assert second["number"] == 2
    assert second["previous"] == f"sha256:{before}"
    assert second["brought"] == {"1": [digest_of(layer(1))]}
    assert described(ledger)["ledger"]["history"] == [None, f"sha256:{before}"]


def test_a_payload_without_a_ledger_has_no_trace_of_one(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    assert described(tmp_path / "p.zip").keys() == {
        "format_version",
        "manifests_paths",
        "blobs_paths",
    }


def test_the_same_delivery_made_again_from_the_same_ledger_has_the_same_bytes(
    source: str, app: TestImage, ledger: Path
) -> None:
    first = make(source, ledger, "app:1")
    content, after = first.read_bytes(), ledger.read_bytes()
    ledger.unlink()
    assert make(source, ledger, "app:1").read_bytes() == content
    assert ledger.read_bytes() == after


def test_a_dry_run_leaves_the_ledger_as_it_is(
    source: str, app: TestImage, ledger: Path, tmp_path: Path
) -> None:
    make(source, ledger, "app:1", dry_run=True)
    assert not ledger.exists()
    make(source, ledger, "app:1")
    images.put(source, "app:2", image(layer(3)))
    before = ledger.read_bytes()
    with open_ledger(ledger):  # a dry run only reads it, so it does not wait for others
        make(source, ledger, "app:2", dry_run=True)
    assert ledger.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["app-1.zip", "site-a.zip"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_make_leaves_the_ledger_as_it_is(
    source: str, app: TestImage, ledger: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    make(source, ledger, "app:1")
    images.put(source, "app:2", image(layer(3), layer(4)))
    before = ledger.read_bytes()
    write = RandomAccess.write

    def broken(self: RandomAccess, data: Any, position: int) -> None:
        if position > 1500:
            raise error
        write(self, data, position)

    with monkeypatch.context() as context:
        context.setattr(RandomAccess, "write", broken)
        with pytest.raises((KeyboardInterrupt, PayloadError)):
            make(source, ledger, "app:2")
    assert ledger.read_bytes() == before
    assert not ledger.with_name("site-a.zip.new").exists()
    make(source, ledger, "app:2")  # the lock is free again
    assert described(ledger)["ledger"]["number"] == 2


def test_two_payloads_are_not_made_from_one_ledger_at_once(
    source: str, app: TestImage, ledger: Path
) -> None:
    with (
        open_ledger(ledger),
        pytest.raises(PayloadError, match=r"another docker-charon is writing .*site-a.zip; wait"),
    ):
        make(source, ledger, "app:1")
    make(source, ledger, "app:1")


def test_notes_that_have_the_name_of_the_next_ledger_are_kept(
    source: str, app: TestImage, ledger: Path
) -> None:
    notes = ledger.with_name("site-a.zip.new")
    notes.write_bytes(b"notes")
    with pytest.raises(PayloadError, match=f"{notes} exists, and is not half of {ledger}; move it"):
        make(source, ledger, "app:1")
    assert notes.read_bytes() == b"notes"


def test_what_a_killed_run_left_is_no_obstacle(source: str, app: TestImage, ledger: Path) -> None:
    ledger.with_name("site-a.zip.new").write_bytes(b"PK half of a ledger")
    make(source, ledger, "app:1")
    assert verify_payload(ledger) == []
    assert not ledger.with_name("site-a.zip.new").exists()


def test_an_inventory_takes_the_place_of_a_ledger(
    source: str, destination: str, app: TestImage, ledger: Path
) -> None:
    make(source, ledger, "app:1")
    images.put(destination, "app:0", image(layer(1)))
    make_inventory(destination, ledger, secure=False)
    payload = make(source, ledger, "app:1")
    assert digest_of(layer(1)) not in carried(payload)
    assert digest_of(layer(2)) in carried(payload)
    assert described(payload)["ledger"]["number"] == 1


def test_earlier_payloads_and_images_count_beside_the_ledger_and_get_into_it(
    source: str, app: TestImage, ledger: Path, tmp_path: Path
) -> None:
    make_payload(source, tmp_path / "before.zip", ["app:1"], secure=False)
    images.put(source, "base:1", image(layer(5)))
    images.put(source, "app:2", image(layer(1), layer(5), layer(6)))
    payload = tmp_path / "p.zip"
    make_payload(
        source,
        payload,
        ["app:2"],
        ["base:1"],
        secure=False,
        ledger=ledger,
        payloads_already_transferred=[tmp_path / "before.zip"],
    )
    assert blobs_of(payload).isdisjoint(map(digest_of, (layer(1), layer(5))))
    images.put(source, "app:3", image(layer(1), layer(5), layer(6), layer(7)))
    assert blobs_of(make(source, ledger, "app:3")).isdisjoint(
        map(digest_of, (layer(1), layer(5), layer(6)))
    )


def test_every_kind_of_image_can_be_in_a_ledger(source: str, ledger: Path) -> None:
    several = images.put(source, "many:1", index(image(layer(1)), image(layer(2))))
    images.put(source, "app:1", image(layer(3)))
    make_payload(
        source,
        ledger.with_name("p.zip"),
        [f"many:1@{several.digest}", "app:1"],
        secure=False,
        ledger=ledger,
        platforms=["linux/amd64"],
    )
    assert verify_payload(ledger) == []
    make(source, ledger, "app:1")
    assert len(inspect_payload(ledger).images) == 2


def test_what_is_no_ledger_is_refused_and_stays_as_it_is(
    source: str, app: TestImage, ledger: Path, tmp_path: Path
) -> None:
    make_payload(source, ledger, ["app:1"], secure=False)
    before = ledger.read_bytes()
    with pytest.raises(PayloadError, match="is a payload, not a ledger; give it as an already"):
        make(source, ledger, "app:1")
    assert ledger.read_bytes() == before
    ledger.write_bytes(b"no zip")
    with pytest.raises(PayloadError, match=f"{re.escape(str(ledger))} is not a payload"):
        make(source, ledger, "app:1")
    ledger.unlink()
    with pytest.raises(DockerCharonError, match="both the new payload and the ledger"):
        make_payload(source, ledger, ["app:1"], secure=False, ledger=ledger)
    with pytest.raises(DockerCharonError, match="no ledger is given"):
        make_payload(source, tmp_path / "p", ["app:1"], secure=False, receipts=[ledger])
    with pytest.raises(PayloadError, match="cannot write the ledger"):
        make_payload(source, tmp_path / "p", ["app:1"], secure=False, ledger=tmp_path / "no" / "l")
    assert not (tmp_path / "p").exists()
