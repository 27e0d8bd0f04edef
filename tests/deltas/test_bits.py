"""Bits are written and read as deflate packs them."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest

from docker_charon.deltas import bits
from docker_charon.deltas.bits import BitWindow, BitWriter
from docker_charon.deltas.codes import DeflateError


@pytest.mark.parametrize("seed", range(20))
def test_tokens_and_numbers_are_written_one_after_another(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    written: list[bytes] = []
    writer, text = BitWriter(written.append), ""
    for _ in range(10):
        sizes = [dice.randint(0, 48) for _ in range(dice.choice([0, 1, 2, 300]))]
        values = [dice.getrandbits(size) if size else 0 for size in sizes]
        text += "".join(
            f"{value:0{size}b}"[::-1] for value, size in zip(values, sizes, strict=True) if size
        )
        if dice.random() < 0.5:
            writer.write_tokens(np.array(values, np.uint64), np.array(sizes, np.int64))
        else:
            for value, size in zip(values, sizes, strict=True):
                writer.write_number(value, size)
    writer.write_number(0, -writer.pending % 8)
    padded = text + "0" * (-len(text) % 8)
    assert b"".join(written) == int(padded[::-1] or "0", 2).to_bytes(len(padded) // 8, "little")


def test_bytes_begin_at_a_byte() -> None:
    writer = BitWriter(lambda data: None)
    writer.write_number(1, 1)
    with pytest.raises(DeflateError, match="begin at a byte"):
        writer.write_bytes(b"a")


def test_a_window_shows_15_bits_from_every_bit_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "WINDOW", 16)
    data = random.Random(1).randbytes(100)  # noqa: S311  # repeatable on purpose
    number = int.from_bytes(data, "little")
    window = BitWindow(io.BytesIO(data), len(data))
    for place in range(0, 800, 37):
        window.require(place, 64)
        assert window.start <= place < window.end
        for bit in range(place, window.end):
            assert window.peeks[bit - window.start] == number >> bit & 0x7FFF
    with pytest.raises(DeflateError, match="cut short"):
        window.require(801, 1)
