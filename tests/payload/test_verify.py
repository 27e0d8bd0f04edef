"""Verifying payloads: every problem is found in one run, and nothing else is reported."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import images
from docker_charon import PayloadError, verify_payload
from images import layer
from payloads import flip, path_of, unzipped, zipped

WITH_BOTH_REGISTRIES = True


def test_a_whole_payload_has_no_findings(payload: Path) -> None:
    assert verify_payload(payload) == []
    with payload.open("rb") as file:
        assert verify_payload(file, jobs=1) == []
        assert not file.closed


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_payload_that_was_zipped_again_is_whole(payload: Path, method: int) -> None:
    assert verify_payload(io.BytesIO(zipped(unzipped(payload.read_bytes()), [method]))) == []


def test_every_damage_is_reported_not_only_the_first(payload: Path) -> None:
    damaged = [path_of(layer(3, 400_000)), path_of(layer(4)), path_of(layer(5))]
    for path in damaged:
        flip(payload, path)
    findings = verify_payload(payload)
    assert len(findings) == 3
    assert all(any(path in finding for finding in findings) for path in damaged)


def test_everything_that_is_missing_is_reported_with_its_image(payload: Path) -> None:
    content = unzipped(payload.read_bytes())
    for missing in (layer(3, 400_000), layer(5)):
        del content[path_of(missing)]
    findings = verify_payload(io.BytesIO(zipped(content)))
    assert len(findings) == 2
    assert any("of app:2" in finding for finding in findings)
    assert any("of multi:1" in finding for finding in findings)


def test_a_missing_manifest_of_one_image_does_not_hide_another(payload: Path) -> None:
    content = unzipped(payload.read_bytes())
    document = json.loads(content["payload_descriptor.json"])
    del content[document["manifests_paths"]["multi:1"]]
    del content[path_of(layer(3, 400_000))]
    findings = verify_payload(io.BytesIO(zipped(content)))
    assert {"multi:1" in findings[0], "app:2" in findings[1]} == {True}


def lie_about_places(content: dict[str, bytes]) -> None:
    document = json.loads(content["payload_descriptor.json"])
    del document["blobs_paths"][images.digest_of(layer(1))]
    content["payload_descriptor.json"] = json.dumps(document).encode()


def swap_content(content: dict[str, bytes]) -> None:
    content[path_of(layer(4))] = layer(5)


def cut_index(content: dict[str, bytes]) -> None:
    content["index.json"] = content["index.json"][:-1]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lie_about_places, images.digest_of(layer(1))),
        (swap_content, path_of(layer(4))),
        (cut_index, "index.json"),
        (lambda content: content.pop("payload_descriptor.json"), "payload_descriptor.json"),
        (lambda content: content.update({"../../etc/passwd": b"x"}), "could lead outside"),
        (lambda content: content.update({"/etc/passwd": b"x"}), "could lead outside"),
    ],
)
def test_what_does_not_fit_is_reported(
    payload: Path, change: Callable[[dict[str, bytes]], object], word: str
) -> None:
    content = unzipped(payload.read_bytes())
    change(content)
    assert any(word in finding for finding in verify_payload(io.BytesIO(zipped(content))))


def test_a_file_that_is_not_a_zip_cannot_be_verified(payload: Path) -> None:
    payload.write_bytes(payload.read_bytes()[:-40])
    with pytest.raises(PayloadError, match="cut short"):
        verify_payload(payload)


@pytest.mark.parametrize("offset", [6, 14, 18, 30], ids=["flags", "CRC", "size", "path"])
def test_a_local_header_that_disagrees_with_the_directory_is_reported(
    payload: Path, offset: int
) -> None:
    content = bytearray(payload.read_bytes())
    with zipfile.ZipFile(payload) as archive:
        last = archive.infolist()[-1]
    content[last.header_offset + offset] ^= 1
    payload.write_bytes(content)
    [finding] = verify_payload(payload)
    assert last.filename in finding
    assert "its local header does not match the central directory" in finding


def test_an_entry_that_overlaps_another_is_reported(payload: Path) -> None:
    """As zip bombs have them: one stretch of bytes that many entries claim."""
    content = bytearray(payload.read_bytes())
    with zipfile.ZipFile(payload) as archive:
        first, second = sorted(archive.infolist(), key=lambda i: -i.file_size)[:2]
    record = content.rindex(second.filename.encode())
    content[record - 4 : record] = (first.header_offset + 100).to_bytes(4, "little")
    payload.write_bytes(content)
    assert any("overlaps another entry" in finding for finding in verify_payload(payload))
