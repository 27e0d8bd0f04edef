"""Log lines: a dry run says what would be done, counts nothing that is not, and does nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import images
from docker_charon import make_payload, push_payload_to_registry
from docker_charon.transfer import log_lines
from images import image, layer


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "docker_charon")
    return caplog


def last_line(caplog: pytest.LogCaptureFixture) -> str:
    """Return the line in which a dry run sums up what would be done."""
    records = [record for record in caplog.records if record.name == log_lines.__name__]
    return records[-1].getMessage()


def test_a_dry_run_of_a_make_counts_what_there_is(
    source: str, lines: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1)))
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    make_payload(source, io.BytesIO(), ["app:1"], secure=False, dry_run=True)
    assert last_line(lines).startswith("1 manifest and 2 blobs would be carried, in a payload of ")
    earlier = [tmp_path / "p.zip"]
    make_payload(
        *(source, io.BytesIO(), ["app:1"]),
        payloads_already_transferred=earlier,
        secure=False,
        dry_run=True,
    )
    assert last_line(lines).startswith("1 manifest would be carried, in a payload of ")
    assert last_line(lines).endswith("; the destination has 2 other blobs")


def test_a_dry_run_of_a_push_counts_what_there_is(
    source: str, destination: str, lines: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1)))
    images.put(source, "other:1", image(layer(1)))
    make_payload(source, tmp_path / "p.zip", ["app:1", "other:1"], secure=False)

    def dry_run() -> str:
        push_payload_to_registry(destination, tmp_path / "p.zip", secure=False, dry_run=True)
        return last_line(lines)

    size = sum(map(len, image(layer(1)).blobs))
    assert dry_run() == (
        f"the push would upload 2 blobs ({size:,} bytes), mount 2 blobs, put 2 images"
    )
    images.put(destination, "app:1", image(layer(1)))
    assert dry_run() == "the push would mount 2 blobs, put 1 image; already there: 1 image"
    images.put(destination, "other:1", image(layer(1)))
    assert dry_run() == "the push would write nothing; already there: 2 images"


def test_referrers_are_counted_apart(
    source: str, destination: str, lines: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    subject = image(layer(1))
    images.put(source, "app:1", subject)
    images.put(source, f"app:{images.tag_of(subject, '.sig')}", images.signature(subject))
    make_payload(source, tmp_path / "p.zip", ["app:1"], include_referrers=True, secure=False)
    push_payload_to_registry(destination, tmp_path / "p.zip", secure=False, dry_run=True)
    assert last_line(lines).endswith(", put 1 image and 1 referrer")
    push_payload_to_registry(destination, tmp_path / "p.zip", secure=False)
    push_payload_to_registry(destination, tmp_path / "p.zip", secure=False, dry_run=True)
    assert last_line(lines) == (
        "the push would write nothing; already there: 1 image and 1 referrer"
    )


@pytest.mark.parametrize(
    ("left_out", "start"), [(0, "0 images: 5 B"), (1, "0 of 1 image: 5 B"), (4, "0 of 4 images:")]
)
def test_a_push_says_of_how_many_images_it_pushed_some(left_out: int, start: str) -> None:
    assert log_lines.push_summary((), left_out, 5, 0).startswith(start)
