"""A zip archive from an untrusted source: its entries, checked, and their content.

What the central directory says is compared with the local headers and with the content. Entries
are never unpacked to a disk under names from the archive.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.payload.joined_volumes import JoinedVolumes, open_volumes
from docker_charon.payload.limits import LONGEST_DIRECTORY, MOST_ENTRIES
from docker_charon.payload.random_access import (
    Extent,
    RandomAccess,
    StoredContent,
    file_errors,
    read_into,
)

Report = Callable[[DockerCharonError], None]
"""What to do with a problem: raise it, or record it and go on."""

_BUFFER = 256 * 1024
_SPOOL_CHECK = 64 * 1024 * 1024  # bytes that are copied between two checks of the free space
_LOCAL_HEADER = struct.Struct("<4s2x2H4x3L2H")

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # deflated if it was zipped again
_ENCRYPTED = 0x1
_HAS_DATA_DESCRIPTOR = 0x8
_MAX32 = 0xFFFFFFFF
_CENTRAL_HEADER = b"PK\1\2"

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    OverflowError,
)
"""What `zipfile` raises, besides ``ValueError``, for a zip that it cannot read."""


def raise_it(error: DockerCharonError) -> None:
    """Stop at the first problem: raise it."""
    raise error


class Archive:
    """The entries of a zip by path.

    Raises `PayloadError` if the file is not a zip; other problems go to ``report``.
    """

    def __init__(self, file: IO[bytes], name: str, report: Report = raise_it) -> None:
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], _LimitedFile(file)))
        except (ValueError, *_ZIP_ERRORS) as error:
            raise PayloadError(
                f"{name} is not a payload, or was cut short on its way: {error}"
            ) from error
        except OSError as error:
            raise PayloadError(f"cannot read {name}: {error.strerror or error}") from error
        self._file = RandomAccess(file)
        self._volumes = file if isinstance(file, JoinedVolumes) else None
        self._misplaced: dict[zipfile.ZipInfo, str] = {}
        self.entries: dict[str, zipfile.ZipInfo] = {}
        self.verified: dict[str, bytes] = {}
        """The content of entries that was verified: it is not read from the file again."""
        for info in self._zip.infolist():
            for problem in _problems(info):
                report(PayloadError(f"the entry {info.filename!r} of the payload {problem}"))
            if self.entries.setdefault(info.filename, info) is not info:
                report(
                    PayloadError(
                        f"the payload has two entries {info.filename}",
                        hint="docker-charon 0.4 does that for two images whose names differ only "
                        "in / and _: make the payload again with a current one",
                    )
                )
        self._check_places()
        for problem in self._misplaced.values():
            report(PayloadError(problem))

    def _check_places(self) -> None:
        """Find the entries that overlap another entry, or the central directory."""
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            start, problem = info.header_offset, ""
            if start < end:
                problem = "overlaps another entry"
            end = max(
                end, start + _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
            )
            if end > self._zip.start_dir:
                problem = problem or "overlaps the central directory"
            if problem:
                self._misplaced[info] = f"the entry {info.filename} of the payload {problem}"

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Return the whole content of a small entry."""
        if info.filename in self.verified:
            return self.verified[info.filename]
        return b"".join(bytes(chunk) for chunk in self.chunks(info, check_crc=True))

    def batches(self, infos: Iterable[zipfile.ZipInfo]) -> list[list[zipfile.ZipInfo]]:
        """Return entries in batches; the entries of a batch can be read at the same time.

        There is one batch, with the largest entries first. If the volumes are on several media that
        are inserted in turn, there is a batch for each volume, and for each pair with an entry in
        both.
        """
        largest_first = sorted(infos, key=lambda info: -info.file_size)
        if self._volumes is None or not self._volumes.in_turn:
            return [largest_first]
        batches: dict[tuple[int, int], list[zipfile.ZipInfo]] = {}
        for info in largest_first:
            start = info.header_offset
            end = start + _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
            key = self._volumes.number_at(start), self._volumes.number_at(end)
            batches.setdefault(key, []).append(info)
        return [batches[key] for key in sorted(batches)]

    def extent(self, info: zipfile.ZipInfo) -> Extent | None:
        """Return where the content of an entry is; ``None`` if compressed, or not in a real file.

        Raises `PayloadError` if the entry differs from what the central directory says.
        """
        with file_errors(f"cannot read {info.filename}", *_ZIP_ERRORS):
            offset = self._data_offset(info)
        descriptor = self._file.descriptor
        if info.compress_type != zipfile.ZIP_STORED or descriptor is None:
            return None
        return Extent(descriptor, offset, info.file_size)

    def chunks(
        self, info: zipfile.ZipInfo, *, start: int = 0, check_crc: bool = False
    ) -> Iterator[memoryview]:
        """Yield the content of an entry from ``start`` on; a chunk is valid until the next one.

        ``check_crc`` is for content without a digest that is read from its start. Raises
        `PayloadError` if it cannot be read, or differs from what the central directory says.
        """
        if info in self._misplaced:  # many entries could share the same bytes, and take forever
            raise PayloadError(self._misplaced[info])
        buffer = memoryview(bytearray(min(_BUFFER, info.file_size + 1)))
        with file_errors(f"cannot read {info.filename}", *_ZIP_ERRORS):
            for problem in _problems(info):
                raise zipfile.BadZipFile(f"it {problem}")
            offset = self._data_offset(info)
            if info.compress_type != zipfile.ZIP_STORED:
                yield from _without_first(start, self._inflated(info, buffer))
                return
            content = StoredContent(self._file, offset + start, info.file_size - start)
            crc = 0
            while size := content.readinto(buffer):
                if check_crc:
                    crc = zlib.crc32(buffer[:size], crc)
                yield buffer[:size]
            if check_crc and crc != info.CRC:
                raise zipfile.BadZipFile("its content does not match its CRC")

    def _inflated(self, info: zipfile.ZipInfo, buffer: memoryview) -> Iterator[memoryview]:
        # The reader of the standard library uses the same file without a lock of its own.
        with self._file.lock:
            entry = self._zip.open(info)
        with entry:
            while True:
                with self._file.lock:
                    size = read_into(entry, buffer)
                if not size:
                    return
                yield buffer[:size]

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        """Return the offset of an entry's content; its local header must match the directory."""
        header = self._file.read(_LOCAL_HEADER.size, info.header_offset)
        signature, flags, method, crc, packed, size, path_length, extra_length = (
            _LOCAL_HEADER.unpack(header)
        )
        path = self._file.read(path_length, info.header_offset + _LOCAL_HEADER.size)
        same = (
            signature == b"PK\3\4"
            and path.decode("utf-8", "replace") == info.orig_filename
            and (flags, method) == (info.flag_bits, info.compress_type)
        )
        if not flags & _HAS_DATA_DESCRIPTOR:
            same = same and crc == info.CRC and packed in (info.compress_size, _MAX32)
            same = same and size in (info.file_size, _MAX32)
        if not same:
            raise zipfile.BadZipFile("its local header does not match the central directory")
        return int(info.header_offset + _LOCAL_HEADER.size + path_length + extra_length)


class _LimitedFile:
    """A file as `zipfile` reads it, which refuses to return a huge central directory.

    `zipfile` reads the whole directory at once. Its size and its number of entries are counted
    here, because the numbers in the zip may be wrong.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = b""
        if size <= LONGEST_DIRECTORY:
            data = self._file.read(size)
        if size > LONGEST_DIRECTORY or data.count(_CENTRAL_HEADER) > MOST_ENTRIES:
            raise zipfile.BadZipFile(f"it has more than {MOST_ENTRIES:,} entries")
        return data


def _without_first(size: int, chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """Leave out the first ``size`` bytes; a compressed entry has to be read from its start."""
    for chunk in chunks:
        if size < len(chunk):
            yield chunk[size:]
        size = max(0, size - len(chunk))


def _problems(info: zipfile.ZipInfo) -> Iterator[str]:
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        yield "is compressed or encrypted in a way that is not supported"
    elif info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        yield "has two different sizes"
    parts = info.orig_filename.split("/")
    if not parts[0] or ".." in parts or "\\" in info.orig_filename or "\0" in info.orig_filename:
        yield "has a name that could lead outside of a directory"


@contextlib.contextmanager
def open_archive(
    zip_file: str | os.PathLike[str] | IO[bytes], report: Report = raise_it
) -> Iterator[Archive]:
    """Open a zip, which may be in volumes (see `open_volumes`).

    A file object stays open; one that cannot seek is copied to a temporary file.

    Raises `PayloadError` if it cannot be read, and ``TypeError`` for another kind of object.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(zip_file, (str, os.PathLike)):
            name = str(Path(zip_file))
            with file_errors(f"cannot read {name}"):
                volumes = stack.enter_context(open_volumes(zip_file))
                file: IO[bytes]
                if volumes is None:
                    file = stack.enter_context(Path(zip_file).open("rb"))
                else:
                    file = cast(IO[bytes], volumes)
        elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "read"):
            raise TypeError("a payload must be a path or a file opened for reading bytes")
        else:
            name, file = "the file", zip_file
        with file_errors(f"cannot read {name}"):
            seekable = getattr(file, "seekable", lambda: False)()
        if not seekable:
            with file_errors(f"cannot copy {name}"):
                folder = tempfile.gettempdir()
            with file_errors(f"cannot copy {name} to {folder}"):
                copy: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
                _spool(file, copy, folder)
                file = copy
        yield Archive(file, name, report)


def _spool(file: IO[bytes], copy: IO[bytes], folder: str) -> None:
    """Copy a payload from a pipe: a zip is read from its end."""
    while chunk := file.read(_BUFFER):
        if copy.tell() % _SPOOL_CHECK < len(chunk) and (
            shutil.disk_usage(folder).free < 2 * _SPOOL_CHECK
        ):
            raise PayloadError(
                f"{folder} has no space left for the payload after {copy.tell():,} bytes",
                hint="set TMPDIR to a directory with more space, or use a file",
            )
        copy.write(chunk)
