"""A temporary folder: it is removed at the end, and later if the program was killed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from docker_charon.files import lock
from docker_charon.payload.random_access import file_errors

_PREFIX = "docker-charon-layers-"
_LOCK = "lock"
_TRIES = 10


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder in `tempfile.gettempdir`, which only this user can read.

    Folders of this user that killed programs have left there are removed first: nobody holds their
    locks. Raises `PayloadError` if there is no place for one.
    """
    with file_errors("cannot make a temporary folder"):
        remove_leftovers()
        folder, file = _new_folder(Path(tempfile.gettempdir()))
    try:
        with file:
            yield folder
    finally:
        _remove(folder)


def remove_leftovers() -> None:
    """Remove the folders of killed programs, as far as they can be removed."""
    with contextlib.suppress(OSError):  # there is no folder for temporary files
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_leftover(folder)


def _new_folder(parent: Path) -> tuple[Path, IO[bytes]]:
    """Return a new folder and its locked file; another program may take it for a leftover."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            file = (folder / _LOCK).open("ab")
            try:
                lock(file)
                if os.path.samestat(os.fstat(file.fileno()), (folder / _LOCK).stat()):
                    return folder, file
            except BaseException:
                file.close()
                raise
            file.close()
    raise BlockingIOError(errno.EAGAIN, "other programs remove every new folder")


def _remove_leftover(folder: Path) -> None:
    """Remove a folder unless it is in use, or is somebody else's."""
    with contextlib.suppress(OSError):
        if folder.is_symlink() or not _is_own(folder):
            return
        try:
            with (folder / _LOCK).open("rb+") as file:
                lock(file)
                _remove(folder)
        except FileNotFoundError:
            folder.rmdir()  # it is empty if a program was killed before it made that file


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: it stays a leftover if this is interrupted."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    """Whether a folder is this user's; links, which others can make, are not followed."""
    return not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
