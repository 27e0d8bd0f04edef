"""Every gzip file comes back bit for bit from what was read of it."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltas.layers import noise, round_trip, tar, text
from deltas.tokens import Stream, random_stream
from docker_charon.deltas import bits, inflate, open_layer
from docker_charon.deltas.structure import ROW_RAW
from docker_charon.errors import UnfitLayer

CONTENTS = st.one_of(
    st.binary(max_size=2000),
    st.builds(lambda part, times: part * times, st.binary(max_size=40), st.integers(0, 5000)),
    st.builds(text, st.integers(0, 60_000), st.integers(0, 5)),
)
FLUSHES = st.sampled_from(
    [zlib.Z_NO_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK]
)


@st.composite
def gzip_members(draw: st.DrawFn) -> bytes:
    """Return a gzip member that zlib makes with any parameters, flushed anywhere."""
    compressor = zlib.compressobj(
        level=draw(st.integers(0, 9)),
        wbits=16 + draw(st.integers(9, 15)),
        memLevel=draw(st.integers(1, 9)),
        strategy=draw(st.integers(0, 4)),
    )
    result = b""
    for _ in range(draw(st.integers(0, 4))):
        result += compressor.compress(draw(CONTENTS)) + compressor.flush(draw(FLUSHES))
    return result + compressor.flush()


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(gzip_members(), min_size=1, max_size=3), st.binary(max_size=20))
def test_whatever_zlib_makes_comes_back(tmp_path: Path, members: list[bytes], rest: bytes) -> None:
    rest = b"" if rest[:2] == b"\x1f\x8b" else rest
    layer = b"".join(members) + rest
    assert round_trip(layer, tmp_path) == layer


@pytest.mark.parametrize("seed", range(60))
def test_blocks_that_no_compressor_makes_come_back(tmp_path: Path, seed: int) -> None:
    stream = random_stream(seed)
    layer = stream.gzip(padding=seed)
    assert zlib.decompress(layer[10:-8], -15) == stream.raw
    assert round_trip(layer, tmp_path) == layer


@pytest.mark.parametrize("seed", range(60, 75))
def test_it_does_not_matter_where_the_window_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(bits, "WINDOW", 128)
    monkeypatch.setattr(inflate, "_LOOK_AHEAD", 1 + seed % 7 * 100)
    monkeypatch.setattr(inflate, "_SHORTEST_CELL", 64 + seed)
    monkeypatch.setattr(inflate, "ROW_RAW", 1 << seed % 12)
    layer = random_stream(seed).gzip()
    assert round_trip(layer, tmp_path) == layer


def test_a_length_of_258_in_its_long_form_stays_long(tmp_path: Path) -> None:
    stream = Stream()
    literals, distances = {97: 2, 256: 2, 284: 2, 285: 2}, {0: 1, 1: 1}
    tokens: list[int | tuple[int, int, int, int]] = [97] * 300
    tokens += [(284, 31, 0, 0), (285, 0, 0, 0), (284, 30, 1, 0)]
    stream.add_block(literals, distances, tokens, random.Random(1), last=True)  # noqa: S311
    layer = stream.gzip()
    assert zlib.decompress(layer[10:-8], -15) == b"a" * (300 + 258 + 258 + 257)
    assert round_trip(layer, tmp_path) == layer


def test_headers_of_members_are_kept_as_they_are(tmp_path: Path) -> None:
    data = gzip.compress(tar({"a": b"a"}))[10:]
    extra, name, comment = b"\x05\0extra", b"name\0", b"comment\0"
    header = b"\x1f\x8b\x08\x1f" + b"\xff" * 6 + extra + name + comment + b"??"
    layer = header + data[:-8] + b"wrong..." + header + data
    assert round_trip(layer, tmp_path) == layer


def test_rows_are_short_however_well_the_content_compresses(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(bytes(30 * ROW_RAW)))
    with open_layer(path) as layer:
        structure = layer.structure
        assert sum(structure.part(rows).row_count for rows in structure.pieces()) >= 30
    assert round_trip(path.read_bytes(), tmp_path) == path.read_bytes()


def test_rows_are_short_behind_the_last_member_too(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(b"content") + bytes(3 * ROW_RAW + 1))
    with open_layer(path) as layer:
        assert layer.structure.row_count == 3 + 4  # a member of one block before them
    assert round_trip(path.read_bytes(), tmp_path) == path.read_bytes()


@pytest.mark.parametrize("size", [4000, 4096, 5000, 65_000])
def test_headers_of_members_may_be_long(tmp_path: Path, size: int) -> None:
    data = gzip.compress(text(3000))[10:]
    layer = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * size + b"\0" + data
    assert round_trip(layer * 2, tmp_path) == layer * 2


def test_a_layer_of_more_blocks_than_its_size_allows_is_not_fit(tmp_path: Path) -> None:
    four_empty_blocks = sum(0b010 << 10 * n for n in range(4)).to_bytes(5, "little")
    layer = gzip.compress(b"")[:10] + four_empty_blocks * 1500 + b"\3\0" + bytes(8)
    assert gzip.decompress(layer) == b""
    (path := tmp_path / "layer").write_bytes(layer)
    with open_layer(path) as split, pytest.raises(UnfitLayer, match="too many tiny blocks"):
        _ = split.structure


SOUND = gzip.compress(text(3000) + noise(300), mtime=0)


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (SOUND[:-1], "cut short"),
        (SOUND[:-9], "cut short"),
        (SOUND[:1500], "cut short"),
        (SOUND[:10], "cut short"),
        (SOUND[:5], "something else"),
        (SOUND[:10] + b"\x07", "invalid block type"),
        (SOUND[:10] + b"\x01\x01\0\0\0", "stored block"),
        (SOUND[:3] + b"\x08" + b"name without an end" * 5000, "without an end"),
        (SOUND + SOUND[:20], "cut short"),
        (SOUND + b"\x1f\x8b\x07" + bytes(20), "something else"),
        (b"\x28\xb5\x2f\xfd" + bytes(1000), "neither a gzip file nor a tar"),
        (b"", "neither a gzip file nor a tar"),
    ],
)
def test_what_is_damaged_or_no_gzip_file_is_not_fit(
    tmp_path: Path, damaged: bytes, said: str
) -> None:
    path = tmp_path / "layer"
    path.write_bytes(damaged)
    with pytest.raises(UnfitLayer, match=said):
        open_layer(path).close()
