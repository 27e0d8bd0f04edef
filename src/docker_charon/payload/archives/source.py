"""The source of a payload: a zip, volumes of one, the directory of an unzipped one, or a pipe."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from docker_charon.errors import PayloadError
from docker_charon.payload.archives.archive import Archive, Report, raise_it
from docker_charon.payload.archives.unzipped_archive import UnzippedArchive
from docker_charon.payload.archives.zip_archive import ZipArchive
from docker_charon.payload.file_object import PayloadSource
from docker_charon.payload.random_access import file_errors
from docker_charon.payload.volumes.joined_volumes import open_volumes
from docker_charon.special_file import is_character_device, open_to_read

_BUFFER = 256 * 1024
_SPOOL_CHECK = 64 * 1024 * 1024  # bytes that are copied between two checks of the free space
_OTHER_FOLDER = "set TMPDIR to a directory with more space, or use a file"


@contextlib.contextmanager
def open_archive(zip_file: PayloadSource, report: Report = raise_it) -> Iterator[Archive]:
    """Open a zip, in volumes or not (see `open_volumes`), or the directory of an unzipped one.

    A file object stays open; one that cannot seek is copied to a temporary file.

    Raises `PayloadError` if it cannot be read, and ``TypeError`` for another kind of object.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(zip_file, (str, os.PathLike)):
            name = str(Path(zip_file))
            with file_errors(f"cannot read {name}"):
                is_directory = Path(zip_file).is_dir()
            if is_directory:
                yield UnzippedArchive(Path(zip_file))
                return
            with file_errors(f"cannot read {name}"):
                volumes = stack.enter_context(open_volumes(zip_file))
                file: IO[bytes]
                if volumes is None:
                    file = stack.enter_context(open_to_read(zip_file))
                else:
                    file = cast(IO[bytes], volumes)
        elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "read"):
            raise TypeError("a payload must be a path or a file opened for reading bytes")
        else:
            path = getattr(zip_file, "name", None)  # <stdin> is not one
            name = path if isinstance(path, str) and path[:1] != "<" else "the file"
            file = cast(IO[bytes], zip_file)
        with file_errors(f"cannot read {name}"):
            has_end = getattr(file, "seekable", lambda: False)() and not is_character_device(file)
        if not has_end:
            with file_errors(f"cannot copy {name}"):
                folder = tempfile.gettempdir()
            with file_errors(f"cannot copy {name} to {folder}"):
                copy: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
                _spool(file, copy, folder)
                file = copy
        yield ZipArchive(file, name, report)


def _spool(file: IO[bytes], copy: IO[bytes], folder: str) -> None:
    """Copy a payload from a pipe: a zip is read from its end.

    If it begins with nothing but zeros, only these are copied, because a device may have no end.
    """
    while chunk := file.read(_BUFFER):
        if not copy.tell() and not chunk.strip(b"\0"):
            copy.write(chunk)
            return
        if copy.tell() % _SPOOL_CHECK < len(chunk) and (
            shutil.disk_usage(folder).free < 2 * _SPOOL_CHECK
        ):
            raise PayloadError(
                f"{folder} has no space left for the payload after {copy.tell():,} bytes",
                hint=_OTHER_FOLDER,
            )
        try:
            copy.write(chunk)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise PayloadError(
                f"{folder} cannot hold a file of more than {copy.tell():,} bytes",
                hint=_OTHER_FOLDER,
            ) from error
