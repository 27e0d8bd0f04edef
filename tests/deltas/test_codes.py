"""Codes agree with what RFC 1951 says of them."""

from __future__ import annotations

import numpy as np
import pytest

from docker_charon.deltas.codes import (
    DISTANCE_BASE,
    LENGTH_BASE,
    NO_SYMBOL,
    DeflateError,
    codes,
    fixed_code,
    symbols_by_peek,
)


def test_the_example_of_the_specification() -> None:
    lengths = np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8)  # RFC 1951, section 3.2.2
    written = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]
    backwards = [
        int(f"{code:0{size}b}"[::-1], 2) for code, size in zip(written, lengths, strict=True)
    ]
    assert codes(lengths).tolist() == backwards
    symbols = symbols_by_peek(lengths)
    for symbol, (code, size) in enumerate(zip(backwards, lengths.tolist(), strict=True)):
        assert (symbols[code :: 1 << size] == symbol).all()


def test_the_tables_of_the_specification() -> None:
    assert LENGTH_BASE.tolist() == [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
        131, 163, 195, 227, 258,
    ]  # fmt: skip
    assert DISTANCE_BASE.tolist() == [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
        2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
    ]  # fmt: skip


def test_the_fixed_code() -> None:
    bits = codes(fixed_code().literals)
    assert [f"{bits[0]:08b}", f"{bits[144]:09b}", f"{bits[256]:07b}", f"{bits[280]:08b}"] == [
        "00001100", "000010011", "0000000", "00000011",
    ]  # fmt: skip


def test_bits_without_a_symbol_are_told() -> None:
    symbols = symbols_by_peek(np.array([1], np.uint8))
    assert symbols[:2].tolist() == [0, NO_SYMBOL]
    assert (symbols_by_peek(np.zeros(5, np.uint8)) == NO_SYMBOL).all()


@pytest.mark.parametrize("lengths", [[1, 1, 1], [16, 1], [1, 2, 3, 3, 15]])
def test_codes_that_cannot_be_are_refused(lengths: list[int]) -> None:
    with pytest.raises(DeflateError):
        codes(np.array(lengths, np.uint8))
    with pytest.raises(DeflateError):
        symbols_by_peek(np.array(lengths, np.uint8))
