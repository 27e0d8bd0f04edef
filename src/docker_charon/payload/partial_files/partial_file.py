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
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from docker_charon.errors import BlobNotFound, DigestMismatch, PayloadError, note_partial
from docker_charon.files import copy_mode, put_in_place, set_size, sync
from docker_charon.payload.format.paths import LAYOUT_PATH
from docker_charon.payload.format.zip_records import LONGEST_HEADER, Record, parse_local_header
from docker_charon.payload.partial_files.disk_space import check_room, reserve
from docker_charon.payload.partial_files.locked_file import open_locked
from docker_charon.payload.partial_files.partial_payload import PartialPayload
from docker_charon.payload.random_access import RandomAccess, write_all

if TYPE_CHECKING:
    from docker_charon.payload.partial_files.leftover import Leftover

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
            check_room(file, size, path, beside=f"{partial.name}*")
            if not _is_file(old) or _present(old) <= _leftover(file).present:
                put_in_place(partial, old, file)
                file.close()
                file = open_locked(partial, path)
            else:
                file.truncate(0)  # the older file has more content
        with contextlib.ExitStack() as stack:
            leftover = None
            if _is_file(old):
                leftover = _leftover(stack.enter_context(old.open("rb")))
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


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _leftover(file: IO[bytes]) -> Leftover:
    """Return what is in the partial file of an earlier run for other images."""
    from docker_charon.payload.partial_files.leftover import Leftover  # few runs need it

    return Leftover(file)


def _present(path: Path) -> int:
    with path.open("rb") as file:
        return _leftover(file).present


def _remove(file: IO[bytes], *paths: Path) -> None:
    if sys.platform == "win32":
        file.close()
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
