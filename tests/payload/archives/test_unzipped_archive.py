"""Payloads that were unzipped: a directory is read as the zip that it came from."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from docker_charon import (
    DigestMismatch,
    PayloadError,
    inspect_payload,
    make_payload,
    push_payload_to_registry,
    serve,
    verify_payload,
)
from docker_charon.payload.archives import unzipped_archive
from docker_charon.payload.reader import open_payload
from images import image, index, layer, put, read
from payloads import carried, older_payload, path_of, payload_of, unzipped

APP = image(layer(1, 300_000), layer(2))
BOTH = index(APP, image(layer(3)))
PAYLOAD = payload_of({"app:1": APP, "both:1": BOTH})
LAYER = path_of(layer(1, 300_000))


def unzip(content: bytes, folder: Path) -> Path:
    for path, value in unzipped(content).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(value)
    return folder


def test_an_unzipped_payload_holds_what_the_payload_holds(tmp_path: Path) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    assert inspect_payload(folder) == inspect_payload(io.BytesIO(PAYLOAD))
    assert inspect_payload(str(folder)) == inspect_payload(io.BytesIO(PAYLOAD))
    assert verify_payload(folder) == []


@pytest.mark.parametrize("release", ["0.1", "0.4"])
def test_older_payloads_are_read_unzipped_too(tmp_path: Path, release: str) -> None:
    folder = unzip(older_payload({"app:1": APP}, {}, release), tmp_path / "p")
    assert [image.name for image in inspect_payload(folder).images] == ["app:1"]


def test_an_unzipped_payload_is_pushed_served_and_built_upon(
    source: str, destination: str, tmp_path: Path
) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    assert push_payload_to_registry(destination, folder, secure=False) == ["app:1", "both:1"]
    assert read(destination, "both:1") == BOTH.contents()
    with serve([folder]) as server:
        assert read(server.address, "app:1") == APP.contents()
    put(source, "app:2", image(layer(1, 300_000), layer(4)))
    delta = tmp_path / "delta.zip"
    make_payload(source, delta, ["app:2"], secure=False, payloads_already_transferred=[folder])
    assert len(carried(delta)) == 3


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    content = bytearray((folder / LAYER).read_bytes())
    content[100] ^= 1
    (folder / LAYER).write_bytes(content)
    [problem] = verify_payload(folder)
    assert problem.startswith(f"the payload is damaged: {LAYER} has another digest; copy the")
    with open_payload(folder) as payload, pytest.raises(DigestMismatch):
        list(payload.body(payload.images[0].image.manifests[0].blobs[1]))
    (folder / LAYER).unlink()
    with pytest.raises(PayloadError, match=LAYER):
        inspect_payload(folder)


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    with open_payload(folder) as payload:
        (folder / LAYER).write_bytes(b"short")
        with pytest.raises(PayloadError, match="has changed since"):
            list(payload.body(payload.images[0].image.manifests[0].blobs[1]))


@pytest.mark.posix
def test_links_are_not_followed_and_devices_not_opened(tmp_path: Path) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    secret = tmp_path / "secret"
    (folder / LAYER).rename(secret)
    (folder / LAYER).symlink_to(secret)
    with pytest.raises(PayloadError, match=f"lacks {LAYER}"):
        inspect_payload(folder)
    (folder / LAYER).unlink()
    os.mkfifo(folder / LAYER)
    with pytest.raises(PayloadError, match=f"lacks {LAYER}"):
        inspect_payload(folder)
    (folder / LAYER).unlink()
    secret.rename(folder / LAYER)
    (folder / "blobs").rename(tmp_path / "blobs")
    (folder / "blobs").symlink_to(tmp_path / "blobs")
    with pytest.raises(PayloadError, match="lacks blobs/"):
        inspect_payload(folder)


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    with open_payload(folder) as payload:
        (folder / LAYER).rename(tmp_path / "secret")
        (folder / LAYER).symlink_to(tmp_path / "secret")
        with pytest.raises(PayloadError, match="cannot read"):
            list(payload.body(payload.images[0].image.manifests[0].blobs[1]))


def test_the_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    (tmp_path / "link").symlink_to(folder)
    assert verify_payload(tmp_path / "link") == []


def test_a_directory_with_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unzip(PAYLOAD, tmp_path / "p")
    monkeypatch.setattr(unzipped_archive, "MOST_ENTRIES", 5)
    with pytest.raises(PayloadError, match="more than 5 files"):
        inspect_payload(folder)
