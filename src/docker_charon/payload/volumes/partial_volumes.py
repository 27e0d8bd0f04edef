"""Partial volumes: the volumes of a payload while they are written.

``payload.zip.001`` is written as ``payload.zip.001.partial``. It is renamed when all its bytes have
been verified and all volumes before it have been renamed. Then it can be moved to its medium.

``payload.zip.volumes.json.partial`` is the journal of the finished volumes (see `VolumeJournal`).
If a run is interrupted, the next one writes only the other volumes. At the end the list of volumes
replaces the journal. If the payload cannot be completed, or the next run is for other images, its
finished volumes are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from docker_charon.errors import PayloadError, note_partial
from docker_charon.files import put_in_place, sync, write_durably
from docker_charon.messages import argument, get_logger
from docker_charon.payload.format.zip_records import Record
from docker_charon.payload.partial_files.disk_space import reserve
from docker_charon.payload.partial_files.locked_file import open_file, open_locked
from docker_charon.payload.partial_files.partial_file import PERMANENT, partial_path
from docker_charon.payload.partial_files.partial_payload import PartialPayload
from docker_charon.payload.random_access import RandomAccess
from docker_charon.payload.volumes.volume_content import pieces, sample
from docker_charon.payload.volumes.volume_journal import FinishedVolume, VolumeJournal
from docker_charon.payload.volumes.volume_list import (
    MOST_VOLUMES,
    Volume,
    VolumeList,
    read_list,
    volume_sizes,
)
from docker_charon.payload.volumes.volume_names import list_path, volume_path

_log = get_logger(__name__)


@dataclass
class _Growing:
    """A volume that is being written, or that is ``finished``; sizes and offsets are in bytes.

    ``lacking`` is the number of bytes that are not written yet. ``crcs`` are the CRCs of the
    entries that begin in it.
    """

    path: Path
    number: int
    start: int
    size: int
    lacking: int
    finished: Volume | None = None
    crcs: dict[str, int] = field(default_factory=dict)
    file: IO[bytes] | None = None

    @property
    def end(self) -> int:
        return self.start + self.size

    def open(self) -> RandomAccess:
        """Open the volume if it is finished, otherwise its partial file."""
        if self.finished is not None:
            self.file = self.path.open("rb", buffering=0)
            return RandomAccess(self.file)
        self.file = open_file(partial_path(self.path))
        reserve(self.file, self.size, self.path)
        return RandomAccess(self.file, write_behind=True)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        self.file = None


class PartialVolumes(PartialPayload):
    """A payload that is being written in volumes.

    The blobs of an earlier run for other images are not used. ``check`` is called repeatedly while
    a volume is hashed; it raises an exception to stop that.
    """

    in_order = True  # so that a volume is soon finished

    def __init__(
        self, base: Path, sizes: list[int], journal: VolumeJournal, check: Callable[[], object]
    ) -> None:
        self.has_content = journal.goes_on
        self._journal = journal
        self._check = check
        self._volume_size = sizes[0]
        self._volumes = [
            _Growing(volume_path(base, n), n, (n - 1) * sizes[0], size, size)
            for n, size in enumerate(sizes, 1)
        ]
        self._files: dict[int, RandomAccess] = {}
        self._hashed = 0  # volumes, from the first on
        self._is_hashing = False
        self._whole: Any = hashlib.sha256()  # None if the file of a hashed volume was moved
        self._outdated: tuple[Path, ...] = ()
        self._lock = threading.Lock()

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the end."""
        if offset >= self._volumes[-1].end:
            return 0
        volume = self._at(offset)
        return self._open(volume).readinto(buffer[: volume.end - offset], offset - volume.start)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of ``data``, except what is in finished volumes already."""
        rest = memoryview(data)
        while rest:
            volume = self._at(offset)
            part = rest[: volume.end - offset]
            if volume.finished is None:
                self._open(volume).write(part, offset - volume.start)
            rest, offset = rest[len(part) :], offset + len(part)

    def known_crc(self, record: Record) -> int | None:
        """Return the CRC-32 of an entry if all of it is in finished volumes; else ``None``."""
        volumes = self._between(record.offset, record.end)
        if any(volume.finished is None for volume in volumes):
            return None
        return volumes[0].crcs.get(record.path)

    def arrived(self, record: Record) -> int:
        """Return how many bytes of an entry are there; no file is created to find out."""
        if self.known_crc(record) is not None:
            return record.size
        volume = self._at(record.offset)
        if volume.finished is not None or not partial_path(volume.path).exists():
            return 0  # an unfinished entry begins in an unfinished volume
        return super().arrived(record)

    def finish(self, record: Record, crc: int) -> None:
        """Record that an entry is written and verified; finish the volumes that are complete."""
        self.has_content = True
        with self._lock:
            self._at(record.offset).crcs[record.path] = crc
        self.finish_bytes(record.offset, record.end)

    def finish_bytes(self, start: int, end: int) -> None:
        """Record that these bytes are written; finish the volumes that are complete."""
        with self._lock:
            for volume in self._between(start, end):
                volume.lacking -= min(end, volume.end) - max(start, volume.start)
        while (volume_to_finish := self._claim()) is not None:
            try:
                self._finish_volume(volume_to_finish)
            finally:
                self._is_hashing = False

    def take_over(self, base: Path) -> None:
        """Find the volumes that earlier runs finished.

        A volume in the journal may have been moved to its medium. A volume in the list of a
        complete payload counts only if its file exists: otherwise it was lost, and is written
        again.
        """
        finished = {line.number: line for line in self._journal.finished}
        if list_path(base).exists():
            for number, listed in enumerate(self._listed(base), 1):
                if self._volumes[number - 1].path.is_file():
                    finished.setdefault(number, FinishedVolume(number, listed, {}))
        elif self.has_content:
            # The power may have failed after a volume was renamed, before it was in the journal.
            volume = self._volumes[min(len(finished), len(self._volumes) - 1)]
            if volume.path.is_file() and volume.number not in finished:
                put_in_place(volume.path, partial_path(volume.path))
        for volume in self._volumes:
            line = finished.get(volume.number)
            is_next = volume.number == self._hashed + 1
            if line is None:
                continue
            volume.finished, volume.crcs = line.volume, dict(line.crcs)
            digest, whole = self._hash(volume)
            if digest not in (None, line.volume.sha256):
                volume.finished = None  # it is damaged
                self._close(volume)
            elif is_next:
                self._whole, self._hashed = whole, volume.number

    def complete(self) -> VolumeList:
        """Finish all volumes; return their list."""
        for volume in self._volumes:
            volume.lacking = 0
        self.finish_bytes(0, 0)
        return self._journal.listed(
            [volume.finished for volume in self._volumes if volume.finished is not None],
            None if self._whole is None else self._whole.hexdigest(),
        )

    def close(self) -> None:
        """Close all files."""
        for volume in self._volumes:
            self._close(volume)

    def _at(self, offset: int) -> _Growing:
        return self._volumes[offset // self._volume_size]

    def _between(self, start: int, end: int) -> list[_Growing]:
        return self._volumes[start // self._volume_size : (end - 1) // self._volume_size + 1]

    def _open(self, volume: _Growing) -> RandomAccess:
        with self._lock:
            if volume.number not in self._files:
                self._files[volume.number] = volume.open()
            return self._files[volume.number]

    def _close(self, volume: _Growing) -> None:
        with self._lock:
            self._files.pop(volume.number, None)
            volume.close()

    def _listed(self, base: Path) -> tuple[Volume, ...]:
        """Return the volumes in the list of the same payload; those of another one are outdated."""
        earlier = None
        with contextlib.suppress(PayloadError):
            earlier = read_list(list_path(base))
            if self._journal.is_of(earlier):
                return earlier.volumes
        numbers = range(len(self._volumes) + 1, 1 + len(earlier.volumes) if earlier else 0)
        self._outdated = (list_path(base), *(volume_path(base, number) for number in numbers))
        return ()

    def _claim(self) -> _Growing | None:
        """Return the next volume if it is complete and no other thread is finishing a volume."""
        with self._lock:
            if self._is_hashing or self._hashed == len(self._volumes):
                return None
            volume = self._volumes[self._hashed]
            if volume.finished is None and volume.lacking:
                return None
            self._is_hashing = True
            return volume

    def _finish_volume(self, volume: _Growing) -> None:
        """Hash a volume and rename it."""
        digest, self._whole = self._hash(volume)
        if volume.finished is None and digest is not None and volume.file is not None:
            content = sample(self._open(volume), volume.size)
            sync(volume.file)
            self._close(volume)
            for path in self._outdated:  # they are incomplete from now on
                path.unlink(missing_ok=True)
            self._outdated = ()
            put_in_place(partial_path(volume.path), volume.path)
            volume.finished = Volume(volume.path.name, volume.size, digest, content)
            self._journal.add(FinishedVolume(volume.number, volume.finished, volume.crcs))
            _log.info("%s is complete and can be moved", volume.path)
        self._hashed = volume.number

    def _hash(self, volume: _Growing) -> tuple[str | None, Any]:
        """Return the SHA-256 of a volume, and the hash of the payload up to the end of it.

        Both are ``None`` if the file was moved; the hash is also ``None`` if an earlier one was.
        """
        digest, whole = hashlib.sha256(), self._whole and self._whole.copy()
        try:
            for piece in pieces(self._open(volume), volume.size):
                self._check()
                digest.update(piece)
                if whole is not None:
                    whole.update(piece)
        except FileNotFoundError:
            return None, None
        return digest.hexdigest(), whole


@contextlib.contextmanager
def partial_volumes(
    base: Path,
    front: bytes,
    size: int,
    volume_size: int,
    check: Callable[[], object] = lambda: None,
) -> Iterator[PartialVolumes]:
    """Yield the volumes of the payload ``base``; if the block succeeds, write their list.

    ``front`` are the bytes at the start of the payload, and ``size`` is its size in bytes. Volumes
    of an older payload with this name are replaced one by one.

    Raises `PayloadError` if there would be more than `MOST_VOLUMES`, if another run is writing the
    same payload, if there is not enough disk space, or if an unrelated file has the name of the
    journal.
    """
    try:
        sizes = volume_sizes(size, volume_size)
    except ValueError:
        raise PayloadError(
            f"{base} would have more than {MOST_VOLUMES} volumes, as it has {size:,} bytes",
            hint=f"choose a larger {argument('--volume-size', 'volume_size')}",
        ) from None
    path = partial_path(list_path(base))
    file = open_locked(path, base)
    with contextlib.ExitStack() as stack:
        stack.callback(file.close)
        metadata_sha256 = hashlib.sha256(front).hexdigest()
        journal = VolumeJournal(file, path, size, volume_size, metadata_sha256)
        if not journal.goes_on:
            _remove_partials(base)
            _remove_volumes(base, journal.abandoned)
        growing = PartialVolumes(base, sizes, journal, check)
        stack.callback(growing.close)
        try:
            growing.take_over(base)
            growing.write(front, 0)
            growing.finish_bytes(0, len(front))
            yield growing
            listed = growing.complete()
        except BaseException as error:
            growing.close()
            if isinstance(error, PERMANENT) or not growing.has_content:
                _remove_partials(base)
                _remove_volumes(base, journal.finished)
                if os.name == "nt":
                    file.close()
                path.unlink(missing_ok=True)
            else:
                note_partial(error, path, len(front) + growing.present, size)
            raise
        write_durably(list_path(base), listed.encode(), path.with_name(f"{path.name}.new"))
    path.unlink()


def _remove_partials(base: Path) -> None:
    """Remove the partial files of all volumes."""
    for number in range(1, MOST_VOLUMES + 1):
        with contextlib.suppress(OSError):
            partial_path(volume_path(base, number)).unlink(missing_ok=True)


def _remove_volumes(base: Path, finished: Iterable[FinishedVolume]) -> None:
    """Remove the finished volumes of a payload that will not be completed.

    If there is a list, they are volumes of a complete payload, and stay. So does a file that is
    not the volume in the journal any more.
    """
    if list_path(base).exists():
        return
    for line in finished:
        path, size = volume_path(base, line.number), line.volume.size
        with contextlib.suppress(OSError):
            with path.open("rb") as file:
                is_volume = os.fstat(file.fileno()).st_size == size
                is_volume = is_volume and sample(RandomAccess(file), size) == line.volume.sample
            if is_volume:
                path.unlink()
                _log.info("%s is removed, because its payload is not complete", path)
