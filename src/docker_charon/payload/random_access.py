"""A file that several threads read and write at once, each at its own offsets."""

from __future__ import annotations

import errno
import io
import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO

_STRETCH = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of an open file, for who can have the system send it without looking at it."""

    descriptor: int
    """The file's, as `os.sendfile` takes it; its position is not moved."""
    offset: int
    size: int


class PositionalFile(ABC):
    """What several threads read and write at once, each at its own offsets."""

    @abstractmethod
    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end of the file."""

    @abstractmethod
    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of ``data``."""

    def read(self, size: int, offset: int) -> bytes:
        """Return ``size`` bytes, or fewer where the file ends."""
        buffer = bytearray(size)
        done = 0
        while got := self.readinto(memoryview(buffer)[done:], offset + done):
            done += got
        return bytes(buffer[:done])


class RandomAccess(PositionalFile):
    """Reads and writes of one open file, whose offsets are counted from ``base``.

    Whoever moves the file's position by other ways holds ``lock``. ``write_behind`` has the system
    begin to bring to the disk what was written, where it can be asked for that, so that there is
    little left to wait for in the end.
    """

    def __init__(self, file: IO[bytes], base: int = 0, *, write_behind: bool = False) -> None:
        self._file = file
        self._base = base
        self._write_behind = write_behind and hasattr(os, "posix_fadvise")
        self.lock = threading.Lock()

    @property
    def descriptor(self) -> int | None:
        """The system's number for the file; ``None`` where it is no file of the system."""
        try:
            return self._file.fileno()
        except (AttributeError, OSError):
            return None

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end of the file."""
        with self.lock:
            self._file.seek(self._base + offset)
            return read_into(self._file, buffer)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of ``data``."""
        with self.lock:
            self._file.seek(self._base + offset)
            write_all(self._file, data)
        end = offset + len(data)
        if self._write_behind and offset // _STRETCH != end // _STRETCH:
            start = max(0, end // _STRETCH - 1) * _STRETCH
            os.posix_fadvise(self._file.fileno(), start, _STRETCH, os.POSIX_FADV_DONTNEED)


class StoredContent:
    """The ``size`` bytes at an offset, from the first to the last."""

    def __init__(self, file: PositionalFile, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._end = offset + size

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end."""
        size = self._file.readinto(buffer[: self._end - self._offset], self._offset)
        self._offset += size
        return size


def read_into(file: IO[bytes], buffer: memoryview) -> int:
    """Read what the file gives at once; not every file object can do that without a copy."""
    if hasattr(file, "readinto"):
        return int(file.readinto(buffer) or 0)
    data = file.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write every byte: an unbuffered file may take fewer than it is given."""
    rest = memoryview(data)
    while rest:
        written = file.write(rest)
        if written is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "it takes no more at the moment")
        if written is None:
            return  # a duck that does not count has taken everything
        rest = rest[written:]
