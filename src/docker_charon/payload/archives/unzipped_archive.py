"""An unzipped archive: the files of a directory as the entries of a payload.

Links are not followed, and nothing is opened that is not a regular file: the directory may come
from strangers.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.payload.archives.archive import Archive
from docker_charon.payload.format.limits import MOST_ENTRIES
from docker_charon.payload.random_access import Extent, file_errors, read_into

_BUFFER = 256 * 1024
_DEEPEST = 8  # directories; a blob is two directories below the top
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class UnzippedArchive(Archive):
    """The files below a directory by their path from there.

    Raises `PayloadError` if the directory cannot be read, or has too many files.
    """

    kind = "directory"

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))
        self._directory = directory
        with file_errors(f"cannot read {directory}"):
            for path, size in _files(directory, "", _DEEPEST):
                if len(self.entries) >= MOST_ENTRIES:
                    raise PayloadError(f"{directory} has more than {MOST_ENTRIES:,} files")
                info = zipfile.ZipInfo(path)
                info.file_size = size
                self.entries[path] = info

    def extent(self, info: zipfile.ZipInfo) -> Extent | None:
        """Return ``None``: no file stays open."""
        return None

    def chunks(
        self, info: zipfile.ZipInfo, *, start: int = 0, check_crc: bool = False
    ) -> Iterator[memoryview]:
        """Yield the content of a file, as `Archive.chunks` does; a directory has no CRCs."""
        path = self._directory / info.filename
        buffer = memoryview(bytearray(min(_BUFFER, info.file_size + 1)))
        with file_errors(f"cannot read {path}"):
            descriptor = os.open(path, _FLAGS | _BINARY)
            with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  # of a descriptor
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_size != info.file_size:
                    raise PayloadError(f"{path} has changed since it was opened first")
                file.seek(start)
                while size := read_into(file, buffer):
                    yield buffer[:size]


def _files(directory: Path, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    """Yield the path and the size in bytes of every file."""
    with os.scandir(directory) as children:
        for child in children:
            path = f"{prefix}{child.name}"
            if child.is_file(follow_symlinks=False):
                yield path, child.stat(follow_symlinks=False).st_size
            elif child.is_dir(follow_symlinks=False) and depth:
                yield from _files(Path(child.path), f"{path}/", depth - 1)
