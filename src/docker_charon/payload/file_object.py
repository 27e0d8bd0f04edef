"""The file objects that payloads are read from and written to: the methods that they need."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterable
from typing import Any, Protocol

if sys.platform != "win32":
    import fcntl

_SEEKABLE = (io.BufferedWriter, io.BufferedRandom, io.BytesIO)


class ReadableFile(Protocol):
    """A file object that is opened for reading bytes.

    With ``seekable``, ``seek`` and ``tell``, as files have them, it is read in place. Otherwise it
    is copied to a temporary file first.
    """

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none only at the end."""


class WritableFile(Protocol):
    """A file object that is opened for writing bytes. It may have this method alone."""

    def write(self, data: bytes, /) -> int | None:
        """Write ``data``; return how many bytes were written, or ``None`` for all of them."""


PayloadSource = str | os.PathLike[str] | ReadableFile
"""A payload to read: a path, or a file object."""
PayloadTarget = str | os.PathLike[str] | WritableFile
"""A payload to write: a path, or a file object."""


def checked_sources(payloads: Iterable[PayloadSource], parameter: str) -> list[PayloadSource]:
    """Return payloads as a list; raise ``TypeError``, which names ``parameter``, for a single one.

    Whether each of them is a path or a file object is checked when it is opened.
    """
    if isinstance(payloads, (str, bytes, os.PathLike)) or hasattr(payloads, "read"):
        raise TypeError(f"{parameter} must be a list of files, not a single one")
    return list(payloads)


def is_seekable(file: Any) -> bool:
    """Whether a file can be written at any offset, unlike a device or a file opened to append."""
    if not getattr(file, "seekable", lambda: False)() or not hasattr(file, "truncate"):
        return False
    if "a" in str(getattr(file, "mode", "")):
        return False
    if isinstance(file, io.BufferedIOBase) and not isinstance(file, _SEEKABLE):
        return False  # compressed files seek only forwards
    try:
        handle = file.fileno()
    except (AttributeError, OSError):
        return True  # a file object in memory
    return stat.S_ISREG(os.fstat(handle).st_mode) and not _is_appending(handle)


def _is_appending(handle: int) -> bool:
    """Whether a shell opened this file with ``>>``."""
    if sys.platform == "win32":
        return False
    return bool(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND)
