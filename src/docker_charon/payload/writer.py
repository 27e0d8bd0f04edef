"""Writing a payload: entries into their places, each byte once."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from docker_charon.errors import DigestMismatch, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.format import Entry
from docker_charon.payload.partial_file import Leftover, partial_file
from docker_charon.payload.random_access import RandomAccess, StoredContent, write_all
from docker_charon.payload.zip_records import Record, end_of_central_directory, parse_local_header
from docker_charon.workers import Workers

if sys.platform != "win32":
    import fcntl

_BUFFER = 256 * 1024  # what is received, hashed and written stays in the processor's cache
_ATTEMPTS = 3  # at a blob whose bytes turn out to be wrong


_SEEKABLE = (io.BufferedWriter, io.BufferedRandom, io.BytesIO)


class Readable(Protocol):
    """A blob as it comes in."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end."""


Fetch = Callable[[Descriptor, str], AbstractContextManager[Readable]]
"""Opens a blob, from the repository named."""


class Observer(Protocol):
    """Is told, from any thread, how far a transfer has come."""

    def moved(self, size: int) -> None:
        """So many more bytes are in their place; a negative number will be written again."""

    def finished(self, digest: Digest, *, reused: bool = False) -> None:
        """A blob is in its place; ``reused`` if an earlier run had brought it."""


class _Nobody:
    """Does not care."""

    def moved(self, size: int) -> None:
        pass

    def finished(self, digest: Digest, *, reused: bool = False) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Place:
    """A blob and where it goes."""

    record: Record
    blob: Descriptor
    repository: str


def write_payload(
    zip_file: str | os.PathLike[str] | IO[bytes],
    entries: Iterable[Entry],
    fetch: Fetch,
    observer: Observer | None = None,
    workers: Workers | None = None,
) -> None:
    """Write ``entries`` as a zip, in their order.

    A path gets the whole payload or stays as it was (see `partial_file`). A file object is written
    from where it stands and left open. Where the target can seek, ``workers`` write blobs side by
    side, the largest first, into their places; else the same entries go out one after the other,
    with their checksums behind them. ``observer`` is told how far it is.

    Raises `PayloadError` when the target cannot be written, what ``fetch`` raises, and
    `DigestMismatch` for a blob that is not what its descriptor says.
    """
    task = _Writing(fetch, observer or _Nobody(), workers or Workers())
    if isinstance(zip_file, (str, os.PathLike)):
        path = Path(zip_file)
        task.to_path(path, entries)
    elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "write"):
        raise TypeError("a payload goes to a path or to a file opened for writing bytes")
    else:
        with _told("cannot write the payload"):
            if _is_seekable(zip_file):
                task.to_seekable_file(zip_file, entries)
            else:
                task.to_stream(zip_file, entries)


def payload_size(entries: Iterable[Entry]) -> int:
    """Return the size in bytes of the file that `write_payload` makes of ``entries``."""
    return _Layout(entries).size


class _Layout:
    """The places of all entries, known before the first blob is."""

    def __init__(self, entries: Iterable[Entry], *, streamed: bool = False) -> None:
        self.front = b""
        self.blobs: list[_Place] = []
        self._records: list[Record] = []
        self._crcs: dict[str, int] = {}
        self.end = 0
        front = []
        for entry in entries:
            if entry.blob is None:
                record = Record(entry.path, entry.size, self.end)
                self._crcs[entry.path] = zlib.crc32(entry.content)
                front += [record.local_header(self._crcs[entry.path]), entry.content]
            else:
                record = Record(entry.path, entry.size, self.end, streamed)
                self.blobs.append(_Place(record, entry.blob, entry.repository))
            self._records.append(record)
            self.end = record.end
        self.front = b"".join(front)

    @property
    def size(self) -> int:
        """The size of the whole, in bytes."""
        return self.end + len(self.directory({}))

    def directory(self, blob_crcs: Mapping[str, int]) -> bytes:
        """Return what the payload ends with; CRCs that are not known yet do not change its size."""
        crcs = {**self._crcs, **blob_crcs}
        lines = [record.central_header(crcs.get(record.path, 0)) for record in self._records]
        size = sum(map(len, lines))
        return b"".join(lines) + end_of_central_directory(len(lines), size, self.end)


class _Writing:
    """One payload being written."""

    def __init__(self, fetch: Fetch, observer: Observer, workers: Workers) -> None:
        self._fetch = fetch
        self._observer = observer
        self._workers = workers

    def to_path(self, path: Path, entries: Iterable[Entry]) -> None:
        with _told(f"cannot write {path}"):
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                with path.open("wb") as file:  # a pipe or a device; a directory says what it is
                    self.to_stream(file, entries)
                return
            layout = _Layout(entries)
            # A link stays a link: what it points to is replaced.
            path = Path(os.path.realpath(path))
            with (
                partial_file(path, layout.front, layout.size) as growing,
                _told(f"cannot write {path}"),
            ):
                target = RandomAccess(growing.file, write_behind=True)

                def write(place: _Place) -> int:
                    crc = self._found(target, place, growing.leftover)
                    reused = crc is not None
                    if crc is None:
                        crc = self._fetched(target, place)
                    growing.has_content = True
                    self._observer.finished(place.blob.digest, reused=reused)
                    return crc

                at_hand = growing.leftover.records if growing.leftover else {}
                crcs = self._write_blobs(layout, write, at_hand)
                target.write(layout.directory(crcs), layout.end)

    def to_seekable_file(self, file: IO[bytes], entries: Iterable[Entry]) -> None:
        layout = _Layout(entries)
        base = file.tell()
        target = RandomAccess(file, base)
        target.write(layout.front, 0)

        def write(place: _Place) -> int:
            crc = self._fetched(target, place)
            self._observer.finished(place.blob.digest)
            return crc

        crcs = self._write_blobs(layout, write)
        target.write(layout.directory(crcs), layout.end)
        file.truncate(base + layout.size)  # not every file takes it without a size
        if hasattr(file, "flush"):
            file.flush()

    def to_stream(self, file: IO[bytes], entries: Iterable[Entry]) -> None:
        layout = _Layout(entries, streamed=True)
        write_all(file, layout.front)
        crcs = {}
        for place in layout.blobs:
            write_all(file, place.record.local_header(0))
            with self._fetch(place.blob, place.repository) as source:
                crc = self._copy(place.blob, source, lambda chunk, _: write_all(file, chunk))
            write_all(file, place.record.data_descriptor(crc))
            crcs[place.record.path] = crc
            self._observer.finished(place.blob.digest)
        write_all(file, layout.directory(crcs))
        if hasattr(file, "flush"):
            file.flush()

    def _write_blobs(
        self,
        layout: _Layout,
        write: Callable[[_Place], int],
        at_hand: Collection[str] = (),
    ) -> dict[str, int]:
        """Bring every blob into its place; return the CRCs by path.

        What an earlier run left comes first, so that it is safe, and then the largest.
        """
        places = sorted(
            layout.blobs, key=lambda place: (place.record.path not in at_hand, -place.blob.size)
        )
        crcs = self._workers.map(write, places)
        return {place.record.path: crc for place, crc in zip(places, crcs, strict=True)}

    def _found(self, target: RandomAccess, place: _Place, leftover: Leftover | None) -> int | None:
        """Take a blob from what an interrupted run left; return its CRC, or ``None``."""
        with contextlib.suppress(DigestMismatch, OSError):
            header = target.read(len(place.record.local_header(0)), place.record.offset)
            found = parse_local_header(header, place.record.offset)
            if found is not None and found[0] == place.record:
                crc = self._copy(place.blob, _content(target, place.record))
                if crc != found[1]:
                    target.write(place.record.local_header(crc), place.record.offset)
                return crc
        if leftover is None or place.record.path not in leftover.records:
            return None
        with contextlib.suppress(DigestMismatch, OSError):
            source = _content(leftover.file, leftover.records[place.record.path])
            return self._put(target, place, source)
        return None

    def _fetched(self, target: RandomAccess, place: _Place, attempts: int = _ATTEMPTS) -> int:
        """Fetch a blob, and again from its first byte when it turns out to be a wrong one."""
        try:
            with self._fetch(place.blob, place.repository) as source:
                return self._put(target, place, source)
        except DigestMismatch:
            if attempts == 1:
                raise
        return self._fetched(target, place, attempts - 1)

    def _put(self, target: RandomAccess, place: _Place, source: Readable) -> int:
        """Write a blob into its place, and the header before it once it is there."""
        start = place.record.data_offset
        crc = self._copy(
            place.blob, source, lambda chunk, position: target.write(chunk, start + position)
        )
        target.write(place.record.local_header(crc), place.record.offset)
        return crc

    def _copy(
        self,
        blob: Descriptor,
        source: Readable,
        write: Callable[[memoryview, int], object] = lambda _, __: None,
    ) -> int:
        """Read a blob to its end, checked, and hand its pieces to ``write``; return its CRC-32."""
        check = blob.verifier()
        crc = 0
        buffer = memoryview(bytearray(min(_BUFFER, blob.size + 1)))
        try:
            while size := source.readinto(buffer):
                self._workers.check()
                position = check.size
                check.update(buffer[:size])
                crc = zlib.crc32(buffer[:size], crc)
                write(buffer[:size], position)
                self._observer.moved(size)
            check.finish()
        except BaseException:
            self._observer.moved(-check.size)
            raise
        return crc


def _content(file: RandomAccess, record: Record) -> StoredContent:
    return StoredContent(file, record.data_offset, record.size)


def _is_seekable(file: IO[bytes]) -> bool:
    """Whether bytes can be put where they belong: a device only says so, an appender cannot."""
    if not getattr(file, "seekable", lambda: False)() or not hasattr(file, "truncate"):
        return False
    if "a" in str(getattr(file, "mode", "")):
        return False
    if isinstance(file, io.BufferedIOBase) and not isinstance(file, _SEEKABLE):
        return False  # what compresses seeks forwards only
    try:
        handle = file.fileno()
    except (AttributeError, OSError):
        return True  # it is in memory
    return stat.S_ISREG(os.fstat(handle).st_mode) and not _is_appending(handle)


def _is_appending(handle: int) -> bool:
    """Whether a shell opened this file with ``>>``."""
    if sys.platform == "win32":
        return False
    return bool(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PayloadError(f"{what}: {error.strerror or error}") from error
    except ValueError as error:  # a closed file, a path with a NUL
        raise PayloadError(f"{what}: {error}") from error
