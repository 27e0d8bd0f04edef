"""Random access to a file by several threads, each at its own offsets."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import IO, cast

from docker_charon.errors import PayloadError
from docker_charon.files import DISK_IS_FULL
from docker_charon.messages import argument
from docker_charon.payload.file_object import WritableFile
from docker_charon.value import dataclass

MAKE_SPACE = "free some space, or write to another disk"
"""What to do if a disk is full."""

_HINTS = {
    **dict.fromkeys(DISK_IS_FULL, MAKE_SPACE),
    errno.EIO: "the medium may be damaged: try it once more, and then use another one",
    errno.ESTALE: "the network share was connected again: run the same command again",
}
"""What to do about errors of the system, by their numbers."""

_WRITE_BEHIND = 4 * 1024 * 1024  # bytes that are sent to the disk at a time


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of an open file, for `os.sendfile`."""

    descriptor: int
    """The file descriptor. The position of the file does not change."""
    offset: int
    size: int


class PositionalFile(ABC):
    """What several threads read and write, each at its own offsets."""

    @abstractmethod
    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the end of the file."""

    @abstractmethod
    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of ``data``."""

    def read(self, size: int, offset: int) -> bytes:
        """Return ``size`` bytes, or fewer at the end of the file."""
        buffer = bytearray(size)
        done = 0
        while count := self.readinto(memoryview(buffer)[done:], offset + done):
            done += count
        return bytes(buffer[:done])


class RandomAccess(PositionalFile):
    """Reads and writes one open file at offsets that are counted from ``base``.

    Hold ``lock`` while you move the position of the file in any other way. With ``write_behind``
    the system starts to write to the disk early, if it supports that, so that little is left to
    flush at the end.
    """

    def __init__(self, file: IO[bytes], base: int = 0, *, write_behind: bool = False) -> None:
        self._file = file
        self._base = base
        self._write_behind = write_behind and hasattr(os, "posix_fadvise")
        self.lock = threading.Lock()

    @property
    def descriptor(self) -> int | None:
        """The file descriptor; ``None`` for a file object in memory."""
        try:
            return self._file.fileno()
        except (AttributeError, OSError):
            return None

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the end of the file."""
        with self.lock:
            self._file.seek(self._base + offset)
            return read_into(self._file, buffer)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of ``data``."""
        with self.lock:
            self._file.seek(self._base + offset)
            write_all(self._file, data)
        end = offset + len(data)
        if self._write_behind and offset // _WRITE_BEHIND != end // _WRITE_BEHIND:
            start = max(0, end // _WRITE_BEHIND - 1) * _WRITE_BEHIND
            with contextlib.suppress(OSError):  # it only saves time
                os.posix_fadvise(self._file.fileno(), start, _WRITE_BEHIND, os.POSIX_FADV_DONTNEED)


class StoredContent:
    """The ``size`` bytes of a file from ``offset`` on, read from first to last."""

    def __init__(self, file: PositionalFile, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._end = offset + size

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the end."""
        size = self._file.readinto(buffer[: self._end - self._offset], self._offset)
        self._offset += size
        return size


def read_into(file: IO[bytes], buffer: memoryview) -> int:
    """Read into ``buffer`` once; return the number of bytes, 0 at the end of the file."""
    if hasattr(file, "readinto"):
        return int(file.readinto(buffer) or 0)
    data = file.read(len(buffer))  # not every file object has readinto
    buffer[: len(data)] = data
    return len(data)


def write_all(file: WritableFile, data: bytes | memoryview) -> None:
    """Write all of ``data``; an unbuffered file may accept only a part at a time.

    An object that is not one of Python's files gets a copy of the bytes, because it may keep them.
    """
    rest = memoryview(data)
    is_python_file = isinstance(file, io.IOBase)
    while rest:
        written = file.write(cast(bytes, rest) if is_python_file else bytes(rest))
        if written is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "it accepts no more data at the moment")
        if written is None:
            return  # some file-like objects write everything and return nothing
        rest = rest[written:]


@contextlib.contextmanager
def file_errors(action: str, *others: type[Exception]) -> Iterator[None]:
    """Turn exceptions of a file into a `PayloadError` that says which ``action`` failed.

    These are ``OSError``, ``ValueError`` (from a closed file, or a path with a NUL) and ``others``.
    """
    kinds: tuple[type[Exception], ...] = (ValueError, *others)
    try:
        yield
    except OSError as error:
        raise file_error(action, error) from error
    except kinds as error:
        raise PayloadError(f"{action}: {error}") from error


def file_error(action: str, error: OSError) -> PayloadError:
    """Return what to raise if the system refuses ``action``."""
    hint = hint_for_large_file() if error.errno == errno.EFBIG else _HINTS.get(error.errno or 0, "")
    return PayloadError(f"{action}: {error.strerror or error}", hint=hint)


def hint_for_large_file() -> str:
    """Return what to do if a file is too large for its file system."""
    size = argument("--volume-size 4G", "volume_size=")
    return f"write it in volumes ({size}), or to another disk"
