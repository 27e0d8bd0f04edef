"""The partial file of a payload: it is renamed to the payload when it is complete.

``payload.zip`` is written as ``payload.zip.partial`` in the same directory. An interrupted run
leaves that file, and the next run continues with it. Entries that have a local header are checked
and kept. Of a blob that was being fetched, the beginning is kept as far as its mark says that it
has arrived (see `PartialPayload`). If the next run is for other images, its entries have other
offsets. The file is then renamed to ``payload.zip.partial.old``, and the blobs in it are copied,
finished or not. Every byte that is kept or copied is hashed first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from docker_charon.errors import BlobNotFound, DigestMismatch, PayloadError, note_partial
from docker_charon.files import (
    DISK_IS_FULL,
    copy_mode,
    lock,
    put_in_place,
    set_size,
    size_limit,
    sync,
)
from docker_charon.payload.format.paths import LAYOUT_PATH
from docker_charon.payload.format.zip_records import LONGEST_HEADER, Record, parse_local_header
from docker_charon.payload.partial_files.leftover import Leftover
from docker_charon.payload.partial_files.partial_payload import PartialPayload
from docker_charon.payload.random_access import (
    RandomAccess,
    file_errors,
    hint_for_large_file,
    write_all,
)

_TRIES = 100  # to open the file while other runs rename it
_MAKE_SPACE = "free some space, or write to another disk"
PERMANENT = (BlobNotFound, DigestMismatch)
"""Errors that the next run would meet again, so the partial file is not kept."""


def partial_path(path: Path) -> Path:
    """Return the path of the partial file of the payload ``path``."""
    return path.with_name(f"{path.name}.partial")


def deltas_path(path: Path) -> Path:
    """Return the path of the directory in which layer deltas of the payload ``path`` are made."""
    return path.with_name(f"{path.name}.partial.deltas")


class PartialFile(RandomAccess, PartialPayload):
    """A payload that is being written to one file."""

    def __init__(self, file: IO[bytes], leftover: Leftover | None) -> None:
        super().__init__(file, write_behind=True)
        self.leftover = leftover

    def known_crc(self, record: Record) -> int | None:
        """Return ``None``: every entry in the file has to be read and verified."""
        return None

    def finish(self, record: Record, crc: int) -> None:
        """Keep the file after a failure from now on: an entry is complete and verified."""
        self.has_content = True


@contextlib.contextmanager
def partial_file(path: Path, front: bytes, size: int) -> Iterator[PartialFile]:
    """Yield a file that replaces ``path`` if the block succeeds; until then ``path`` is unchanged.

    ``front`` are the bytes at the start of the payload, and ``size`` is its size in bytes. Raises
    `PayloadError` if another run is writing the same payload, if there is not enough disk space,
    or if an unrelated file has the name of the partial file.
    """
    partial = partial_path(path)
    old = partial.with_name(f"{partial.name}.old")
    file = open_locked(partial, path)
    try:
        start = file.read(len(front))
        if not _is_payload(start, front):
            raise PayloadError(
                f"{partial} exists, and is not the partial file of a payload",
                hint="move it to another place",
            )
        if start.strip(b"\0") and start != front:
            _check_room(file, size, path, beside=True)
            if not _is_file(old) or _present(old) <= Leftover(file).present:
                put_in_place(partial, old, file)
                file.close()
                file = open_locked(partial, path)
            else:
                file.truncate(0)  # the older file has more content
        with contextlib.ExitStack() as stack:
            leftover = None
            if _is_file(old):
                leftover = Leftover(stack.enter_context(old.open("rb")))
            growing = PartialFile(file, leftover)
            growing.has_content = leftover is not None or start == front
            try:
                file.seek(0)
                write_all(file, front)
                reserve(file, size, path)
                yield growing
            except BaseException as error:
                stack.close()
                if isinstance(error, PERMANENT) or not growing.has_content:
                    _remove(file, partial, old)
                else:
                    note_partial(error, partial, len(front) + growing.present, size)
                raise
        set_size(file, size)
        sync(file)
        copy_mode(path, partial)
        try:
            put_in_place(partial, path, file)
        except OSError as error:
            raise PayloadError(
                f"cannot rename {partial} to {path}: {error.strerror or error}",
                hint=f"the payload is complete in {partial}: rename that file",
            ) from error
        old.unlink(missing_ok=True)
    finally:
        file.close()


def _is_payload(start: bytes, front: bytes) -> bool:
    """Whether a file starts like every payload, or with zeros, as after a power failure."""
    header = parse_local_header(front[:LONGEST_HEADER], 0)
    magic = front[: header[0].end] if header and header[0].path == LAYOUT_PATH else front
    return start[: len(magic)] == magic[: len(start)] or not start.strip(b"\0")


def open_file(partial: Path) -> IO[bytes]:
    """Open a file to read and write it, or create it; raise `PayloadError` if it is a link.

    Whoever may write to the directory could otherwise have any other file overwritten.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe would block
    if partial.is_symlink():
        raise _not_ours(partial)
    try:
        descriptor = os.open(partial, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:  # it has become a link in the meantime
            raise _not_ours(partial) from None
        raise
    file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115, PTH123  # the caller closes it
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise _not_ours(partial)
    return file


def _not_ours(partial: Path) -> PayloadError:
    return PayloadError(
        f"{partial} is a link, or no regular file, and is not written to", hint="remove it"
    )


def open_locked(partial: Path, path: Path) -> IO[bytes]:
    """Open a file that only one process may write."""
    for _ in range(_TRIES):
        file = open_file(partial)
        try:
            lock(file)
        except BlockingIOError:
            file.close()
            raise PayloadError(
                f"another docker-charon is writing {path}", hint="wait until it has finished"
            ) from None
        # Another run may have finished in between and renamed the file that was opened.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), partial.lstat()):
                return file
        file.close()
    raise PayloadError(f"cannot lock {partial}: another process keeps renaming it")


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _present(path: Path) -> int:
    with path.open("rb") as file:
        return Leftover(file).present


def _check_room(file: IO[bytes], size: int, path: Path, *, beside: bool) -> None:
    """Raise `PayloadError` if the disk has too little space for a payload of ``size`` bytes.

    ``beside`` means that ``file`` is kept beside the payload; otherwise the payload gets its space.
    """
    status = os.fstat(file.fileno())
    blocks = getattr(status, "st_blocks", None)
    allocated = status.st_size if blocks is None else blocks * 512
    needed = size if beside else max(0, size - allocated)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise PayloadError(
            f"{path} needs {needed:,} more bytes, and {path.parent} has {free:,} bytes free",
            hint=f"{_MAKE_SPACE} ({partial_path(path).name}* has blobs of other images)"
            if beside
            else _MAKE_SPACE,
        )


def reserve(file: IO[bytes], size: int, path: Path) -> None:
    """Allocate the disk space of the payload; raise `PayloadError` if there is not enough."""
    check_limit(file, size, path)
    _check_room(file, size, path, beside=False)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:  # not every file system supports it, and it is not required
            if error.errno in DISK_IS_FULL:
                raise PayloadError(
                    f"{path} needs {size:,} bytes: {error.strerror}",
                    hint=_MAKE_SPACE,
                ) from error
    if os.fstat(file.fileno()).st_size < size:
        with file_errors(f"cannot write {path}"):
            set_size(file, size)


def check_limit(file: IO[bytes], size: int, name: object) -> None:
    """Raise `PayloadError` if a file of ``size`` bytes is too large for its file system."""
    limit = size_limit(os.fstat(file.fileno()).st_dev)
    if limit is not None and size > limit:
        raise PayloadError(
            f"{name} needs {size:,} bytes, and a file on its disk can have {limit:,} bytes (FAT32)",
            hint=hint_for_large_file(),
        )


def _remove(file: IO[bytes], *paths: Path) -> None:
    if sys.platform == "win32":
        file.close()
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
