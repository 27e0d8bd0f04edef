"""What is said of files that are no payloads: each is called what it is, with what to do next."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from docker_charon import PayloadError, inspect_payload, verify_payload
from images import image, layer
from payloads import payload_of, unzipped, zipped

PAYLOAD = payload_of({"app:1": image(layer(1, 50_000))})
ENTRIES = unzipped(PAYLOAD)
LAYOUT = {path: ENTRIES[path] for path in ENTRIES if path != "payload_descriptor.json"}
SAVED = {"manifest.json": b"[]", "repositories": b"{}", "a/layer.tar": b""}
HTML = b"<!DOCTYPE html><title>Please log in</title>"


def tar(entries: Mapping[str, bytes], prefix: str = "") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, content in entries.items():
            member = tarfile.TarInfo(f"{prefix}{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def moved(folder: str) -> dict[str, bytes]:
    """Return the entries of a payload one folder deeper."""
    return {f"{folder}{path}": content for path, content in ENTRIES.items()}


def flagged(content: bytes, flag: int = 0, method: int = 0) -> bytes:
    """Return a zip whose entries all have this flag or this method of compression."""
    changed = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        local_headers = [info.header_offset for info in archive.infolist()]
        position = archive.start_dir
    for offset in local_headers:
        changed[offset + 6] |= flag
        changed[offset + 8] |= method
    while changed[position : position + 4] == b"PK\1\2":
        changed[position + 8] |= flag
        changed[position + 10] |= method
        position = changed.find(b"PK", position + 46)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "words", "hint"),
    [
        (b"", "it is empty", "where it was made"),
        (bytes(5000), "it begins with zeros", "copy it again"),
        (b"no zip", "not a payload, or was cut short", "copy it again"),
        (PAYLOAD[:-5000], "its end is missing", "copy it again"),
        (PAYLOAD[5000:], "its beginning is missing", "copy it again"),
        (PAYLOAD[50_000:], "its beginning is missing", "copy it again"),
        (gzip.compress(PAYLOAD), "it is compressed with gzip", "unpack it"),
        (lzma.compress(PAYLOAD), "it is compressed with xz", "unpack it"),
        (b"7z\xbc\xaf\x27\x1c" + PAYLOAD[:2000], "it is a 7z archive", "unpack it"),
        (HTML, "it is a web page", "download the payload again"),
        (tar({"readme": b"x"}), "it is a tar", "unpack it"),
        (tar(ENTRIES), "it is a tar of an unzipped payload", "unpack it, and name the directory"),
        (tar(ENTRIES, "./"), "it is a tar of an unzipped payload", "unpack it"),
        (tar({"p.zip": b"x", "q": b"x" * 90_000}), "it has the file p.zip inside", "that file"),
        (tar(SAVED), "it is a tar of docker save", "docker load"),
        (tar(LAYOUT), "it is an OCI image layout in a tar", "skopeo copy"),
        (zipped(LAYOUT), "it is an OCI image layout in a zip", "skopeo copy"),
        (zipped(SAVED), "it is a zip of docker save", "docker load"),
        (zipped({"a": b""}), "this zip is not a payload: it has no payload_descriptor.json", ""),
        (zipped(moved("x/")), "the payload is in the folder x/ inside", "name that folder"),
        (zipped(moved("x/y/")), "the payload is in the folder x/y/ inside", "name that folder"),
        (zipped({"a/p.zip": PAYLOAD}), "it has the file a/p.zip inside", "name that file"),
        (zipped({"p.zip.001": b""}), "it has the file p.zip.001 inside", "name that file"),
        (flagged(PAYLOAD, flag=1), "encrypted with a password", "unzip the file"),
        (flagged(PAYLOAD, method=9), "compressed with Deflate64", "unzip the file"),
        (flagged(PAYLOAD, method=14), "compressed with LZMA", "unzip the file"),
        (flagged(PAYLOAD, method=93), "compressed with Zstandard", "unzip the file"),
        (flagged(PAYLOAD, method=99), "compressed with AES encryption", "unzip the file"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else None,  # zips hold the time
)
def test_a_file_that_is_no_payload_is_called_what_it_is(
    tmp_path: Path, content: bytes, words: str, hint: str
) -> None:
    file = tmp_path / "p.zip"
    file.write_bytes(content)
    with pytest.raises(PayloadError) as caught:
        inspect_payload(file)
    assert words in caught.value.message
    assert hint in caught.value.hint
    try:
        findings = verify_payload(file)
    except PayloadError as error:
        findings = [str(error)]
    assert any(words in finding for finding in findings)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "this directory is not a payload: it has no payload_descriptor.json"),
        (moved("x/"), "the payload is in the folder x/ inside; name that folder"),
        ({"usb/p.zip": PAYLOAD}, "it has the file usb/p.zip inside; name that file"),
        (LAYOUT, "it is an OCI image layout in a directory"),
    ],
)
def test_a_directory_that_is_no_payload_is_called_what_it_is(
    tmp_path: Path, entries: dict[str, bytes], words: str
) -> None:
    for path, content in entries.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    with pytest.raises(PayloadError) as caught:
        inspect_payload(tmp_path)
    assert words in str(caught.value)
