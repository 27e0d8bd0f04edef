"""The header of a dynamic block, as bytes that keep the compressor's choices (RFC 1951, 3.2.7).

Those bytes are HLIT, HDIST and HCLEN; then one for each length of the code-length code, in the
order in which they are sent; then one for each operation that gives the lengths of the two codes:

======== ==================================================
0-15     one length
16-19    symbol 16: the length before, 3 to 6 times more
20-27    symbol 17: zero, 3 to 10 times
28-155   symbol 18: zero, 11 to 138 times
======== ==================================================

Compressors choose different operations for the same lengths, so the lengths are not enough.
"""

from __future__ import annotations

import numpy as np

from docker_charon.deltas.codes import (
    NO_SYMBOL,
    SYMBOLS,
    BlockCode,
    DeflateError,
    Lengths,
    codes,
    symbols_by_peek,
)

MOST_BYTES = 600
"""The size of the longest header in bytes, rounded up: it has 316 operations of 14 bits."""

_MOST_OPERATIONS = 320
"""As many as the largest counts give lengths: HLIT of 31 stands for 288, HDIST of 31 for 32."""

_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_EXTRA_BITS = {16: 2, 17: 3, 18: 7}
_FIRST_OPERATION = {16: 16, 17: 20, 18: 28}
_LEAST_REPEATS = {16: 3, 17: 3, 18: 11}
_OPERATIONS = [(symbol, 0) for symbol in range(16)] + [
    (symbol, extra) for symbol, bits in _EXTRA_BITS.items() for extra in range(1 << bits)
]


def read_block_header(bits: int) -> tuple[bytes, int]:
    """Return the header with which ``bits`` begin, as bytes, and its size in bits."""
    counts = (bits & 31, bits >> 5 & 31, bits >> 10 & 15)
    position = 14
    sent = bytes(bits >> position + 3 * n & 7 for n in range(counts[2] + 4))
    position += 3 * len(sent)
    lengths = _code_lengths(sent)
    symbols, sizes = symbols_by_peek(lengths)[:128].tolist(), lengths.tolist()
    left = counts[0] + 257 + counts[1] + 1
    operations = bytearray()
    while left > 0:
        symbol = symbols[bits >> position & 127]
        if symbol == NO_SYMBOL:
            raise DeflateError("a code length without a code")
        position += sizes[symbol]
        if symbol < 16:
            operations.append(symbol)
            left -= 1
        else:
            extra = bits >> position & (1 << _EXTRA_BITS[symbol]) - 1
            position += _EXTRA_BITS[symbol]
            operations.append(_FIRST_OPERATION[symbol] + extra)
            left -= _LEAST_REPEATS[symbol] + extra
    return bytes(counts) + sent + operations, position


def write_block_header(header: bytes) -> tuple[int, int]:
    """Return the bits of a header that `read_block_header` returned, and their number."""
    sent, operations = _parts(header)
    lengths = _code_lengths(sent)
    code = codes(lengths).tolist()
    bits = header[0] | header[1] << 5 | header[2] << 10
    position = 14
    for length in sent:
        bits |= length << position
        position += 3
    for operation in operations:
        symbol, extra = _OPERATIONS[operation]
        bits |= code[symbol] << position
        position += int(lengths[symbol])
        if symbol >= 16:
            bits |= extra << position
            position += _EXTRA_BITS[symbol]
    return bits, position


def block_code(header: bytes) -> BlockCode:
    """Return the two codes that a header gives."""
    lengths = bytearray()
    for operation in _parts(header)[1]:
        symbol, extra = _OPERATIONS[operation]
        if symbol < 16:
            lengths.append(symbol)
        elif symbol > 16 or lengths:
            repeated = lengths[-1] if symbol == 16 else 0
            lengths += bytes([repeated]) * (_LEAST_REPEATS[symbol] + extra)
        else:
            raise DeflateError("a repetition of nothing")
    literals, distances = header[0] + 257, header[1] + 1
    if len(lengths) != literals + distances:
        raise DeflateError("a header with other lengths than it says")
    code = BlockCode(np.zeros(SYMBOLS, np.uint8), np.zeros(SYMBOLS, np.uint8))
    code.literals[:literals] = list(lengths[:literals])
    code.distances[:distances] = list(lengths[literals:])
    return code


def _parts(header: bytes) -> tuple[bytes, bytes]:
    """Return the lengths of the code-length code as they are sent, and the operations."""
    if len(header) < 3 or header[0] > 31 or header[1] > 31 or header[2] > 15:
        raise DeflateError("a header with counts that do not exist")
    sent, operations = header[3 : header[2] + 7], header[header[2] + 7 :]
    if len(sent) != header[2] + 4 or max(sent) > 7:
        raise DeflateError("a header without the lengths that it says")
    if len(operations) > _MOST_OPERATIONS:
        raise DeflateError("a header with more operations than a block can have lengths")
    if max(operations, default=0) >= len(_OPERATIONS):
        raise DeflateError("an operation that does not exist")
    return sent, operations


def _code_lengths(sent: bytes) -> Lengths:
    lengths = np.zeros(19, np.uint8)
    lengths[list(_ORDER[: len(sent)])] = list(sent)
    return lengths
