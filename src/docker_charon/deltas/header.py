"""The header of a delta: the new layer, and the old layers that are needed.

A delta is a file of its own format. All numbers are little-endian::

    magic      16 bytes, the last of which is the version of the format
    bases      u8, how many old layers there are
    layers     the new one, then the bases: SHA-256, and size, raw size, split size (u64 each)
    pieces     see `docker_charon.deltas.piece`, up to the end of the file
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

from docker_charon.deltas.failure import damaged
from docker_charon.errors import DeltaError

MAGIC = b"charon delta\r\n\0\1"
MOST_BASES = 16
"""The most old layers of a delta."""

_LAYER = struct.Struct("<32sQQQ")
LONGEST_HEADER = len(MAGIC) + 1 + (1 + MOST_BASES) * _LAYER.size
"""Bytes of the longest header."""

_MOST_RATIO = 1032
"""The most raw bytes for one byte of deflate data: 258 for two bits."""
_MOST_STRUCTURE = 48
"""The most bytes of structure for one byte: 32 for matches of two bits, 16 for empty blocks."""


@dataclass(frozen=True, slots=True)
class DeltaLayer:
    """A layer that a delta names.

    ``digest`` is ``sha256:...`` and ``size`` the bytes of the blob, ``raw_size`` of the tar that it
    holds, and ``split_size`` of the temporary files that it takes to take it apart.
    """

    digest: str
    size: int
    raw_size: int
    split_size: int


@dataclass(frozen=True, slots=True)
class DeltaHeader:
    """The new layer of a delta, and the old layers that it needs, in the order of the delta."""

    new: DeltaLayer
    bases: tuple[DeltaLayer, ...]

    @property
    def temporary_bytes(self) -> int:
        """The size of the temporary files that `apply_delta` writes, without the new layer."""
        return sum(base.split_size for base in self.bases)


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta that was made: its new layer, its old layers, and its own size in bytes."""

    new: DeltaLayer
    bases: tuple[DeltaLayer, ...]
    size: int


def header_bytes(header: DeltaHeader) -> bytes:
    """Return the bytes with which a delta begins."""
    layers = (header.new, *header.bases)
    return b"".join(
        [MAGIC, bytes([len(header.bases)])]
        + [
            _LAYER.pack(
                bytes.fromhex(layer.digest.partition(":")[2]),
                layer.size,
                layer.raw_size,
                layer.split_size,
            )
            for layer in layers
        ]
    )


def read_header(file: IO[bytes]) -> DeltaHeader:
    """Read the header of a delta. Afterwards, ``file`` is at the first piece.

    This needs neither the old layers nor the packages of ``docker-charon[deltas]``. Raises
    `DeltaError` if the file is not a delta, has a later format, or says impossible sizes.
    """
    start = file.read(len(MAGIC) + 1)
    if start[: len(MAGIC) - 1] != MAGIC[:-1] or len(start) <= len(MAGIC):
        raise DeltaError("this is not a delta of docker-charon", hint="check which file it is")
    if start[len(MAGIC) - 1] != MAGIC[-1]:
        raise DeltaError(
            f"the delta is of version {start[len(MAGIC) - 1]} of its format, which is newer than "
            "this docker-charon",
            hint="use the version that made it, or a later one",
        )
    count = start[-1]
    data = file.read((1 + count) * _LAYER.size)
    if len(data) < (1 + count) * _LAYER.size:
        raise damaged("it is cut short")
    new, *bases = (
        DeltaLayer(f"sha256:{digest.hex()}", *sizes) for digest, *sizes in _LAYER.iter_unpack(data)
    )
    if (
        not 1 <= count <= MOST_BASES
        or len({base.digest for base in bases}) < count
        or any(map(_is_impossible, (new, *bases)))
    ):
        raise damaged("its header has impossible values")
    return DeltaHeader(new, tuple(bases))


def _is_impossible(layer: DeltaLayer) -> bool:
    most_raw = _MOST_RATIO * layer.size
    most_structure = _MOST_STRUCTURE * layer.size + 1024
    return layer.raw_size > most_raw or layer.split_size > layer.raw_size + most_structure
