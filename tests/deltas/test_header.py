"""A delta's header says what it makes and of what; nothing else is needed to read it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from docker_charon.deltas.header import (
    MAGIC,
    DeltaHeader,
    DeltaLayer,
    header_bytes,
    read_header,
)
from docker_charon.errors import DeltaError

NEW = DeltaLayer("sha256:" + "0" * 64, 1000, 4000, 5000)
OLDS = (
    DeltaLayer("sha256:" + "1" * 64, 100, 200, 300),
    DeltaLayer("sha256:" + "2" * 64, 10, 20, 30),
)


def test_what_is_written_is_read() -> None:
    file = io.BytesIO(header_bytes(DeltaHeader(NEW, OLDS)) + b"pieces")
    assert read_header(file) == DeltaHeader(NEW, OLDS)
    assert file.read() == b"pieces"


def test_it_says_how_much_room_the_old_layers_take() -> None:
    assert DeltaHeader(NEW, OLDS).temporary_bytes == 330


SOUND = header_bytes(DeltaHeader(NEW, OLDS))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a delta"),
        (b"PK\3\4" + bytes(100), "not a delta"),
        (SOUND[:16], "not a delta"),
        (MAGIC[:-1] + b"\2" + SOUND[16:], "version 2 .* newer"),
        (SOUND[:-1], "cut short"),
        (header_bytes(DeltaHeader(NEW, ())), "impossible values"),
        (header_bytes(DeltaHeader(NEW, OLDS * 9)), "impossible values"),
        (header_bytes(DeltaHeader(NEW, OLDS[:1] * 2)), "impossible values"),
        (
            header_bytes(DeltaHeader(replace(NEW, raw_size=1032 * 1000 + 1), OLDS)),
            "impossible values",
        ),
        (header_bytes(DeltaHeader(replace(NEW, split_size=2**63), OLDS)), "impossible values"),
    ],
)
def test_what_is_no_header_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(DeltaError, match=said):
        read_header(io.BytesIO(data))
