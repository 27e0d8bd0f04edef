"""Deflate blocks with any code and any tokens, such as no compressor would choose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from docker_charon.deltas.bits import BitWriter
from docker_charon.deltas.codes import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    LENGTH_BASE,
    LENGTH_EXTRA,
    SYMBOLS,
    codes,
)

_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def complete_code(symbols: list[int], deepest: int, dice: random.Random) -> dict[int, int]:
    """Return the bits of a complete code for two or more symbols."""
    leaves = [1, 1]
    while len(leaves) < len(symbols):
        depth = leaves.pop(leaves.index(dice.choice([leaf for leaf in leaves if leaf < deepest])))
        leaves += [depth + 1, depth + 1]
    dice.shuffle(leaves)
    return dict(zip(symbols, leaves, strict=True))


def operations_for(lengths: list[int], dice: random.Random) -> list[tuple[int, int, int]]:
    """Return symbols of the code-length code, with extra bits: a repetition is used at random."""
    operations, at = [], 0
    while at < len(lengths):
        run = 1
        while at + run < len(lengths) and lengths[at + run] == lengths[at] and run < 138:
            run += 1
        count = dice.randint(1, run)
        if lengths[at] == 0 and count >= 11 and dice.random() < 0.8:
            operations.append((18, count - 11, 7))
        elif lengths[at] == 0 and 3 <= count <= 10 and dice.random() < 0.8:
            operations.append((17, count - 3, 3))
        elif at and lengths[at] == lengths[at - 1] and 3 <= count <= 6 and dice.random() < 0.8:
            operations.append((16, count - 3, 2))
        else:
            operations.append((lengths[at], 0, 0))
            count = 1
        at += count
    return operations


@dataclass
class Stream:
    """Raw deflate data and what it stands for, one block after another."""

    data: bytearray = field(default_factory=bytearray)
    raw: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._bits = BitWriter(self.data.extend)

    def add_block(
        self,
        literals: dict[int, int],
        distances: dict[int, int],
        tokens: list[int | tuple[int, int, int, int]],
        dice: random.Random,
        *,
        last: bool,
    ) -> None:
        """Add a block; a token is a literal, or symbol and extra of a length and of a distance."""
        both = [np.zeros(SYMBOLS, np.uint8) for _ in range(2)]
        for table, code in zip(both, (literals, distances), strict=True):
            table[list(code)] = list(code.values())
        hlit, hdist = max(257, max(literals) + 1), max([0, *distances]) + 1
        hlit, hdist = dice.randint(hlit, 286), dice.randint(hdist, 30)
        operations = operations_for([*both[0][:hlit].tolist(), *both[1][:hdist].tolist()], dice)
        used = {symbol for symbol, _, _ in operations}
        used |= set(dice.sample(range(19), 2))
        code = complete_code(sorted(used), 7, dice)
        hclen = max(4, max(_ORDER.index(symbol) for symbol in used) + 1)
        write = self._bits.write_number
        write(last | 2 << 1, 3)
        write(hlit - 257 | hdist - 1 << 5 | hclen - 4 << 10, 14)
        for symbol in _ORDER[:hclen]:
            write(code.get(symbol, 0), 3)
        table = np.zeros(SYMBOLS, np.uint8)
        table[list(code)] = list(code.values())
        bits = codes(table).tolist()
        for symbol, extra, size in operations:
            write(bits[symbol], code[symbol])
            write(extra, size)
        literal_bits, distance_bits = (codes(table).tolist() for table in both)
        for token in [*tokens, 256]:
            if isinstance(token, int):
                write(literal_bits[token], literals[token])
                self.raw += bytes([token] if token < 256 else [])
                continue
            symbol, extra, distance, distance_extra = token
            write(literal_bits[symbol], literals[symbol])
            write(extra, int(LENGTH_EXTRA[symbol - 257]))
            write(distance_bits[distance], distances[distance])
            write(distance_extra, int(DISTANCE_EXTRA[distance]))
            back = int(DISTANCE_BASE[distance]) + distance_extra
            for _ in range(int(LENGTH_BASE[symbol - 257]) + extra):
                self.raw.append(self.raw[-back])

    def gzip(self, padding: int = 0) -> bytes:
        """Return a gzip member with the data; ``padding`` are the bits behind its last block."""
        self._bits.write_number(padding, -self._bits.pending % 8)
        return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + bytes(self.data) + b"any bytes"[:8]


def random_stream(seed: int) -> Stream:
    """Return some blocks with codes and tokens that a seed gives."""
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    stream = Stream()
    blocks = dice.randint(1, 4)
    for block in range(blocks):
        alphabet = dice.sample(range(256), dice.randint(1, 200))
        lengths = dice.sample(range(257, 286), dice.randint(0, 29))
        literals = complete_code([*alphabet, *lengths, 256], 15, dice)
        distances = complete_code(dice.sample(range(30), dice.randint(2, 30)), 15, dice)
        if not lengths and dice.random() < 0.5:
            distances = dict.fromkeys(dice.sample(range(30), dice.randint(0, 1)), 1)
        tokens: list[int | tuple[int, int, int, int]] = []
        size = len(stream.raw)
        for _ in range(dice.choice([0, 1, 10, 300, 5000])):
            reachable = [
                n for n in distances if DISTANCE_BASE[n] + (1 << int(DISTANCE_EXTRA[n])) <= size
            ]
            if lengths and reachable and dice.random() < 0.5:
                symbol, distance = dice.choice(lengths), dice.choice(reachable)
                extra = dice.randrange(1 << int(LENGTH_EXTRA[symbol - 257]))
                extra = dice.choice([extra, (1 << int(LENGTH_EXTRA[symbol - 257])) - 1])
                back = dice.randrange(1 << int(DISTANCE_EXTRA[distance]))
                tokens.append((symbol, extra, distance, back))
                size += int(LENGTH_BASE[symbol - 257]) + extra
            else:
                run = dice.choice([1, 1, 2, 5, 300])
                tokens += dice.choices(alphabet, k=run)
                size += run
        stream.add_block(literals, distances, tokens, dice, last=block == blocks - 1)
    return stream
