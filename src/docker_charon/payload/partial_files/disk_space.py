"""The space on the disk that a payload needs, and the limits of file systems."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

from docker_charon.errors import PayloadError
from docker_charon.files import DISK_IS_FULL, set_size, size_limit
from docker_charon.payload.random_access import file_errors, hint_for_large_file

_MAKE_SPACE = "free some space, or write to another disk"


def check_room(file: IO[bytes], size: int, path: Path, *, beside: str = "") -> None:
    """Raise `PayloadError` if the disk has too little space for a payload of ``size`` bytes.

    The payload gets the space that ``file`` has, unless ``beside`` says under which names that is
    kept beside the payload.
    """
    status = os.fstat(file.fileno())
    blocks = getattr(status, "st_blocks", None)
    allocated = status.st_size if blocks is None else blocks * 512
    needed = size if beside else max(0, size - allocated)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise PayloadError(
            f"{path} needs {needed:,} more bytes, and {path.parent} has {free:,} bytes free",
            hint=f"{_MAKE_SPACE} ({beside} has blobs of other images)" if beside else _MAKE_SPACE,
        )


def reserve(file: IO[bytes], size: int, path: Path) -> None:
    """Allocate the disk space of the payload; raise `PayloadError` if there is not enough."""
    check_limit(file, size, path)
    check_room(file, size, path)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:  # not every file system supports it, and it is not required
            if error.errno in DISK_IS_FULL:
                raise PayloadError(
                    f"{path} needs {size:,} bytes: {error.strerror}",
                    hint=_MAKE_SPACE,
                ) from error
    if os.fstat(file.fileno()).st_size < size:
        with file_errors(f"cannot write {path}"):
            set_size(file, size)


def check_limit(file: IO[bytes], size: int, name: object) -> None:
    """Raise `PayloadError` if a file of ``size`` bytes is too large for its file system."""
    limit = size_limit(os.fstat(file.fileno()).st_dev)
    if limit is not None and size > limit:
        raise PayloadError(
            f"{name} needs {size:,} bytes, and a file on its disk can have {limit:,} bytes (FAT32)",
            hint=hint_for_large_file(),
        )
