"""Mutants of deltas: a seed makes one, always the same one.

Some are what a bad disk makes of a delta. Others are what somebody makes who knows the format: what
the frames hold is changed, and every size is right.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np

from deltas.layers import digest_of, flushed, members, noise, strategy, tar, text, written
from docker_charon.deltas import make_delta
from docker_charon.deltas.bases import Bases
from docker_charon.deltas.extents import Extent
from docker_charon.deltas.header import DeltaHeader, header_bytes, read_header
from docker_charon.deltas.layer import SplitLayer
from docker_charon.deltas.piece import piece_bytes, read_piece
from docker_charon.deltas.structure import ROW
from docker_charon.deltas.structure_file import Structure

_FILES = {"text": text(3000), "zeros": bytes(2000), "noise": noise(800)}
_NEW_FILES = {**_FILES, "more": text(500, 2)}
OLD = strategy(tar(_FILES), 6, zlib.Z_DEFAULT_STRATEGY)
NEW = (
    strategy(tar(_NEW_FILES, 1_731_000_000), 6, zlib.Z_DEFAULT_STRATEGY)
    + flushed(text(6000), zlib.Z_SYNC_FLUSH)
    + members(tar(_FILES)[:4000], 1500)
    + strategy(noise(300) + text(300), 6, zlib.Z_FIXED)
)
OLDS_DIGEST = digest_of(OLD)

_ODD = [0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63]


class Mutants:
    """A sound delta in a folder, and what becomes of it."""

    def __init__(self, folder: Path) -> None:
        new, self.old = written(folder, NEW, OLD)
        path = folder / "sound"
        assert make_delta(new, [self.old], path)
        self.sound = path.read_bytes()
        self._layer = SplitLayer(self.old)
        self._bases = Bases([self._layer])
        file = io.BytesIO(self.sound)
        self.header = read_header(file)
        piece = read_piece(file, self._bases)
        assert piece
        self.raw, self.structure = piece

    def close(self) -> None:
        self._layer.close()

    def forged(
        self,
        raw: bytes,
        structure: Structure,
        extents: list[Extent] | None = None,
        header: DeltaHeader | None = None,
    ) -> bytes:
        """Return a delta of one piece in which every size is right."""
        extents = [Extent(0, self._bases.granules)] if extents is None else extents
        return header_bytes(header or self.header) + piece_bytes(
            raw, structure, self._bases, extents
        )

    def mutant(self, seed: int) -> bytes:
        dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
        if dice.random() < 0.4:
            return _damaged(self.sound, dice)
        parts = [self.raw, self.structure.rows, self.structure.headers, self.structure.records]
        for _ in range(dice.choice([1, 1, 2, 3])):
            chosen = dice.choice([0, 1, 1, 1, 2, 2, 3, 3])
            forge = _with_odd_fields if chosen == 1 and dice.random() < 0.5 else _damaged
            parts[chosen] = forge(parts[chosen], dice)
        delta = self.forged(parts[0], Structure(*parts[1:]))
        return _damaged(delta, dice) if dice.random() < 0.1 else delta


def _with_odd_fields(rows: bytes, dice: random.Random) -> bytes:
    """Change fields of rows, which stay whole rows, unlike those of `_damaged`."""
    changed = np.frombuffer(rows, ROW, len(rows) // ROW.itemsize).copy()
    for _ in range(dice.choice([1, 1, 2, 4])):
        field = dice.choice(list(ROW.names or ()))
        row, other = (dice.randrange(max(len(changed), 1)) for _ in range(2))
        if len(changed):
            largest = np.iinfo(changed.dtype[field]).max
            odd = dice.choice([n for n in _ODD if n <= largest])
            near = min(int(changed[row][field]) + dice.choice([-1, 1]) & largest, largest)
            changed[field][row] = dice.choice([odd, near, int(changed[other][field])])
    return changed.tobytes()


def _damaged(sound: bytes, dice: random.Random) -> bytes:
    content = bytearray(sound)
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        place = dice.randrange(len(content) + 1)
        size = dice.choice([1, 2, 4, 20, 200])
        match dice.randrange(7):
            case 0 | 1:
                if place < len(content):
                    content[place] ^= 1 << dice.randrange(8)
            case 2 | 3:
                number = dice.choice([*_ODD, dice.getrandbits(64)])
                field = struct.pack("<Q", number)[: dice.choice([1, 2, 4, 8])]
                content[place : place + len(field)] = field
            case 4:
                del content[place : place + size]
            case 5:
                content[place:place] = dice.choice([dice.randbytes(size), bytes(size)])
            case _:
                other = dice.randrange(len(content) + 1)
                content[other : other + size] = content[place : place + size]
    return bytes(content)
