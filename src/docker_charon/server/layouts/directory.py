"""A directory whose content is not trusted: its files are opened without following links.

A link in it could make the server send, overwrite or delete any file of this machine.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from docker_charon.errors import ServerError

_OPEN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def check_folder(path: Path) -> None:
    """Raise `ServerError` if the path exists and is not a folder, or is a link to one."""
    status = _status(path)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        raise ServerError(f"{path} is not a folder")


def check_file(path: Path) -> bool:
    """Return whether the path exists; raise `ServerError` if it is a link or not a regular file."""
    status = _status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise ServerError(f"{path} is not a regular file")
    return status is not None


def file_size(path: Path) -> int | None:
    """Return the size of a file in bytes; ``None`` if there is no regular file.

    Raises `ServerError` if the path is a link.
    """
    status = _status(path)
    return status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None


def open_file(path: Path) -> IO[bytes]:
    """Open a file to read it, unbuffered.

    Raises ``FileNotFoundError``, and `ServerError` if the path is a link or not a regular file.
    """
    if not check_file(path):
        raise FileNotFoundError(f"{path} does not exist")
    descriptor = os.open(path, os.O_RDONLY | _OPEN_FLAGS)
    return os.fdopen(descriptor, "rb", buffering=0)


def open_lock(path: Path) -> IO[bytes]:
    """Open the lock file, and create it if it does not exist."""
    check_file(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o666)
    return os.fdopen(descriptor, "r+b", buffering=0)


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Raises `ServerError` when it is a link, not a file, or longer than ``most`` bytes.
    """
    with open_file(path) as file:
        content = bytearray()
        while chunk := file.read(most + 1 - len(content)):
            content += chunk
    if len(content) > most:
        raise ServerError(f"{path} is too large: it has more than {most} bytes")
    return bytes(content)


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a path, or ``None`` if it does not exist; refuse a link."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    # On Windows, a junction is a link to a folder.
    attributes = getattr(status, "st_file_attributes", 0)
    if stat.S_ISLNK(status.st_mode) or attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT:
        raise ServerError(
            f"{path} is a link, and links are not followed here",
            hint="replace it with what it points to",
        )
    return status
