"""A leftover: the partial file of an earlier run for other images."""

from __future__ import annotations

import contextlib
import os
from typing import IO

from docker_charon.errors import DockerCharonError
from docker_charon.oci.manifest import MAX_SIZE, Manifest
from docker_charon.payload.format.limits import LONGEST_DOCUMENT
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, blob_path, delta_path
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor
from docker_charon.payload.format.zip_records import LONGEST_HEADER, Record, parse_local_header
from docker_charon.payload.partial_files.arrival_mark import arrived
from docker_charon.payload.random_access import RandomAccess

_UNUSABLE = (DockerCharonError, LookupError, OSError, OverflowError, ValueError)
"""What the content of a damaged file leads to; offsets may be larger than a file can have."""


class Leftover:
    """The entries of the file by their paths, finished or not."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = RandomAccess(file)
        self._size = file.seek(0, os.SEEK_END)
        self.records: dict[str, Record] = {}
        with contextlib.suppress(*_UNUSABLE):
            self._find_records()

    def _find_records(self) -> None:
        """Follow the headers to the first gap; after it, compute the offsets from the metadata."""
        offset = 0
        sizes: dict[str, int] = {}
        paths: list[str] = []
        while header := self._header(offset):
            record, _ = header
            self.records[record.path] = record
            offset = record.end
            if record.path == DESCRIPTOR_PATH and record.size <= LONGEST_DOCUMENT:
                content = self.file.read(record.size, record.data_offset)
                descriptor = PayloadDescriptor.parse(content)
                sizes = {delta_path(digest): d.size for digest, d in descriptor.deltas.items()}
                paths = [*sizes, *(descriptor.zip_paths or {}).values()]
            elif paths and len(sizes) < len(paths) and record.size <= MAX_SIZE:
                with contextlib.suppress(DockerCharonError):
                    content = self.file.read(record.size, record.data_offset)
                    for blob in Manifest.parse(content).blobs:
                        sizes[blob_path(blob.digest)] = blob.size
        for path in paths:
            if offset >= self._size:
                return  # nothing of the others has arrived, and their sizes may be wrong
            if path not in self.records:
                self.records[path] = Record(path, sizes[path], offset)
                offset = self.records[path].end

    def _header(self, offset: int) -> tuple[Record, int] | None:
        return parse_local_header(self.file.read(LONGEST_HEADER, offset), offset)

    @property
    def present(self) -> int:
        """The bytes of its entries, as far as each of them had arrived."""
        return sum(arrived(self.file, record) for record in self.records.values())
