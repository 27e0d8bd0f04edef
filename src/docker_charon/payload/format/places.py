"""The places of the entries in the zip, all known before the first blob is fetched."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from docker_charon.oci.descriptor import Descriptor
from docker_charon.payload.format.entries import Entry
from docker_charon.payload.format.zip_records import Record, end_of_central_directory
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A blob and its place in the zip."""

    record: Record
    blob: Descriptor
    repository: str
    file: Path | None


class Places:
    """The places of all entries of a payload, in their order.

    ``blobs`` are those of the blobs. ``front`` are the bytes before the first blob, and ``end`` is
    the offset of the central directory. The entries of a ``streamed`` payload have their checksums
    behind them.
    """

    def __init__(self, entries: Iterable[Entry], *, streamed: bool = False) -> None:
        self.blobs: list[Place] = []
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
                self.blobs.append(Place(record, entry.blob, entry.repository, entry.file))
            self._records.append(record)
            self.end = record.end
        self.front = b"".join(front)

    @property
    def size(self) -> int:
        """The size of the payload in bytes."""
        return self.end + len(self.directory({}))

    def directory(self, blob_crcs: Mapping[str, int]) -> bytes:
        """Return the central directory; a CRC that is missing does not change its size."""
        crcs = {**self._crcs, **blob_crcs}
        headers = [record.central_header(crcs.get(record.path, 0)) for record in self._records]
        size = sum(map(len, headers))
        return b"".join(headers) + end_of_central_directory(len(headers), size, self.end)
