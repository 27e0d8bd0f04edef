"""The file in which a payload grows, until it is whole and takes its name.

``payload.zip`` grows in ``payload.zip.partial`` beside it. A run that is interrupted leaves that
file, and the next one goes on from it: the entries whose local header is there are checked and
kept. When other images are asked for meanwhile, every entry has another place; then the file is
set aside as ``payload.zip.partial.old``, and what it has is copied from there. Nothing in either is
believed that has not been hashed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from docker_charon.errors import BlobNotFound, DigestMismatch, DockerCharonError, PayloadError
from docker_charon.files import flush_directory, lock
from docker_charon.oci.manifest import MAX_SIZE, Manifest
from docker_charon.payload.format import DESCRIPTOR_PATH, LAYOUT_PATH, PayloadDescriptor, blob_path
from docker_charon.payload.random_access import RandomAccess, write_all
from docker_charon.payload.zip_records import Record, parse_local_header

_LONGEST_HEADER = 512  # bytes; ours have a path of at most 142
_TRIES = 100  # to open a file before another run renames it
_HOPELESS = (BlobNotFound, DigestMismatch)
"""What the same command would meet again, so that there is nothing to go on with."""


def partial_path(path: Path) -> Path:
    """Return where the payload ``path`` grows."""
    return path.with_name(f"{path.name}.partial")


class Leftover:
    """What an earlier run, for other images, left: its entries by path, finished or not."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = RandomAccess(file)
        self.records: dict[str, Record] = {}
        with contextlib.suppress(DockerCharonError, LookupError, OSError):
            self._find()

    def _find(self) -> None:
        """Follow the headers to the first gap, then reckon with what the metadata says."""
        offset = 0
        sizes: dict[str, int] = {}
        zip_paths: list[str] = []
        while found := self._header(offset):
            record, _ = found
            self.records[record.path] = record
            offset = record.end
            if record.path == DESCRIPTOR_PATH:
                content = self.file.read(record.size, record.data_offset)
                zip_paths = list((PayloadDescriptor.parse(content).zip_paths or {}).values())
            elif zip_paths and len(sizes) < len(zip_paths) and record.size <= MAX_SIZE:
                with contextlib.suppress(DockerCharonError):
                    content = self.file.read(record.size, record.data_offset)
                    for blob in Manifest.parse(content).blobs:
                        sizes[blob_path(blob.digest)] = blob.size
        for path in zip_paths:
            if path not in self.records:
                self.records[path] = Record(path, sizes[path], offset)
                offset = self.records[path].end

    def _header(self, offset: int) -> tuple[Record, int] | None:
        return parse_local_header(self.file.read(_LONGEST_HEADER, offset), offset)

    @property
    def finished(self) -> int:
        """The bytes of its entries that have a header, which stands there last."""
        return sum(record.size for record in self.records.values() if self._header(record.offset))


class PartialFile:
    """A payload that is being written.

    ``leftover`` is what an earlier run for other images left. ``has_content`` is set once there is
    something in it that is worth keeping after a failure.
    """

    def __init__(self, file: IO[bytes], leftover: Leftover | None) -> None:
        self.file = file
        self.leftover = leftover
        self.has_content = False


@contextlib.contextmanager
def partial_file(path: Path, front: bytes, size: int) -> Iterator[PartialFile]:
    """Yield the file that becomes ``path`` when all went well; ``path`` is as it was until then.

    ``front`` is what the payload begins with, and ``size`` its whole size in bytes. Raises
    `PayloadError` when another run writes the same payload, when there is no room for it, or when
    a file of somebody else's is in the way.
    """
    partial = partial_path(path)
    old = partial.with_name(f"{partial.name}.old")
    file = _open_locked(partial, path)
    try:
        begins = file.read(len(front))
        if not _is_ours(begins, front):
            raise PayloadError(
                f"{partial} is in the way, and is no payload that was interrupted",
                hint="move it elsewhere",
            )
        if begins.strip(b"\0") and begins != front:
            _check_room(file, size, path, beside=True)
            if not old.exists() or _finished(old) <= Leftover(file).finished:
                if sys.platform == "win32":
                    file.close()
                partial.replace(old)
                file.close()
                file = _open_locked(partial, path)
            else:
                file.truncate(0)  # the older one has more
        with contextlib.ExitStack() as stack:
            leftover = None
            if old.exists():
                leftover = Leftover(stack.enter_context(old.open("rb")))
            growing = PartialFile(file, leftover)
            growing.has_content = leftover is not None or begins == front
            try:
                file.seek(0)
                write_all(file, front)
                _reserve(file, size, path)
                yield growing
            except BaseException as error:
                stack.close()
                if isinstance(error, _HOPELESS) or not growing.has_content:
                    _remove(file, partial, old)
                elif isinstance(error, (DockerCharonError, KeyboardInterrupt)):
                    error.partial = partial  # type: ignore[union-attr]  # of an interrupt, too
                raise
        file.truncate(size)
        os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, partial)
        if sys.platform == "win32":
            file.close()
        partial.replace(path)
        old.unlink(missing_ok=True)
    finally:
        file.close()
    flush_directory(path.parent)


def _is_ours(begins: bytes, front: bytes) -> bool:
    """Whether a file begins as all payloads do; one of zeros met a power failure early on."""
    found = parse_local_header(front[:_LONGEST_HEADER], 0)
    magic = front[: found[0].end] if found and found[0].path == LAYOUT_PATH else front
    return begins[: len(magic)] == magic[: len(begins)] or not begins.strip(b"\0")


def _open_locked(partial: Path, path: Path) -> IO[bytes]:
    """Open a file for one process at a time."""
    for _ in range(_TRIES):
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115, PTH123  # the caller closes it
        try:
            lock(file)
        except BlockingIOError:
            file.close()
            raise PayloadError(
                f"another docker-charon is writing {path}", hint="wait for it to end"
            ) from None
        # Another run may have finished in between, and what was opened now has its final name.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                return file
        file.close()
    raise PayloadError(f"cannot hold on to {partial}: something else moves it about")


def _finished(path: Path) -> int:
    with path.open("rb") as file:
        return Leftover(file).finished


def _check_room(file: IO[bytes], size: int, path: Path, *, beside: bool) -> None:
    """Raise `PayloadError` when there is no room; ``beside`` if what is there stays as well."""
    status = os.fstat(file.fileno())
    blocks = getattr(status, "st_blocks", None)
    has = status.st_size if blocks is None else blocks * 512
    needed = size if beside else max(0, size - has)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise PayloadError(
            f"{path} needs {needed:,} bytes more, and {path.parent} has {free:,} free",
            hint=f"make room ({partial_path(path).name}* has what was fetched for other images), "
            "or write it elsewhere"
            if beside
            else "make room, or write it elsewhere",
        )


def _reserve(file: IO[bytes], size: int, path: Path) -> None:
    """Take the disk space that the payload needs; raise `PayloadError` when it is not there."""
    _check_room(file, size, path, beside=False)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:  # not every file system can: it will do without
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PayloadError(
                    f"{path} needs {size:,} bytes: {error.strerror}",
                    hint="make room, or write it elsewhere",
                ) from error
    if os.fstat(file.fileno()).st_size < size:
        file.truncate(size)


def _remove(file: IO[bytes], *paths: Path) -> None:
    if sys.platform == "win32":
        file.close()
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
