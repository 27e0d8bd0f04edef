"""A piece of a delta: some rows of the new layer, as differences to parts of the old ones.

::

    extents     u32, how many
    frames      four times u32 and u32: the content's bytes, and the frame's
    extents     for each u32 and u32: its first granule, and the one behind its last one
    frames      of the raw bytes, the rows, the headers and the records, in this order

The prefix of each frame is the same kind of bytes of the old layers, from all extents.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from docker_charon.deltas.bases import Bases
from docker_charon.deltas.codes import SHORTEST_MATCH
from docker_charon.deltas.extents import MOST_GRANULES, Extent
from docker_charon.deltas.failure import damaged
from docker_charon.deltas.frames import HIGH_LEVEL, LEVEL, compress, decompress
from docker_charon.deltas.structure import MOST_ROW_RAW, RECORD, ROW
from docker_charon.deltas.structure_file import PIECE_HEADERS, PIECE_RAW, PIECE_ROWS, Structure

_HEAD = struct.Struct("<I8I")
_EXTENT = struct.Struct("<II")

_MOST_RAW = PIECE_RAW + MOST_ROW_RAW
_MOST_SIZES = (
    _MOST_RAW,
    PIECE_ROWS * ROW.itemsize,
    PIECE_HEADERS + (1 << 16),
    _MOST_RAW // SHORTEST_MATCH * RECORD.itemsize,
)
_LEVELS = (LEVEL, HIGH_LEVEL, HIGH_LEVEL, LEVEL)


def piece_bytes(raw: bytes, structure: Structure, bases: Bases, extents: list[Extent]) -> bytes:
    """Return the piece for some rows, as differences to ``extents``."""
    contents = (raw, structure.rows, structure.headers, structure.records)
    frames = [
        compress(content, prefix, level)
        for content, prefix, level in zip(contents, _prefixes(bases, extents), _LEVELS, strict=True)
    ]
    sizes = [
        size for pair in zip(map(len, contents), map(len, frames), strict=True) for size in pair
    ]
    return b"".join(
        [_HEAD.pack(len(extents), *sizes)]
        + [_EXTENT.pack(extent.start, extent.end) for extent in extents]
        + frames
    )


def read_piece(file: IO[bytes], bases: Bases) -> tuple[bytes, Structure] | None:
    """Read the next piece of a delta: the raw bytes and the structure; ``None`` at its end.

    Raises `DeltaError` for what is damaged. All sizes are checked before anything is read or
    unpacked.
    """
    head = file.read(_HEAD.size)
    if not head:
        return None
    count, *numbers = _HEAD.unpack(_whole(head, _HEAD.size))
    sizes, frame_sizes = numbers[::2], numbers[1::2]
    if count > MOST_GRANULES or any(
        size > most or frame > most + most // 16 + 1024
        for size, frame, most in zip(sizes, frame_sizes, _MOST_SIZES, strict=True)
    ):
        raise damaged("a piece of it is too large")
    listed = _whole(file.read(count * _EXTENT.size), count * _EXTENT.size)
    extents = [Extent(start, end) for start, end in _EXTENT.iter_unpack(listed)]
    _check_extents(extents, bases)
    frames = [_whole(file.read(size), size) for size in frame_sizes]
    raw, rows, headers, records = (
        decompress(frame, prefix, size)
        for frame, prefix, size in zip(frames, _prefixes(bases, extents), sizes, strict=True)
    )
    return raw, Structure(rows, headers, records)


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise damaged("it is cut short")
    return data


def _check_extents(extents: list[Extent], bases: Bases) -> None:
    end = 0
    for extent in extents:
        if not end <= extent.start < extent.end <= bases.granules:
            raise damaged("it refers to parts that the old layers do not have")
        end = extent.end
    if sum(extent.end - extent.start for extent in extents) > MOST_GRANULES:
        raise damaged("it refers to too much of the old layers at once")


def _prefixes(bases: Bases, extents: list[Extent]) -> Iterator[bytes]:
    """Yield the prefixes of the four frames; only one of the large ones is in memory at a time."""
    yield bases.raw(extents)
    structure = bases.structure(extents)
    yield structure.rows
    yield structure.headers
    yield structure.records
