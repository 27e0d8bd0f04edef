"""Reports for programs: what a transfer did, as JSON and as log lines, also after a failure."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

import images
from docker_charon import (
    ManifestNotFound,
    PayloadError,
    RegistryError,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.transfer import report_file
from images import image, layer

WITH_BOTH_REGISTRIES = True


def put_apps(registry: str) -> None:
    for version in (1, 2):
        images.put(registry, f"app:{version}", image(*map(layer, range(1, version + 1))))
    images.put(registry, "base:1", image(layer(1)))


def read(report: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(report.read_text())
    assert document["version"] == 1
    assert document["seconds"] >= 0
    return document


def states(document: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in document["images"]}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.json"


@pytest.fixture
def delta(source: str, tmp_path: Path) -> Path:
    """Return a payload that counts on the layer of an image that is not in it."""
    put_apps(source)
    payload = tmp_path / "delta.zip"
    make_payload(source, payload, ["app:2", "base:1"], ["app:1"], secure=False)
    return payload


def test_a_report_of_a_payload_has_the_images_their_digests_and_the_bytes(
    source: str, tmp_path: Path, report: Path
) -> None:
    put_apps(source)
    payload = tmp_path / "p.zip"
    make_payload(source, payload, ["app:2", "app:1"], ["app:1"], secure=False, report=report)
    document = read(report)
    assert document.keys() == {
        *("version", "command", "status", "error", "registry", "registries", "payload"),
        *("delivery", "dry_run", "seconds", "bytes", "images"),
    }
    assert (document["command"], document["status"]) == ("make-payload", "done")
    assert (document["registry"], document["payload"]) == (source, str(payload))
    assert (document["error"], document["delivery"], document["dry_run"]) == (None, None, False)
    assert states(document) == {"app:2": "new", "app:1": "already_there"}
    new = document["images"][0]
    whole = image(layer(1), layer(2))
    assert (new["digest"], new["reason"]) == (whole.digest, None)
    assert new["size"] == sum(map(len, whole.contents().values()))
    assert document["bytes"]["payload"] == payload.stat().st_size
    first = image(layer(1))
    carried = {**whole.contents(), first.digest: first.manifest}
    assert document["bytes"]["transferred"] == sum(map(len, carried.values())) - len(layer(1))
    assert document["bytes"]["already_there"] == len(layer(1)) + len(first.blobs[0])


def test_a_report_of_a_push_says_what_is_new_and_what_was_there(
    source: str, destination: str, delta: Path, report: Path
) -> None:
    images.put(destination, "app:1", image(layer(1)))
    images.put(destination, "base:1", image(layer(1)))
    push_payload_to_registry(destination, delta, secure=False, report=report)
    document = read(report)
    assert (document["command"], document["status"]) == ("push-payload", "done")
    assert states(document) == {"app:2": "new", "base:1": "already_there"}
    whole = image(layer(1), layer(2))
    assert document["bytes"] == {
        "payload": None,
        "transferred": len(whole.blobs[0]) + len(layer(2)),
        "already_there": len(layer(1)) + len(image(layer(1)).blobs[0]),
    }


def test_a_report_says_why_images_are_left_out(
    source: str, destination: str, delta: Path, report: Path
) -> None:
    with pytest.warns(UserWarning, match="left out") as caught:
        push_payload_to_registry(destination, delta, secure=False, report=report)
    document = read(report)
    assert document["status"] == "incomplete"
    assert states(document) == {"app:2": "left_out", "base:1": "left_out"}
    assert [f"left out: {one['reason']}" for one in document["images"]] == [
        str(warning.message) for warning in caught
    ]


def test_a_report_is_written_after_a_failure(
    source: str, destination: str, delta: Path, report: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestNotFound) as caught:
        make_payload(source, tmp_path / "p.zip", ["no:1"], secure=False, report=report)
    document = read(report)
    assert (document["status"], document["error"]) == ("failed", str(caught.value))
    assert document["images"] == [
        {"name": "no:1", "digest": None, "state": "failed", "reason": str(caught.value), "size": 0}
    ]
    with pytest.raises(RegistryError):
        push_payload_to_registry("127.0.0.1:9", delta, secure=False, report=report)
    assert states(read(report)) == {"app:2": "failed", "base:1": "failed"}
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    with pytest.raises(PayloadError):
        push_payload_to_registry(destination, tmp_path / "broken.zip", secure=False, report=report)
    assert (read(report)["status"], read(report)["images"]) == ("failed", [])


def test_a_dry_run_reports_what_would_travel(source: str, report: Path, tmp_path: Path) -> None:
    put_apps(source)
    payload, other = tmp_path / "p.zip", tmp_path / "other.json"
    make_payload(source, payload, ["app:2"], secure=False, report=report, dry_run=True)
    make_payload(source, payload, ["app:2"], secure=False, report=other)
    dry, real = read(report), read(other)
    assert dry.pop("dry_run") is True
    assert real.pop("dry_run") is False
    for document in (dry, real):
        del document["seconds"]
    assert dry == real


def test_a_report_has_the_number_of_a_delivery(
    source: str, destination: str, report: Path, tmp_path: Path
) -> None:
    put_apps(source)
    for number in (1, 2):
        make_payload(
            source,
            tmp_path / "p.zip",
            ["app:2"],
            secure=False,
            ledger=tmp_path / "ledger.zip",
            report=report,
        )
        assert read(report)["delivery"] == number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        push_payload_to_registry(destination, tmp_path / "p.zip", secure=False, report=report)
    assert read(report)["delivery"] == 2


def test_the_same_is_logged_without_a_report(
    source: str, destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_apps(source)
    caplog.set_level(logging.INFO, "docker_charon")
    caplog.set_level(logging.INFO, report_file.__name__)  # the command line hides it
    make_payload(source, tmp_path / "p.zip", ["app:2"], secure=False)
    push_payload_to_registry(destination, tmp_path / "p.zip", secure=False)
    digest = image(layer(1), layer(2)).digest
    lines = [r.getMessage() for r in caplog.records if r.name.endswith("report_file")]
    assert sum(line.startswith(f"app:2, {digest}, ") for line in lines) == 2
    assert any(line.startswith(f"make-payload done, {source}: 1 image, ") for line in lines)
    assert any(line.startswith(f"push-payload done, {destination}: 1 image, ") for line in lines)


def test_a_report_that_cannot_be_written_is_refused_first(source: str, tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match="cannot write the report"):
        make_payload(
            source, tmp_path / "p.zip", ["app:1"], secure=False, report=tmp_path / "no" / "r.json"
        )
