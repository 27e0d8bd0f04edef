"""What is said of files that are no payloads: each is called what it is, with what to do next."""

from __future__ import annotations

import base64
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from docker_charon import PayloadError, inspect_payload, verify_payload
from docker_charon.payload.archives import diagnosis
from images import image, layer
from payloads import payload_of, unzipped, zipped

PAYLOAD = payload_of({"app:1": image(layer(1, 50_000))})
LARGE = payload_of({"app:1": image(layer(1, 1_200_000))})
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
        (PAYLOAD[:-40_000] + bytes(100_000), "it ends with zeros", "copy it again"),
        (PAYLOAD.replace(b"\n", b"\r\n"), "changed to those of Windows", "binary mode"),
        (LARGE.replace(b"\r\n", b"\n"), "changed to those of Unix", "binary mode"),
        (b"-----BEGIN PGP MESSAGE-----\n\nhQEM", "encrypted with OpenPGP", "unpack it"),
        (base64.encodebytes(PAYLOAD), "encoded in base64", "unpack it"),
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


@pytest.mark.parametrize("name", ["p.zip.aa", "p.zip.000", "p.zip.00", "p.part1"])
def test_a_piece_of_a_payload_that_another_program_has_split_is_to_be_joined(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(PAYLOAD[:20_000])
    with pytest.raises(PayloadError, match="a piece of a file that was split, join all pieces"):
        inspect_payload(tmp_path / name)


def test_a_payload_that_was_cut_at_the_limit_of_fat32_is_to_be_made_in_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "_FAT_LIMIT", 20_000)
    (tmp_path / "p.zip").write_bytes(PAYLOAD[:20_000])
    with pytest.raises(PayloadError, match=r"ends at 4 GiB.*FAT32; .*volume_size=") as caught:
        inspect_payload(tmp_path / "p.zip")
    assert "copy it again" not in str(caught.value)


def test_volumes_that_were_joined_in_the_wrong_order_are_told(tmp_path: Path) -> None:
    pieces = [PAYLOAD[start : start + 20_000] for start in range(0, len(PAYLOAD), 20_000)]
    (tmp_path / "p.zip").write_bytes(b"".join([pieces[1], pieces[0], *pieces[2:]]))
    with pytest.raises(PayloadError, match="volumes that are joined by hand are joined in their"):
        inspect_payload(tmp_path / "p.zip")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "this directory is not a payload: it has no payload_descriptor.json"),
        (moved("x/"), "the payload is in the folder x/ inside; name that folder"),
        ({"usb/p.zip": PAYLOAD}, "it has the file usb/p.zip inside; name that file"),
        (LAYOUT, "it is an OCI image layout in a directory; serve its directory with serve("),
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
