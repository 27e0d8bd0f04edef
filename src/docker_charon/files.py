"""Files that survive a power failure, and locks on files that only one process may write."""

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

_LOCK_OFFSET = 2**62  # Windows locks the byte there, which is never read or written


def lock(file: IO[bytes]) -> None:
    """Lock a file; raise ``BlockingIOError`` if another process has locked it.

    Nothing happens on a file system without locks.
    """
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
    """Flush the content of a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_directory(directory: Path) -> None:
    """Flush a directory, so that a rename in it survives a power failure, if the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a flushed file to ``target``, which is complete at every moment."""
    temporary.replace(target)
    flush_directory(target.parent)


def write_durably(target: Path, content: bytes, temporary: Path) -> None:
    """Write ``target`` completely or not at all; ``temporary`` is on the same file system.

    ``temporary`` is always a new file: if it is a link, the link is removed, not followed.
    """
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(temporary, target)
