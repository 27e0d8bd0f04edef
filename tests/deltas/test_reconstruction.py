"""What is rebuilt is the layer that the delta names, or nothing; it costs what the delta says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltas.layers import digest_of, written
from deltas.mutation import OLD, OLDS_DIGEST, Mutants
from docker_charon.deltas import apply_delta, reconstruction
from docker_charon.deltas.extents import MOST_GRANULES, Extent
from docker_charon.deltas.header import DeltaHeader, DeltaLayer, header_bytes
from docker_charon.deltas.structure import (
    BLOCK_ENDS,
    LAST_BLOCK,
    MOST_ROW_RAW,
    RECORD,
    ROW,
    Kind,
)
from docker_charon.deltas.structure_file import PIECE_ROWS, Structure
from docker_charon.errors import DeltaError

Row = tuple[int, int, int, int, int, int, int]


@pytest.fixture
def mutants(tmp_path: Path) -> Iterator[Mutants]:
    result = Mutants(tmp_path)
    yield result
    result.close()


def refusal(mutants: Mutants, folder: Path, delta: bytes) -> str:
    """Return what is said of a delta that cannot be applied."""
    (folder / "delta").write_bytes(delta)
    with pytest.raises(DeltaError) as caught:
        apply_delta(folder / "delta", {OLDS_DIGEST: mutants.old}, folder / "target")
    assert not (folder / "target").exists()
    return str(caught.value)


def rows_of(*rows: Row) -> bytes:
    return np.array(list(rows), ROW).tobytes()


def test_an_old_layer_that_is_missing_is_named(mutants: Mutants, tmp_path: Path) -> None:
    (tmp_path / "delta").write_bytes(mutants.sound)
    with pytest.raises(DeltaError, match=f"needs the layer {OLDS_DIGEST}, which is missing"):
        apply_delta(tmp_path / "delta", {}, tmp_path / "target")


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: b"x" + old[1:]])
def test_an_old_layer_that_is_damaged_is_named(
    mutants: Mutants, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    mutants.old.write_bytes(damage(OLD))
    assert f"the layer {OLDS_DIGEST} of" in refusal(mutants, tmp_path, mutants.sound)


def test_a_delta_for_an_old_layer_that_cannot_be_taken_apart_is_damaged(
    mutants: Mutants, tmp_path: Path
) -> None:
    (odd,) = written(tmp_path, b"neither gzip nor a tar")
    digest = digest_of(odd.read_bytes())
    base = DeltaLayer(digest, odd.stat().st_size, 100, 100)
    delta = mutants.forged(
        mutants.raw, mutants.structure, header=DeltaHeader(mutants.header.new, (base,))
    )
    (tmp_path / "delta").write_bytes(delta)
    with pytest.raises(DeltaError, match="neither a gzip file nor a tar"):
        apply_delta(tmp_path / "delta", {digest: odd}, tmp_path / "target")


def test_an_old_layer_takes_no_more_room_than_the_delta_says(
    mutants: Mutants, tmp_path: Path
) -> None:
    base = replace(mutants.header.bases[0], split_size=1000)
    header = DeltaHeader(mutants.header.new, (base,))
    delta = mutants.forged(mutants.raw, mutants.structure, header=header)
    assert "more than the 1,000 bytes of temporary files" in refusal(mutants, tmp_path, delta)


def test_a_delta_that_makes_another_layer_is_damaged(mutants: Mutants, tmp_path: Path) -> None:
    delta = mutants.forged(mutants.raw[:-1] + b"?", mutants.structure)
    assert "damaged: it produces sha256:" in refusal(mutants, tmp_path, delta)


def test_a_delta_that_makes_more_than_it_says_is_stopped(mutants: Mutants, tmp_path: Path) -> None:
    new = replace(mutants.header.new, size=1000)
    delta = mutants.forged(
        mutants.raw, mutants.structure, header=DeltaHeader(new, mutants.header.bases)
    )
    assert "produces more bytes than its header says" in refusal(mutants, tmp_path, delta)


def test_only_the_last_piece_is_small(mutants: Mutants, tmp_path: Path) -> None:
    delta = mutants.sound + mutants.sound[len(header_bytes(mutants.header)) :]
    assert "too many pieces" in refusal(mutants, tmp_path, delta)


def test_a_delta_has_no_more_raw_bytes_than_it_says(mutants: Mutants, tmp_path: Path) -> None:
    new = replace(mutants.header.new, raw_size=len(mutants.raw) - 1)
    delta = mutants.forged(
        mutants.raw, mutants.structure, header=DeltaHeader(new, mutants.header.bases)
    )
    assert "too many pieces" in refusal(mutants, tmp_path, delta)


def test_a_delta_has_no_more_rows_than_a_layer_may(
    mutants: Mutants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "most_rows", lambda size: 3)
    assert "too many pieces" in refusal(mutants, tmp_path, mutants.sound)


@pytest.mark.parametrize(
    ("extents", "said"),
    [
        ([Extent(0, 2)], "parts that the old layers do not have"),
        ([Extent(1, 0)], "parts that the old layers do not have"),
        ([Extent(0, 1), Extent(0, 1)], "parts that the old layers do not have"),
        ([Extent(0, 0)] * (MOST_GRANULES + 1), "too large"),
    ],
)
def test_extents_are_within_the_old_layers(
    mutants: Mutants, tmp_path: Path, extents: list[Extent], said: str
) -> None:
    assert mutants.header.bases[0].raw_size < 2**16
    delta = mutants.forged(mutants.raw, mutants.structure, extents)
    assert said in refusal(mutants, tmp_path, delta)


FIXED_ROW: Row = (Kind.FIXED, LAST_BLOCK | BLOCK_ENDS, 0, 0, 0, 5, 5)


@pytest.mark.parametrize(
    ("rows", "raw", "headers", "records", "said"),
    [
        ((), b"", b"", b"", "it produces"),
        ((FIXED_ROW,), b"abcd", b"", b"", "more than there is"),
        ((FIXED_ROW,), b"abcdef", b"", b"", "less than there is"),
        ((FIXED_ROW,), b"abcde", b"h", b"", "less than there is"),
        (((Kind.FIXED, 3, 0, 1, 0, 5, 5),), b"abcde", b"h", b"", "where no header can be"),
        (((Kind.STORED, 1, 0, 1, 0, 0, 5),), b"abcde", b"h", b"", "where no header can be"),
        (((Kind.FIXED, 3, 0, 0, 2, 0, 5),), b"abcde", b"", bytes(8), "more tokens than it may"),
        (((Kind.DYNAMIC, 0, 0, 328, 0, 0, 0),), b"", bytes(328), b"", "more operations"),
        (((Kind.FIXED, 0, 0, 0, 0, 4, 5),), b"abcde", b"", b"", "do not add up"),
        (((Kind.FIXED, 0, 0, 0, 1, 2, 5),), b"abcde", b"", b"\0\0\xff\xff", "too large"),
        (((Kind.MORE, 0, 0, 0, 0, 5, 5),), b"abcde", b"", b"", "part of no block"),
        (((Kind.FIXED, 0, 0, 0, 0, 5, 5),) * 2, b"abcdeabcde", b"", b"", "within another"),
        (((Kind.FIXED, 0, 0, 0, 0, 1, 1), (Kind.END, 0, 0, 0, 0, 0, 0)), b"a", b"", b"", "not end"),
        (((9, 0, 0, 0, 0, 0, 1),), b"a", b"", b"", "unknown kind"),
        (((Kind.DYNAMIC, 0, 0, 3, 0, 0, 0),), b"", b"\0\0\0", b"", "the lengths that it says"),
        (((Kind.DYNAMIC, 0, 0, 2, 0, 0, 0),), b"", b"\0\0", b"", "counts that do not exist"),
        (((Kind.DYNAMIC, 0, 0, 8, 0, 0, 0),), b"", b"\0\0\0aaaaa", b"", "lengths that it says"),
        (((Kind.DYNAMIC, 0, 0, 8, 0, 0, 0),), b"", bytes(7) + b"\xff", b"", "operation"),
        (
            ((Kind.DYNAMIC, 0, 0, 8, 0, 0, 0),),
            b"",
            bytes(7) + b"\x10",
            b"",
            "repetition of nothing",
        ),
        (((Kind.DYNAMIC, 0, 0, 8, 0, 0, 0),), b"", bytes(8), b"", "other lengths"),
        (((Kind.STORED, 0, 0, 0, 0, 0, 70000),), bytes(70000), b"", b"", "too long"),
        ((FIXED_ROW, (Kind.PLAIN, 0, 0, 0, 0, 0, 1)), b"abcdea", b"", b"", "begin at a byte"),
    ],
)
def test_rows_that_no_layer_has_are_refused(
    mutants: Mutants,
    tmp_path: Path,
    rows: tuple[Row, ...],
    raw: bytes,
    headers: bytes,
    records: bytes,
    said: str,
) -> None:
    header = DeltaHeader(replace(mutants.header.new, raw_size=10**6), mutants.header.bases)
    delta = mutants.forged(raw, Structure(rows_of(*rows), headers, records), header=header)
    assert said in refusal(mutants, tmp_path, delta)


def bombs() -> dict[str, tuple[bytes, Structure]]:
    """Return pieces that take as much as a piece may, from a delta of a few kilobytes."""
    match = np.zeros(1, RECORD).tobytes()
    most = 4 * MOST_ROW_RAW
    half = MOST_ROW_RAW // 3
    short = (Kind.FIXED, 0, 0, 0, half, 0, 3 * half)
    more = (Kind.MORE, 0, 0, 0, half, 0, 3 * half)
    literals = (Kind.FIXED, 0, 0, 0, 0, MOST_ROW_RAW, MOST_ROW_RAW)
    more_literals = (Kind.MORE, *literals[1:])
    empty = (Kind.FIXED, BLOCK_ENDS, 0, 0, 0, 0, 0)
    return {
        "literals": (bytes(most), Structure(rows_of(literals, *[more_literals] * 3), b"", b"")),
        "matches": (
            bytes(4 * 3 * half),
            Structure(rows_of(short, *[more] * 3), b"", match * (4 * half)),
        ),
        "blocks": (b"", Structure(rows_of(*[empty] * PIECE_ROWS), b"", b"")),
        "plain": (bytes(most), Structure(rows_of((Kind.PLAIN, 0, 0, 0, 0, 0, most)), b"", b"")),
    }


APPLY = """
import re, sys
from pathlib import Path
from docker_charon.deltas import apply_delta, reconstruction
from docker_charon.errors import DeltaError
digest, delta, old, target = sys.argv[1:]
try:
    apply_delta(Path(delta), {digest: Path(old)}, Path(target))
except DeltaError as error:
    print(error)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much memory was used")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "blocks")) for name in bombs()],
)
def test_a_bomb_costs_no_more_than_a_piece_may(mutants: Mutants, tmp_path: Path, name: str) -> None:
    raw, structure = bombs()[name]
    new = replace(mutants.header.new, size=10**12, raw_size=10**15)
    delta = mutants.forged(raw, structure, header=DeltaHeader(new, mutants.header.bases))
    (tmp_path / "delta").write_bytes(delta)
    assert len(delta) < 100_000
    result = subprocess.run(
        [sys.executable, "-c", APPLY, OLDS_DIGEST, tmp_path / "delta", mutants.old, tmp_path / "t"],
        capture_output=True,
        text=True,
        check=True,
    )
    error, peak = result.stdout.splitlines()
    assert "damaged: it produces sha256:" in error
    assert int(peak) < 400_000
