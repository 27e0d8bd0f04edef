"""A zip archive from an untrusted source: its entries, checked, and their content.

What the central directory says is compared with the local headers and with the content. Entries
are never unpacked to a disk under names from the archive.
"""

from __future__ import annotations

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, cast

from docker_charon.errors import PayloadError
from docker_charon.payload.archives.archive import Archive, Report, raise_it
from docker_charon.payload.archives.damage import COPY_AGAIN, COPY_IT_AGAIN, damaged
from docker_charon.payload.archives.diagnosis import UNZIP, unusual_compression, what_file_is
from docker_charon.payload.format.limits import LONGEST_DIRECTORY, MOST_ENTRIES
from docker_charon.payload.random_access import (
    Extent,
    RandomAccess,
    StoredContent,
    file_error,
    file_errors,
    read_into,
)
from docker_charon.payload.volumes.joined_volumes import JoinedVolumes

_BUFFER = 512 * 1024
_LOCAL_HEADER = struct.Struct("<4s2x2H4x3L2H")

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


class ZipArchive(Archive):
    """The entries of a zip by path.

    Raises `PayloadError` if the file is not a zip; other problems go to ``report``.
    """

    kind = "zip"

    def __init__(self, file: IO[bytes], name: str, report: Report = raise_it) -> None:
        super().__init__(name)
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], _LimitedFile(file)))
        except (ValueError, *_ZIP_ERRORS) as error:
            raise what_file_is(file, name, str(error)) from error
        except OSError as error:
            raise file_error(f"cannot read {name}", error) from error
        if any(info.header_offset < 0 for info in self._zip.infolist()):
            raise what_file_is(file, name, "entries are missing at its beginning")
        self._file = RandomAccess(file)
        self._volumes = file if isinstance(file, JoinedVolumes) else None
        self._misplaced: dict[zipfile.ZipInfo, str] = {}
        for info in self._zip.infolist():
            info.filename = _path_of(info)
            if not info.filename:
                continue  # the directory itself
            for problem in _problems(info):
                report(problem)
            if self.entries.setdefault(info.filename, info) is not info:
                report(
                    PayloadError(
                        f"the payload has two entries {info.filename}",
                        hint="docker-charon 0.4 does that for two images whose names differ only "
                        "in / and _: make the payload again with a current one",
                    )
                )
        self._check_places()
        for misplaced in self._misplaced.values():
            report(PayloadError(misplaced))

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

    def batches(self, infos: Iterable[zipfile.ZipInfo]) -> list[list[zipfile.ZipInfo]]:
        """Return entries in batches, as `Archive.batches` does.

        If the volumes are on several media that are inserted in turn, there is a batch for each
        volume, and for each pair with an entry in both.
        """
        largest_first = super().batches(infos)
        if self._volumes is None or not self._volumes.in_turn:
            return largest_first
        batches: dict[tuple[int, int], list[zipfile.ZipInfo]] = {}
        for info in largest_first[0]:
            start = info.header_offset
            end = start + _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
            key = self._volumes.number_at(start), self._volumes.number_at(end)
            batches.setdefault(key, []).append(info)
        return [batches[key] for key in sorted(batches)]

    def extent(self, info: zipfile.ZipInfo) -> Extent | None:
        """Return where the content of an entry is; ``None`` if compressed, or not in a real file.

        Raises `PayloadError` if the entry differs from what the central directory says.
        """
        with self._reading(info):
            offset = self._data_offset(info)
        descriptor = self._file.descriptor
        if info.compress_type != zipfile.ZIP_STORED or descriptor is None:
            return None
        return Extent(descriptor, offset, info.file_size)

    def chunks(
        self, info: zipfile.ZipInfo, *, start: int = 0, check_crc: bool = False
    ) -> Iterator[memoryview]:
        """Yield the content of an entry, as `Archive.chunks` does."""
        if info in self._misplaced:  # many entries could share the same bytes, and take forever
            raise PayloadError(self._misplaced[info])
        for error in _problems(info):
            raise error
        buffer = memoryview(bytearray(min(_BUFFER, info.file_size + 1)))
        with self._reading(info):
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
                raise damaged(f"{info.filename} has another checksum")

    @contextlib.contextmanager
    def _reading(self, info: zipfile.ZipInfo) -> Iterator[None]:
        """Raise `PayloadError` for an entry that cannot be read, and for a file that cannot be."""
        with file_errors(f"cannot read {info.filename}", *_ZIP_ERRORS):
            try:
                yield
            except OSError as error:
                raise file_error(f"cannot read {info.filename} in {self.name}", error) from error

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
        if len(header) < _LOCAL_HEADER.size:
            raise PayloadError(
                f"cannot read {info.filename}: the file is shorter than it was when it was opened",
                hint=COPY_IT_AGAIN,
            )
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
            raise PayloadError(
                f"cannot read {info.filename}: its local header does not match the central "
                "directory",
                hint=f"{COPY_AGAIN}; volumes that are joined by hand are joined in their order",
            )
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


def _path_of(info: zipfile.ZipInfo) -> str:
    """Return the path of an entry as a payload has it.

    Some programs put ``./`` before every name, and some on Windows write backslashes.
    """
    path = info.orig_filename.replace("\\", "/")
    while path.startswith("./"):
        path = path.removeprefix("./")
    return path


def _problems(info: zipfile.ZipInfo) -> Iterator[PayloadError]:
    """Yield what is wrong with an entry, as the central directory describes it."""
    subject = f"the entry {info.filename!r} of the payload"
    problem = unusual_compression(info)
    if problem is not None:
        yield PayloadError(f"{subject} {problem}", hint=UNZIP)
    elif info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        yield PayloadError(f"{subject} has two different sizes")
    parts = info.filename.split("/")
    if not parts[0] or ".." in parts or "\0" in info.filename:
        yield PayloadError(f"{subject} has a name that could lead outside of a directory")
