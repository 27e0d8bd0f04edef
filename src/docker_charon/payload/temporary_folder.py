"""A temporary folder: it is removed at the end, and later if the program was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docker_charon.files import lock
from docker_charon.payload.random_access import file_errors

_PREFIX = "docker-charon-layers-"
_LOCK = "lock"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder in `tempfile.gettempdir`, which only this user can read.

    Folders of this user that killed programs have left there are removed first: nobody holds their
    locks. Raises `PayloadError` if there is no place for one.
    """
    with file_errors("cannot make a temporary folder"):
        parent = Path(tempfile.gettempdir())
        _remove_leftovers(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with file_errors(f"cannot write to {folder}"):
            file = (folder / _LOCK).open("wb")
        with file:
            with contextlib.suppress(BlockingIOError):  # no other program knows it
                lock(file)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or not _is_own(folder):
                continue
            with (folder / _LOCK).open("rb+") as file:
                lock(file)
                shutil.rmtree(folder, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
