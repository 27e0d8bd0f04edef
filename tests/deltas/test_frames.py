"""Frames need the prefix that they were made with, and hold no more than they say."""

from __future__ import annotations

import pytest

from deltas.layers import noise
from docker_charon.deltas.frames import compress, decompress
from docker_charon.errors import DeltaError

PREFIX = noise(200_000)
CONTENT = PREFIX[50_000:150_000] + noise(1000, 2) + PREFIX[:40_000]
FRAME = compress(CONTENT, PREFIX)


def test_what_the_prefix_has_costs_next_to_nothing() -> None:
    assert len(FRAME) < 1200
    assert decompress(FRAME, PREFIX, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("prefix", [b"", b"1234567", b"12345678"])
@pytest.mark.parametrize("content", [b"", b"a", noise(100_000)])
def test_short_prefixes_and_contents_come_back(content: bytes, prefix: bytes) -> None:
    assert decompress(compress(content, prefix), prefix, len(content)) == content


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        (FRAME, len(CONTENT) - 1),
        (FRAME, len(CONTENT) + 1),
        (FRAME[:-1], len(CONTENT)),
        (FRAME + b"\0", len(CONTENT)),
        (FRAME, 0),
        (b"", 1),
        (b"garbage", 7),
        (compress(bytes(100_000_000), b""), 10),
    ],
)
def test_frames_of_another_size_are_refused(frame: bytes, size: int) -> None:
    with pytest.raises(DeltaError, match="damaged"):
        decompress(frame, PREFIX, size)
