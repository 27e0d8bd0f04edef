"""An arrival mark: how much of an unfinished entry of a zip is in its place.

The local header of an entry is written after its content has been verified. Until then the mark is
in its place: the number of bytes of the content, from its start, that have been written. So a
process may end at any moment, and the next run knows how much of every blob is there, whatever the
number of workers. After a power failure the disk may have the mark and lack some of these bytes, so
they have to be hashed again.
"""

from __future__ import annotations

import struct

from docker_charon.payload.format.zip_records import Record, parse_local_header
from docker_charon.payload.random_access import PositionalFile

MARK_EVERY = 1024 * 1024
"""Bytes of a blob between two marks."""

_MARK = struct.Struct("<8sQ")  # shorter than every local header, which replaces it
_MAGIC = b"\0ARRIVED"


def mark(file: PositionalFile, record: Record, size: int) -> None:
    """Write down that the first ``size`` bytes of an unfinished entry are in their place."""
    file.write(_MARK.pack(_MAGIC, size), record.offset)


def arrived(file: PositionalFile, record: Record) -> int:
    """Return how many bytes of an entry a file has: all after its header, else those marked."""
    start = file.read(len(record.local_header(0)), record.offset)
    header = parse_local_header(start, record.offset)
    if header is not None:
        return record.size if header[0] == record else 0
    if not start.startswith(_MAGIC) or len(start) < _MARK.size:
        return 0
    size: int = _MARK.unpack_from(start)[1]
    return size if size <= record.size else 0
