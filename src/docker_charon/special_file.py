"""Special files: paths that lead to no file on a disk, but to a pipe, a device or a descriptor.

``/dev/stdout``, ``/dev/fd/5`` and ``/proc/self/fd/5`` are open descriptors of this process. A shell
names one for ``<(command)`` and ``>(command)``. They are used as they are: to open their path again
would overwrite the file that they lead to, and fails for sockets and for files of other users.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

StrPath = str | os.PathLike[str]

_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")
_MOST_LINKS = 40  # as many as Linux follows
_PATIENCE = 1.0  # seconds until a message says that a pipe has nobody at its other end
_BLOCK = 1024 * 1024  # bytes that are read at a time
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def descriptor_of(path: StrPath) -> int | None:
    """Return the descriptor that a path names, or that a link leads to; ``None`` for a file.

    The descriptor may be closed.
    """
    with contextlib.suppress(OSError, ValueError):
        current = Path(path)
        for _ in range(_MOST_LINKS):
            name = current.name
            if name.isascii() and name.isdigit() and _has_descriptors(current.parent):
                return int(name)
            current = current.parent / current.readlink()
    return None


def _has_descriptors(folder: Path) -> bool:
    folders = (os.path.realpath(name) for name in _DESCRIPTORS if os.path.isdir(name))  # noqa: PTH112
    return os.path.realpath(folder) in folders


def is_stream(path: StrPath) -> bool:
    """Return whether a path leads to what takes bytes and must stay.

    That is an open descriptor of this process, a pipe, a device or a socket.
    """
    if descriptor_of(path) is not None:
        return True
    mode = _mode(path)
    return mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_socket(path: StrPath) -> bool:
    """Return whether a path leads to a socket, which cannot be opened."""
    mode = _mode(path)
    return descriptor_of(path) is None and mode is not None and stat.S_ISSOCK(mode)


def require_file(path: StrPath) -> None:
    """Raise ``OSError`` for a stream (see `is_stream`): what is here is read again, or replaced.

    A descriptor of a file is accepted, and so is a directory, and a path that leads nowhere.
    """
    if is_stream(path) and (kind := kind_of(path)) is not None:
        raise OSError(errno.EINVAL, f"it is {kind}; write its content to a file first")


def is_character_device(file: Any) -> bool:
    """Return whether a path or an open file is a terminal, a tape, ``/dev/null`` or the like.

    It has no size, and what is written to it replaces nothing.
    """
    try:
        path = file if isinstance(file, (str, os.PathLike)) else file.fileno()
        return stat.S_ISCHR(os.stat(path).st_mode)  # noqa: PTH116  # of a descriptor, too
    except (AttributeError, OSError, ValueError, TypeError):
        return False  # a file object in memory


def kind_of(path: StrPath) -> str | None:
    """Return what messages call the place of a path; ``None`` for a regular file, and nothing."""
    mode = _mode(path)
    return None if mode is None else next((name for is_it, name in _KINDS if is_it(mode)), None)


def _mode(path: StrPath) -> int | None:
    descriptor = descriptor_of(path)
    try:
        return os.stat(path if descriptor is None else descriptor).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return None


def open_to_read(path: StrPath) -> IO[bytes]:
    """Open a file, or what takes its place; raise ``OSError`` if that is not possible.

    A message is logged if a named pipe has no writer, and its opening waits for one.
    """
    descriptor = descriptor_of(path)
    if descriptor is not None and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(os.dup(descriptor), "rb")
    with _waiting(path, "writes to"):
        return Path(path).open("rb")


def open_to_write(path: StrPath) -> IO[bytes]:
    """Open a stream (see `is_stream`); raise ``OSError`` if that is not possible.

    A message is logged if a named pipe has no reader, and its opening waits for one.
    """
    descriptor = descriptor_of(path)
    if descriptor is not None:
        return os.fdopen(os.dup(descriptor), "wb")
    with _waiting(path, "reads from"):
        return Path(path).open("wb")


def read_all(path: StrPath, most: int) -> bytes:
    """Return the content of a file, opened as by `open_to_read`, of ``most`` bytes at most.

    Raises ``OSError`` if it cannot be read, and ``ValueError`` if it is longer or has no path.
    """
    content = bytearray()
    with open_to_read(path) as file:
        while chunk := file.read(min(_BLOCK, most + 1 - len(content))):
            content += chunk
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return bytes(content)


@contextlib.contextmanager
def _waiting(path: StrPath, what: str) -> Iterator[None]:
    """Log a message if the block takes long because ``path`` is a pipe that nobody uses.

    Raises ``OSError`` for a socket.
    """
    if is_socket(path):
        raise OSError(errno.ENXIO, "it is a socket")
    mode = _mode(path)
    if mode is None or not stat.S_ISFIFO(mode):
        yield
        return
    import threading  # few files are pipes, and most commands end before they need any of this

    from docker_charon.messages import get_logger

    text = "%s is a pipe: waiting for a program that %s it"
    log = get_logger(__name__)
    timer = threading.Timer(_PATIENCE, log.warning, (text, os.fspath(path), what))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
