"""Files that outlive a power failure, and the lock on a file that only one process may write."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK_OFFSET = 2**62  # where Windows locks a byte: beyond anything that is read or written


def lock(file: IO[bytes]) -> None:
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


def flush(path: Path) -> None:
    """Bring a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_directory(directory: Path) -> None:
    """Make a rename outlive a power failure, where directories can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a file that has been flushed, so that ``target`` is whole at every moment."""
    temporary.replace(target)
    flush_directory(target.parent)


def write_durably(target: Path, content: bytes, temporary: Path) -> None:
    """Write a file by way of ``temporary``, on the same file system: all of it or none."""
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(temporary, target)
