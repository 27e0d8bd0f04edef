"""A diagnosis: what a file or a directory is that was taken for a payload."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

from docker_charon.errors import PayloadError
from docker_charon.messages import argument
from docker_charon.payload.archives.archive import Archive
from docker_charon.payload.archives.damage import COPY_IT_AGAIN
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH, LAYOUT_PATH
from docker_charon.payload.random_access import hint_for_large_file

UNZIP = "unzip the file, and name the directory"
"""What to do with a zip that is not read as it is."""

_DOCKER_SAVE = ("manifest.json", "repositories")
_MOST_MEMBERS = 10_000  # of a tar that are looked at
_LONGEST_END = 66 * 1024  # bytes of the end of a zip in which its last record is
_END_OF_ZIP = b"PK\5\6"

_SAMPLE = 1024 * 1024  # bytes of a damaged file that are looked at
_MANY = 50  # line breaks, which tell how all of them are written
_VERY_MANY = 3000  # carriage returns; by chance, a line feed follows one of 256
_FAT_LIMIT = 2**32 - 1  # bytes of the largest file on FAT32
_PIECE_NUMBER = re.compile(r"\.(part)?(\d{1,4}|[a-z]{2,3})", re.IGNORECASE)
_STARTS = {
    b"-----BEGIN PGP MESSAGE": "encrypted with OpenPGP",
    b"UEsDB": "encoded in base64",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}
"""What files are that begin with these bytes: something has packed the payload again."""
_METHODS = {
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "xz",
    98: "PPMd",
    99: "AES encryption",
}
"""The names of methods of compression (APPNOTE 6.3, section 4.4.5)."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # deflated if it was zipped again
_ENCRYPTED = 0x1


def unusual_compression(info: zipfile.ZipInfo) -> str | None:
    """Return why the content of an entry cannot be read; ``None`` if it can be."""
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted with a password"
    if info.compress_type not in _READABLE:
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        return f"is compressed with {method}, which is not supported"
    return None


def what_file_is(file: IO[bytes], name: str, problem: str) -> PayloadError:
    """Return an error that says what a seekable file is that cannot be read as a zip."""
    damaged = f"{name} is not a payload, or was cut short on its way"
    start, end, size = b"", b"", 0
    with contextlib.suppress(OSError, ValueError):
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_END))
        end = file.read(_LONGEST_END)
        file.seek(0)
        start = file.read(_SAMPLE)
        if not size:
            return PayloadError(
                f"{damaged}: it is empty", hint="look for an error where it was made"
            )
    if not start[:512].strip(b"\0"):
        return PayloadError(f"{damaged}: it begins with zeros", hint=COPY_IT_AGAIN)
    changed = _changed_line_breaks(start) if start.startswith(b"PK\3\4") else ""
    if changed:
        return PayloadError(
            f"{damaged}: {changed}", hint="copy it again, as FTP does it in its binary mode"
        )
    if start.startswith(b"PK\3\4") and _END_OF_ZIP not in end:
        return _without_end(damaged, name, size, end)
    if _END_OF_ZIP in end and not start.startswith(b"PK"):
        return PayloadError(
            f"{name} is the end of a zip: it was cut, and its beginning is missing",
            hint=COPY_IT_AGAIN,
        )
    for magic, kind in _STARTS.items():
        if start.startswith(magic):
            return PayloadError(
                f"{name} is not a payload: it is {kind}", hint="unpack it, and name what is inside"
            )
    if start[257:262] == b"ustar":
        return _what_tar_is(file, name)
    if start.lstrip().startswith(b"<"):
        return PayloadError(
            f"{name} is not a payload: it is a web page, perhaps the answer to a failed download",
            hint="download the payload again",
        )
    if not start.startswith(b"PK") and _END_OF_ZIP not in end:
        problem = "it does not look like a zip"
    return PayloadError(f"{damaged}: {problem}", hint=COPY_IT_AGAIN)


def _changed_line_breaks(sample: bytes) -> str:
    """Return how something on the way has changed the line breaks of a file; "" if it has not."""
    lines, returns = sample.count(b"\n"), sample.count(b"\r")
    both = sample.count(b"\r\n")
    if lines >= _MANY and both == lines:
        return "line breaks were changed to those of Windows on its way"
    if returns >= _VERY_MANY and not both:
        return "line breaks were changed to those of Unix on its way"
    return ""


def _without_end(damaged: str, name: str, size: int, end: bytes) -> PayloadError:
    """Return an error about a zip that begins well and has no end."""
    hint = f"{COPY_IT_AGAIN}, or make it again if that was interrupted"
    if not end.strip(b"\0"):
        return PayloadError(f"{damaged}: it ends with zeros", hint=hint)
    if size == _FAT_LIMIT:
        return PayloadError(
            f"{damaged}: it ends at 4 GiB, the size of the largest file on FAT32",
            hint=f"use a disk with exFAT or NTFS; or {hint_for_large_file()}",
        )
    if _PIECE_NUMBER.fullmatch(Path(name).suffix):
        hint = f"if it is a piece of a file that was split, join all pieces first; else {hint}"
    return PayloadError(f"{damaged}: its end is missing", hint=hint)


def _what_tar_is(file: IO[bytes], name: str) -> PayloadError:
    paths: list[str] = []
    with contextlib.suppress(tarfile.TarError, OSError, ValueError, OverflowError, EOFError):
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            paths = [member.name for member in itertools.islice(tar, _MOST_MEMBERS)]
    kind, hint = _what_paths_are(paths, "tar", "unpack it, and name the directory")
    return PayloadError(f"{name} is not a payload: {kind or 'it is a tar'}", hint=hint)


def what_archive_is(archive: Archive, missing: str) -> PayloadError:
    """Return an error that says what an archive is that lacks the entry ``missing``."""
    problem = f"this {archive.kind} is not a payload: it has no {missing}"
    if missing != DESCRIPTOR_PATH:
        return PayloadError(problem)
    unpack = UNZIP if archive.kind == "zip" else ""
    kind, hint = _what_paths_are(archive.entries, archive.kind, unpack)
    return PayloadError(f"{problem}; {kind}" if kind else problem, hint=hint if kind else "")


def _what_paths_are(paths: Collection[str], container: str, unpack: str) -> tuple[str, str]:
    """Return what an archive with these paths is, or nothing, and a hint."""
    plain = {path.removeprefix("./") for path in paths}
    folders = [
        path.removesuffix(DESCRIPTOR_PATH)
        for path in plain
        if f"/{path}".endswith(f"/{DESCRIPTOR_PATH}")
    ]
    zips = sorted(path for path in plain if path.endswith((".zip", ".zip.001")))
    if folders:
        folder = min(folders, key=len)
        if not folder:
            return f"it is a {container} of an unzipped payload", unpack
        first = "unpack it, and name" if unpack else "name"
        return f"the payload is in the folder {folder} inside", f"{first} that folder"
    if zips:
        first = "unzip it, and name" if unpack else "name"
        return f"it has the file {zips[0]} inside", f"{first} that file"
    if any(path in plain for path in _DOCKER_SAVE):
        return (
            f"it is a {container} of docker save",
            "load it with docker load, or copy it with skopeo copy docker-archive:FILE",
        )
    if LAYOUT_PATH in plain and INDEX_PATH in plain:
        return (
            f"it is an OCI image layout in a {container}",
            f"serve its directory with {argument('serve --storage', 'serve(storage=...)')}, "
            "or copy it with skopeo copy oci-archive:FILE or oci:DIRECTORY",
        )
    return "", unpack
