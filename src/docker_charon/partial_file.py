"""The file in which a payload grows, until it is whole and takes its name.

``payload.zip`` grows in ``payload.zip.partial`` beside it. A run that is interrupted leaves that
file, and the next one goes on from it: the entries whose local header is there are checked and
kept. When other images are asked for meanwhile, every entry has another place; then the file is
set aside as ``payload.zip.partial.old``, and what it has is copied from there. Nothing in either is
believed that has not been hashed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from docker_charon.errors import BlobNotFound, DigestMismatch, DockerCharonError, PayloadError
from docker_charon.manifest import Manifest
from docker_charon.payload import DESCRIPTOR_PATH, LAYOUT_PATH, PayloadDescriptor, blob_path
from docker_charon.random_access import RandomAccess
from docker_charon.zip_records import Record, parse_local_header

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LONGEST_HEADER = 512  # bytes; ours have a path of at most 142
_LOCK_OFFSET = 2**62  # where Windows locks a byte: beyond anything that is read or written
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
        with contextlib.suppress(DockerCharonError, ValueError, AttributeError, OSError):
            self._find()

    def _find(self) -> None:
        """Follow the headers to the first gap, then reckon with what the metadata says."""
        offset = 0
        sizes: dict[str, int] = {}
        descriptor = b""
        while found := parse_local_header(self.file.read(_LONGEST_HEADER, offset), offset):
            record, _ = found
            self.records[record.path] = record
            offset = record.end
            if record.path == DESCRIPTOR_PATH:
                descriptor = self.file.read(record.size, record.data_offset)
            elif descriptor and len(sizes) < len(json.loads(descriptor)["blobs_paths"]):
                with contextlib.suppress(DockerCharonError):
                    content = self.file.read(record.size, record.data_offset)
                    for blob in Manifest.parse(content).blobs:
                        sizes[blob_path(blob.digest)] = blob.size
        for path in (PayloadDescriptor.parse(descriptor).zip_paths or {}).values():
            if path not in self.records:
                self.records[path] = Record(path, sizes[path], offset)
                offset = self.records[path].end


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
            partial.replace(old)
            file.close()
            file = _open_locked(partial, path)
        file.seek(0)
        file.write(front)
        with contextlib.ExitStack() as stack:
            leftover = None
            if old.exists():
                leftover = Leftover(stack.enter_context(old.open("rb")))
            growing = PartialFile(file, leftover)
            growing.has_content = leftover is not None or begins == front
            try:
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
        if sys.platform == "win32":
            file.close()
        partial.replace(path)
        old.unlink(missing_ok=True)
    finally:
        file.close()
    _flush_directory(path.parent)


def _is_ours(begins: bytes, front: bytes) -> bool:
    """Whether a file begins as all payloads do; one of zeros met a power failure early on."""
    found = parse_local_header(front[:_LONGEST_HEADER], 0)
    magic = front[: found[0].end] if found and found[0].path == LAYOUT_PATH else front
    return begins.startswith(magic) or not begins.strip(b"\0")


def _open_locked(partial: Path, path: Path) -> IO[bytes]:
    """Open a file for one process at a time."""
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115, PTH123  # the caller closes it
        try:
            _lock(file)
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


def _lock(file: IO[bytes]) -> None:
    """Raise ``BlockingIOError`` when another process has the file; some systems cannot tell."""
    try:
        if sys.platform == "win32":
            file.seek(_LOCK_OFFSET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if sys.platform == "win32" and isinstance(error, PermissionError):
            raise BlockingIOError from error


def _reserve(file: IO[bytes], size: int, path: Path) -> None:
    """Take the disk space that the payload needs; raise `PayloadError` when it is not there."""
    status = os.fstat(file.fileno())
    has = min(size, getattr(status, "st_blocks", 0) * 512)
    free = shutil.disk_usage(path.parent).free
    if size - has > free:
        raise PayloadError(
            f"{path} needs {size - has:,} bytes more, and {path.parent} has {free:,} free",
            hint="make room, or write it elsewhere",
        )
    if hasattr(os, "posix_fallocate"):
        with contextlib.suppress(OSError):  # not every file system can: it will do without
            os.posix_fallocate(file.fileno(), 0, size)
            return
    if status.st_size < size:
        file.truncate(size)


def _remove(file: IO[bytes], *paths: Path) -> None:
    if sys.platform == "win32":
        file.close()
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _flush_directory(directory: Path) -> None:
    """Make a rename outlive a power failure, where directories can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
