"""A zip opened for reading: its entries, checked before anything is made of them, and their bytes.

Whoever sends a payload is not trusted: what the zip says of itself is compared with what is there,
and nothing is ever unpacked to a disk under a name that it gives.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.payload.limits import LONGEST_DIRECTORY, MOST_ENTRIES
from docker_charon.payload.random_access import Extent, RandomAccess, StoredContent, read_into

Report = Callable[[DockerCharonError], None]
"""What is done about a problem: raise it, or write it down and go on."""

_BUFFER = 256 * 1024
_SPOOL_CHECK = 64 * 1024 * 1024  # bytes from one look at the disk to the next
_LOCAL_HEADER = struct.Struct("<4s2x2H4x3L2H")

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the latter if somebody zipped it again
_ENCRYPTED = 0x1
_HAS_DATA_DESCRIPTOR = 0x8
_MAX32 = 0xFFFFFFFF
_DIRECTORY_LINE = b"PK\1\2"

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    ValueError,
    OverflowError,
)
"""What `zipfile` raises for a zip that it cannot read; a ``ValueError`` also for a closed file."""


def raise_it(error: DockerCharonError) -> None:
    """Stop at the first problem."""
    raise error


class Archive:
    """The entries of a zip by path.

    Raises `PayloadError` for what is no zip; other problems go to ``report``.
    """

    def __init__(self, file: IO[bytes], name: str, report: Report = raise_it) -> None:
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], _Bounded(file)))
        except _DAMAGE as error:
            raise PayloadError(
                f"{name} is not a payload, or was cut short on its way: {error}"
            ) from error
        except OSError as error:
            raise PayloadError(f"cannot read {name}: {error.strerror or error}") from error
        self._file = RandomAccess(file)
        self._misplaced: dict[zipfile.ZipInfo, str] = {}
        self.entries: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            for problem in _problems(info):
                report(PayloadError(f"the payload has {info.filename!r} {problem}"))
            if self.entries.setdefault(info.filename, info) is not info:
                report(
                    PayloadError(
                        f"the payload has {info.filename} twice",
                        hint="an older docker-charon does that for two images whose names differ "
                        "in / and _ only: make it again",
                    )
                )
        self._check_places()
        for problem in self._misplaced.values():
            report(PayloadError(problem))

    def _check_places(self) -> None:
        """Find the entries that share bytes with another one, or reach into the directory."""
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            start, problem = info.header_offset, ""
            if start < end:
                problem = "inside of another entry"
            end = max(
                end, start + _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
            )
            if end > self._zip.start_dir:
                problem = problem or "that reaches into its directory"
            if problem:
                self._misplaced[info] = f"the payload has {info.filename} {problem}"

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Return the whole content of a short entry."""
        return b"".join(bytes(chunk) for chunk in self.chunks(info, check_crc=True))

    def extent(self, info: zipfile.ZipInfo) -> Extent | None:
        """Return where an entry's content lies; ``None`` if it is compressed, or in no real file.

        Raises `PayloadError` when the entry is not as the directory says.
        """
        with told(f"cannot read {info.filename}"):
            offset = self._data_offset(info)
        descriptor = self._file.descriptor
        if info.compress_type != zipfile.ZIP_STORED or descriptor is None:
            return None
        return Extent(descriptor, offset, info.file_size)

    def chunks(
        self, info: zipfile.ZipInfo, *, start: int = 0, check_crc: bool = False
    ) -> Iterator[memoryview]:
        """Yield an entry's content from ``start`` on, in pieces valid until the next is asked for.

        ``check_crc`` is for content that has no digest, and is read from its start. Raises
        `PayloadError` when it cannot be read, or is not as the directory says.
        """
        if info in self._misplaced:  # many such can claim one stretch of bytes, without end
            raise PayloadError(self._misplaced[info])
        buffer = memoryview(bytearray(min(_BUFFER, info.file_size + 1)))
        with told(f"cannot read {info.filename}"):
            for problem in _problems(info):
                raise zipfile.BadZipFile(f"it is {problem}")
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
                raise zipfile.BadZipFile("its CRC is another one")

    def _inflated(self, info: zipfile.ZipInfo, buffer: memoryview) -> Iterator[memoryview]:
        # The standard library's reader shares the file, and knows nothing of other readers.
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
        """Return where an entry's content starts; its local header must agree with that."""
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
            raise zipfile.BadZipFile("its local header is not what the directory says")
        return int(info.header_offset + _LOCAL_HEADER.size + path_length + extra_length)


class _Bounded:
    """A file as `zipfile` reads it: the directory, which it wants in one piece, must not be huge.

    What a zip says of its directory's size and of its number of lines is not believed: they are
    counted.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = b""
        if size <= LONGEST_DIRECTORY:
            data = self._file.read(size)
        if size > LONGEST_DIRECTORY or data.count(_DIRECTORY_LINE) > MOST_ENTRIES:
            raise zipfile.BadZipFile(f"it has more than {MOST_ENTRIES:,} entries")
        return data


def _without_first(size: int, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    """Leave out the first ``size`` bytes: there is no other way into a compressed entry."""
    for piece in pieces:
        if size < len(piece):
            yield piece[size:]
        size = max(0, size - len(piece))


def _problems(info: zipfile.ZipInfo) -> Iterator[str]:
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        yield "packed in a way that is not ours"
    elif info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        yield "with two sizes"
    parts = info.orig_filename.split("/")
    if not parts[0] or ".." in parts or "\\" in info.orig_filename or "\0" in info.orig_filename:
        yield "under a name that leads elsewhere"


@contextlib.contextmanager
def open_archive(
    zip_file: str | os.PathLike[str] | IO[bytes], report: Report = raise_it
) -> Iterator[Archive]:
    """Open a zip. A file object is left open; one that cannot seek is copied to a temporary file.

    Raises `PayloadError` when it cannot be read, and ``TypeError`` for what is no such thing.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(zip_file, (str, os.PathLike)):
            name = str(Path(zip_file))
            with told(f"cannot read {name}"):
                file: IO[bytes] = stack.enter_context(Path(zip_file).open("rb"))
        elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "read"):
            raise TypeError("a payload comes from a path or from a file opened for reading bytes")
        else:
            name, file = "the file", zip_file
        with told(f"cannot read {name}"):
            seekable = getattr(file, "seekable", lambda: False)()
        if not seekable:
            with told(f"cannot copy {name}"):
                folder = tempfile.gettempdir()
            with told(f"cannot copy {name} to {folder}"):
                copy: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
                _spool(file, copy, folder)
                file = copy
        yield Archive(file, name, report)


def _spool(file: IO[bytes], copy: IO[bytes], folder: str) -> None:
    """Copy a payload that comes through a pipe: a zip is read from its end."""
    while chunk := file.read(_BUFFER):
        if copy.tell() % _SPOOL_CHECK < len(chunk) and (
            shutil.disk_usage(folder).free < 2 * _SPOOL_CHECK
        ):
            raise PayloadError(
                f"{folder} has no room left for the payload after {copy.tell():,} bytes",
                hint="name a larger directory in TMPDIR, or use a file",
            )
        copy.write(chunk)


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Make a `PayloadError` that begins with ``what`` of a file that cannot be read."""
    try:
        yield
    except OSError as error:
        raise PayloadError(f"{what}: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise PayloadError(f"{what}: {error}") from error
