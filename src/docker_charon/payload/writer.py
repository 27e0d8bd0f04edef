"""The writer of payloads: it writes every entry at its offset, each byte once."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, cast

from docker_charon.errors import DigestMismatch, DockerCharonError, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.file_object import PayloadTarget, WritableFile, is_seekable
from docker_charon.payload.format.entries import Entry
from docker_charon.payload.format.places import Place, Places
from docker_charon.payload.format.zip_records import Record, parse_local_header
from docker_charon.payload.partial_files.arrival_mark import MARK_EVERY, arrived
from docker_charon.payload.partial_files.continued_blob import ContinuedBlob, Fetch, Readable
from docker_charon.payload.partial_files.disk_space import check_limit
from docker_charon.payload.partial_files.partial_file import partial_file
from docker_charon.payload.partial_files.partial_payload import PartialPayload
from docker_charon.payload.random_access import (
    PositionalFile,
    RandomAccess,
    StoredContent,
    file_errors,
    write_all,
)
from docker_charon.payload.unreadable_blobs import GoesOnAfter, UnreadableBlobs
from docker_charon.progress import Progress
from docker_charon.value import dataclass
from docker_charon.workers import Workers

_BUFFER = 1024 * 1024  # bytes; it takes an eighth less CPU time than 128 KiB
_ATTEMPTS = 3  # to fetch a blob whose content does not match its digest


def write_payload(
    zip_file: PayloadTarget,
    entries: Iterable[Entry],
    fetch: Fetch,
    progress: Progress | None = None,
    workers: Workers | None = None,
    *,
    volume_size: int | None = None,
    goes_on_after: GoesOnAfter | None = None,
) -> None:
    """Write ``entries`` as a zip, in their order.

    A path gets the complete payload or stays unchanged (see `partial_file`). A file object is
    written from its current position and stays open. If the target is seekable, ``workers`` write
    the blobs in parallel at their offsets, the largest first. Otherwise the same entries are
    written one after the other, each followed by its checksum. ``progress`` counts the bytes, and
    the blobs by the paths of their entries.

    With ``volume_size``, in bytes, the path gets volumes (see `partial_volumes`). Their entries are
    written in order, so that the first volume is finished first.

    If a path gets a single file, and ``goes_on_after`` says so, the other blobs are still written
    after the error of one. `UnreadableBlobs` is raised at the end, and the next call continues from
    what is there, as after an interruption.

    Raises `PayloadError` if the target cannot be written, `DigestMismatch` if a blob does not
    match its descriptor, and whatever ``fetch`` raises.
    """
    task = _Writing(fetch, progress, workers or Workers(), goes_on_after)
    if isinstance(zip_file, (str, os.PathLike)):
        task.to_path(Path(zip_file), entries, volume_size)
    elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "write"):
        raise TypeError("a payload must be a path or a file opened for writing bytes")
    elif volume_size is not None:
        raise _needs_path("a file object")
    else:
        with file_errors("cannot write the payload"):
            if is_seekable(zip_file):
                task.to_seekable_file(cast(IO[bytes], zip_file), entries)
            else:
                task.to_stream(zip_file, entries)


@dataclass(frozen=True, slots=True)
class _Writing:
    """One payload that is being written."""

    _fetch: Fetch
    _progress: Progress | None
    _workers: Workers
    _goes_on_after: GoesOnAfter | None

    def to_path(self, path: Path, entries: Iterable[Entry], volume_size: int | None) -> None:
        with file_errors(f"cannot write {path}"):
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                if volume_size is not None:
                    raise _needs_path(path)
                with path.open("wb") as file:  # a pipe or a device; a directory is an error
                    self.to_stream(file, entries)
                return
            places = Places(entries)
            # The target of a symbolic link is replaced, not the link.
            path = Path(os.path.realpath(path))
            with (
                self._partial(path, places, volume_size) as partial,
                file_errors(f"cannot write {path}"),
            ):
                self._write_blobs(places, partial, partial)

    def _partial(
        self, path: Path, places: Places, volume_size: int | None
    ) -> AbstractContextManager[PartialPayload]:
        if volume_size is None:
            return partial_file(path, places.front, places.size)
        # Few payloads need it.
        from docker_charon.payload.volumes.partial_volumes import partial_volumes

        return partial_volumes(path, places.front, places.size, volume_size, self._workers.check)

    def to_seekable_file(self, file: IO[bytes], entries: Iterable[Entry]) -> None:
        places = Places(entries)
        base = file.tell()
        with contextlib.suppress(AttributeError, OSError):  # a file object in memory
            check_limit(file, base + places.size, "the payload")
        target = RandomAccess(file, base)
        target.write(places.front, 0)
        self._write_blobs(places, target)
        file.truncate(base + places.size)  # some file objects require the size
        if hasattr(file, "flush"):
            file.flush()

    def to_stream(self, file: WritableFile, entries: Iterable[Entry]) -> None:
        places = Places(entries, streamed=True)
        write_all(file, places.front)
        crcs = {}
        for place in places.blobs:
            write_all(file, place.record.local_header(0))
            with self._open(place) as source:
                crc = self._copy(place.blob, source, lambda chunk, _: write_all(file, chunk))
            write_all(file, place.record.data_descriptor(crc))
            crcs[place.record.path] = crc
            self._finished(place)
        write_all(file, places.directory(crcs))
        if hasattr(file, "flush"):
            file.flush()

    def _write_blobs(
        self,
        places: Places,
        target: PositionalFile,
        partial: PartialPayload | None = None,
    ) -> None:
        """Write every blob to its place, and then the central directory.

        Volumes are written in order, so that the first one is finished first. Otherwise blobs in
        the leftover of an earlier run come first, so that they are not lost if this run is
        interrupted too; then the largest ones.
        """
        leftover = partial.leftover if partial else None
        known = leftover.records if leftover else {}
        can_be_written_again = partial is not None and not partial.in_order
        goes_on_after = self._goes_on_after if can_be_written_again else None
        unreadable: dict[Digest, DockerCharonError] = {}

        def attempt(place: Place) -> int:
            try:
                return write(place)
            except DockerCharonError as error:
                if place.file or not goes_on_after or not goes_on_after(error, place.repository):
                    raise
                unreadable[place.blob.digest] = error
                return 0

        def write(place: Place) -> int:
            crc = self._reuse(partial, place) if partial else None
            if crc is None and partial:
                crc = self._resume(partial, place)
            if crc is None:
                crc = self._fetch_blob(target, place)
            if partial:
                partial.finish(place.record, crc)
            self._finished(place)
            return crc

        ordered = places.blobs
        if not (partial and partial.in_order):
            ordered = sorted(ordered, key=lambda p: (p.record.path not in known, -p.blob.size))
        try:
            crcs = self._workers.map(attempt, ordered)
            if unreadable:
                raise UnreadableBlobs(unreadable)
        except BaseException:
            if partial:
                with contextlib.suppress(OSError, ValueError):
                    partial.present = sum(partial.arrived(place.record) for place in ordered)
            raise
        paths = [place.record.path for place in ordered]
        target.write(places.directory(dict(zip(paths, crcs, strict=True))), places.end)

    def _reuse(self, partial: PartialPayload, place: Place) -> int | None:
        """Return the CRC of a blob that an interrupted run has left complete; else ``None``."""
        known_crc = partial.known_crc(place.record)
        if known_crc is not None:
            self._moved(place.blob.size, place.blob.size)
            return known_crc
        with contextlib.suppress(DigestMismatch, OSError):
            data = partial.read(len(place.record.local_header(0)), place.record.offset)
            header = parse_local_header(data, place.record.offset)
            if header is not None and header[0] == place.record:
                crc = self._copy(place.blob, _content(partial, place.record), reused=header[0].size)
                if crc != header[1]:
                    partial.write(place.record.local_header(crc), place.record.offset)
                return crc
        return None

    def _resume(self, partial: PartialPayload, place: Place) -> int | None:
        """Fetch what is missing of a blob whose beginning an interrupted run has left.

        Return ``None`` if no beginning is there, or if it turns out to be damaged.
        """
        record, leftover = place.record, partial.leftover
        size, in_place = partial.arrived(record), True
        beginning: Readable = StoredContent(partial, record.data_offset, size)
        if leftover is not None and (earlier := leftover.records.get(record.path)):
            earlier_size = min(arrived(leftover.file, earlier), place.blob.size)
            if earlier_size > size:
                size, in_place = earlier_size, False
                beginning = StoredContent(leftover.file, earlier.data_offset, size)
        if not size:
            return None

        with (
            contextlib.suppress(DigestMismatch),
            ContinuedBlob(place.blob, beginning, lambda: self._open(place, size)) as blob,
        ):
            return self._put(partial, place, blob, reused=size, in_place=in_place)
        return None

    def _fetch_blob(self, target: PositionalFile, place: Place, attempts: int = _ATTEMPTS) -> int:
        """Fetch a blob; fetch it again from its first byte if it does not match its digest."""
        try:
            with self._open(place) as source:
                return self._put(target, place, source)
        except DigestMismatch:
            if attempts == 1:
                raise
        return self._fetch_blob(target, place, attempts - 1)

    def _open(self, place: Place, start: int = 0) -> AbstractContextManager[Readable]:
        """Open a blob from an offset on: at the registry, or in the local file that has it."""
        if place.file is None:
            return self._fetch(place.blob, place.repository, start)
        file = place.file.open("rb", buffering=0)
        file.seek(start)
        return file

    def _put(
        self,
        target: PositionalFile,
        place: Place,
        source: Readable,
        *,
        reused: int = 0,
        in_place: bool = False,
    ) -> int:
        """Write a blob to its place, and its header after it has been verified.

        The first ``reused`` bytes were left by an earlier run; ``in_place`` means that they are not
        written again.
        """
        record = place.record
        partial = target if isinstance(target, PartialPayload) else None
        written = reused if in_place else 0

        def write(chunk: memoryview, position: int) -> None:
            nonlocal written
            end = position + len(chunk)
            if end <= written:
                return
            target.write(chunk, record.data_offset + position)
            written = end
            if partial and (not position or position // MARK_EVERY != end // MARK_EVERY):
                partial.mark(record, written)

        if partial:
            partial.mark(record, written)
        try:
            crc = self._copy(place.blob, source, write, reused=reused)
        except BaseException as error:
            if partial and not isinstance(error, DigestMismatch):
                with contextlib.suppress(OSError, ValueError):
                    partial.mark(record, written)
            raise
        target.write(record.local_header(crc), record.offset)
        return crc

    def _copy(
        self,
        blob: Descriptor,
        source: Readable,
        write: Callable[[memoryview, int], object] = lambda _, __: None,
        *,
        reused: int = 0,
    ) -> int:
        """Read and verify a blob, and pass its chunks to ``write``; return its CRC-32.

        The progress counts the first ``reused`` bytes as resumed.
        """
        verifier = blob.verifier()
        crc = 0
        buffer = memoryview(bytearray(min(_BUFFER, blob.size + 1)))
        try:
            while size := source.readinto(buffer):
                self._workers.check()
                position = verifier.size
                verifier.update(buffer[:size])
                crc = zlib.crc32(buffer[:size], crc)
                write(buffer[:size], position)
                self._moved(size, max(0, min(reused - position, size)))
            verifier.finish()
        except BaseException:
            self._moved(-verifier.size, -min(reused, verifier.size))
            raise
        return crc

    def _moved(self, size: int, reused: int) -> None:
        if self._progress is not None:
            self._progress.moved(size, reused=reused)

    def _finished(self, place: Place) -> None:
        if self._progress is not None:
            self._progress.finished(place.record.path)


def _needs_path(target: object) -> PayloadError:
    return PayloadError(
        f"{target} cannot be written in volumes", hint="name a file that they get their names from"
    )


def _content(file: PositionalFile, record: Record) -> StoredContent:
    return StoredContent(file, record.data_offset, record.size)
