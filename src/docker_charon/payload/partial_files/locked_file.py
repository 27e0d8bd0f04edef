"""A locked file: one process writes it, and nobody can put a link in its place."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import IO

from docker_charon.errors import PayloadError
from docker_charon.files import lock

_TRIES = 100  # to open the file while other runs rename it


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
