"""Writing a payload: entries into their places, each byte once."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from docker_charon.descriptor import Descriptor
from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.payload import Entry
from docker_charon.zip_records import Record, end_of_central_directory

if sys.platform != "win32":
    import fcntl

_BUFFER = 1024 * 1024


class Readable(Protocol):
    """A blob as it comes in."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end."""


Fetch = Callable[[Descriptor, str], AbstractContextManager[Readable]]
"""Opens a blob, from the repository named."""


def write_payload(
    zip_file: str | os.PathLike[str] | IO[bytes],
    entries: Iterable[Entry],
    fetch: Fetch,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> None:
    """Write ``entries`` as a zip, in their order.

    A path gets the whole payload or stays as it was: the bytes are collected beside it, flushed
    to the disk and renamed. A file object is written from where it stands and left open; one that
    cannot seek gets the same entries with their checksums behind them. ``on_bytes`` is told of
    every piece of a blob that has been written.

    Raises `PayloadError` when the target cannot be written, what ``fetch`` raises, and
    `DigestMismatch` for a blob that is not what its descriptor says.
    """
    if isinstance(zip_file, (str, os.PathLike)):
        path = Path(zip_file)
        with _told(f"cannot write {path}"), _open_target(path) as (file, seekable):
            _write(file, seekable, entries, fetch, on_bytes)
    elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "write"):
        raise TypeError("a payload goes to a path or to a file opened for writing bytes")
    else:
        with _told("cannot write the payload"):
            _write(zip_file, _is_seekable(zip_file), entries, fetch, on_bytes)


def _write(
    file: IO[bytes],
    seekable: bool,
    entries: Iterable[Entry],
    fetch: Fetch,
    on_bytes: Callable[[int], object],
) -> None:
    base = file.tell() if seekable else 0
    directory: list[tuple[Record, int]] = []
    position = 0
    for entry in entries:
        streamed = entry.blob is not None and not seekable
        record = Record(entry.path, entry.size, position, streamed)
        if entry.blob is None:
            crc = zlib.crc32(entry.content)
            _write_all(file, record.local_header(crc) + entry.content)
        elif seekable:
            file.seek(base + record.data_offset)
            with fetch(entry.blob, entry.repository) as source:
                crc = _copy(entry.blob, source, file, on_bytes)
            file.seek(base + record.offset)
            _write_all(file, record.local_header(crc))
            file.seek(base + record.end)
        else:
            _write_all(file, record.local_header(0))
            with fetch(entry.blob, entry.repository) as source:
                crc = _copy(entry.blob, source, file, on_bytes)
            _write_all(file, record.data_descriptor(crc))
        directory.append((record, crc))
        position = record.end
    lines = b"".join(record.central_header(crc) for record, crc in directory)
    _write_all(file, lines + end_of_central_directory(len(directory), len(lines), position))
    if seekable:
        file.truncate()
    if hasattr(file, "flush"):
        file.flush()


def _copy(
    blob: Descriptor, source: Readable, file: IO[bytes], on_bytes: Callable[[int], object]
) -> int:
    """Write a blob as it comes in, checked; return its CRC-32."""
    check = blob.verifier()
    crc = 0
    buffer = memoryview(bytearray(min(_BUFFER, blob.size + 1)))
    while size := source.readinto(buffer):
        chunk = buffer[:size]
        check.update(chunk)
        crc = zlib.crc32(chunk, crc)
        _write_all(file, chunk)
        on_bytes(size)
    check.finish()
    return crc


def _write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write every byte: an unbuffered file may take fewer than it is given."""
    rest = memoryview(data)
    while rest:
        written = file.write(rest)
        if written is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "it takes no more at the moment")
        if written is None:
            return  # a duck that does not count has taken everything
        rest = rest[written:]


def _is_seekable(file: IO[bytes]) -> bool:
    """Whether bytes can be put where they belong: a device only says so, an appender cannot."""
    if not getattr(file, "seekable", lambda: False)() or "a" in str(getattr(file, "mode", "")):
        return False
    try:
        handle = file.fileno()
    except (AttributeError, OSError):
        return True  # it is in memory
    return stat.S_ISREG(os.fstat(handle).st_mode) and not _is_appending(handle)


def _is_appending(handle: int) -> bool:
    """Whether a shell opened this file with ``>>``."""
    if sys.platform == "win32":
        return False
    return bool(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND)


@contextlib.contextmanager
def _open_target(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """Yield a file that becomes ``path`` when all went well, and otherwise never was.

    With it comes whether it can seek: a pipe or a device is written as it is, in order.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with path.open("wb") as file:  # a directory says here what it is
            yield file, False
        return
    path = Path(os.path.realpath(path))  # a link stays one; its target is replaced
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            yield file, True
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    """Make a rename outlive a power failure, where directories can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except DockerCharonError:
        raise
    except OSError as error:
        raise PayloadError(f"{what}: {error.strerror or error}") from error
    except ValueError as error:  # a closed file, a path with a NUL
        raise PayloadError(f"{what}: {error}") from error
