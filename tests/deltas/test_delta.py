"""A delta brings back the very bytes of a new layer, whatever compressed it."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deltas.layers import (
    COMPRESSORS,
    changed_sources,
    delivered,
    digest_of,
    members,
    noise,
    skopeo,
    sources,
    tar,
    text,
    written,
)
from deltas.podman import built_layer
from docker_charon.deltas import (
    apply_delta,
    extents,
    make_delta,
    open_layer,
    shared_sectors,
    structure_file,
)
from docker_charon.errors import DeltaError

SLOW_COMPRESSORS = ("go", "java", "pigz-zopfli")
OLD, NEW = tar(sources()), tar(changed_sources(), mtime=1_731_000_000)


def share_of_delta(folder: Path, new: bytes, old: bytes) -> float:
    """Return the size of a delta that gives back the new layer, as a share of that layer."""
    delta, rebuilt = delivered(folder, new, [old])
    assert rebuilt == new
    assert delta
    return delta.size / len(new)


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(compress, id=name, marks=[pytest.mark.slow] * (name in SLOW_COMPRESSORS))
        for name, compress in COMPRESSORS.items()
    ],
)
def test_a_layer_of_any_compressor_comes_back(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    assert share_of_delta(tmp_path, compress(NEW), compress(OLD)) < 0.15


def test_what_go_has_compressed_comes_back(tmp_path: Path) -> None:
    new = (Path(__file__).parent / "go.gz").read_bytes()
    old = gzip.compress(gzip.decompress(new).replace(b"return", b"yield "), mtime=0)
    delta, rebuilt = delivered(tmp_path, new, [old])
    assert delta
    assert rebuilt == new


def test_a_layer_of_parts_that_were_compressed_side_by_side_comes_back(tmp_path: Path) -> None:
    more = {"data": noise(300_000), "words": text(3_000_000)}
    old = skopeo(tar({**sources(), **more}))
    new = skopeo(tar({**changed_sources(), **more}, mtime=1_731_000_000))
    assert share_of_delta(tmp_path, new, old) < 0.02


@pytest.mark.slow
def test_a_layer_that_podman_builds_comes_back(tmp_path: Path) -> None:
    new, old = built_layer(changed_sources()), built_layer(sources())
    assert share_of_delta(tmp_path, new, old) < 0.15


def test_a_layer_that_is_not_compressed_comes_back(tmp_path: Path) -> None:
    assert share_of_delta(tmp_path, NEW, gzip.compress(OLD, mtime=0)) < 0.1


def test_the_old_layer_may_come_from_another_compressor(tmp_path: Path) -> None:
    new = gzip.compress(NEW, 9, mtime=0)
    _, rebuilt = delivered(tmp_path, new, [gzip.compress(OLD, 7, mtime=0)])
    assert rebuilt == new


def test_several_old_layers_serve_one_new_one(tmp_path: Path) -> None:
    first, second = tar({"a": noise(400_000, 1)}), tar({"b": noise(400_000, 2)})
    new = gzip.compress(tar({"a": noise(400_000, 1), "b": noise(400_000, 2)}), mtime=0)
    olds = [
        gzip.compress(second, mtime=0),
        gzip.compress(first, mtime=0),
        gzip.compress(tar({"c": text(100_000)}), mtime=0),
    ]
    delta, rebuilt = delivered(tmp_path, new, olds)
    assert rebuilt == new
    assert delta
    assert [base.digest for base in delta.bases] == list(map(digest_of, olds[:2]))
    assert delta.size < 0.01 * len(new)


def test_a_layer_of_many_pieces_finds_its_content_wherever_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure_file, "PIECE_RAW", 1 << 20)
    monkeypatch.setattr(extents, "MOST_GRANULES", 40)
    parts = {f"file-{n}": noise(200_000, n) for n in range(40)}
    old = gzip.compress(tar(parts), 0, mtime=0)
    moved = {"new": text(50_000), **dict(reversed(parts.items()))}
    new = gzip.compress(tar(moved), 0, mtime=0)
    delta, rebuilt = delivered(tmp_path, new, [old])
    assert rebuilt == new
    assert delta
    assert delta.size < 0.01 * len(new)


@pytest.mark.parametrize(
    "new",
    [
        gzip.compress(tar({"other": noise(300_000, 7)}), mtime=0),
        b"\x28\xb5\x2f\xfd" + noise(1000),
        gzip.compress(NEW, mtime=0)[:-10],
        b"",
    ],
    ids=["unrelated", "zstd", "cut-short", "empty"],
)
def test_what_is_not_worth_it_travels_whole(tmp_path: Path, new: bytes) -> None:
    assert delivered(tmp_path, new, [gzip.compress(OLD, mtime=0)]) == (None, b"")


def test_old_layers_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    new = gzip.compress(NEW, mtime=0)
    delta, rebuilt = delivered(tmp_path, new, [b"\x28\xb5\x2f\xfd", gzip.compress(OLD, mtime=0)])
    assert rebuilt == new
    assert delta
    assert [base.digest for base in delta.bases] == [digest_of(gzip.compress(OLD, mtime=0))]


def test_a_delta_larger_than_wanted_is_none(tmp_path: Path) -> None:
    new, old = written(tmp_path, gzip.compress(NEW, mtime=0), gzip.compress(OLD, mtime=0))
    assert make_delta(new, [old], tmp_path / "delta", most=0.001) is None
    assert not (tmp_path / "delta").exists()
    assert make_delta(new, [], tmp_path / "delta") is None


def test_a_layer_with_more_blocks_than_are_worth_it_travels_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docker_charon.deltas.structure_file.MOST_ROWS", 100)
    assert delivered(tmp_path, members(NEW, 3000), [gzip.compress(OLD, mtime=0)]) == (None, b"")


def test_one_old_layer_serves_several_new_ones(tmp_path: Path) -> None:
    new, other, old = written(
        tmp_path,
        gzip.compress(NEW, mtime=0),
        gzip.compress(NEW, 9, mtime=0),
        gzip.compress(OLD, mtime=0),
    )
    with open_layer(old) as layer, open_layer(new) as split:
        assert make_delta(split, [layer], tmp_path / "delta")
        assert make_delta(other, [layer], tmp_path / "other-delta")
        assert 0.5 < shared_sectors(split, layer) < 1
        assert shared_sectors(layer, layer) == 1
    apply_delta(tmp_path / "delta", {digest_of(old.read_bytes()): old}, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == new.read_bytes()


def test_temporary_files_go_where_they_are_told_to(tmp_path: Path) -> None:
    new, old = written(tmp_path, gzip.compress(NEW, mtime=0), gzip.compress(OLD, mtime=0))
    nowhere = tmp_path / "absent"
    with pytest.raises(DeltaError, match="apart: No such file"):
        make_delta(new, [old], tmp_path / "delta", directory=nowhere)
    assert make_delta(new, [old], tmp_path / "delta")
    olds = {digest_of(old.read_bytes()): old}
    with pytest.raises(DeltaError, match="apart: No such file"):
        apply_delta(tmp_path / "delta", olds, tmp_path / "target", directory=nowhere)
    assert not (tmp_path / "target").exists()


def test_temporary_files_vanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    delivered(tmp_path, gzip.compress(NEW, mtime=0), [gzip.compress(OLD, mtime=0)])
    assert not list(folder.iterdir())


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    new, old = written(tmp_path, gzip.compress(NEW, mtime=0), gzip.compress(OLD, mtime=0))
    olds = {digest_of(old.read_bytes()): old}
    absent = tmp_path / "absent"
    with pytest.raises(DeltaError, match="absent"):
        make_delta(absent, [old], tmp_path / "delta")
    with pytest.raises(DeltaError, match="absent"):
        make_delta(new, [old], absent / "delta")
    with pytest.raises(DeltaError, match="absent"):
        apply_delta(absent, olds, tmp_path / "target")
    make_delta(new, [old], tmp_path / "delta")
    with pytest.raises(DeltaError, match="absent"):
        apply_delta(tmp_path / "delta", olds, absent / "target")


WITHOUT_THE_EXTRA = """
import sys
sys.modules["numpy"] = sys.modules["backports"] = sys.modules["compression"] = None
from pathlib import Path
from docker_charon import DockerCharonError
from docker_charon.deltas import apply_delta, make_delta, open_layer, read_header
for call in (
    lambda: make_delta(Path("new"), [Path("old")], Path("delta")),
    lambda: apply_delta(Path("delta"), {}, Path("target")),
    lambda: open_layer(Path("new")),
):
    try:
        call()
    except DockerCharonError as error:
        print(error)
print(read_header(open(sys.argv[1], "rb")).new.digest)
"""


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    new, old = written(tmp_path, gzip.compress(NEW, mtime=0), gzip.compress(OLD, mtime=0))
    make_delta(new, [old], tmp_path / "delta")
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA, tmp_path / "delta"],
        capture_output=True,
        text=True,
        check=True,
    )
    *errors, digest = result.stdout.splitlines()
    assert len(errors) == 3
    assert all("numpy" in line for line in errors)
    assert all("pip install 'docker-charon[deltas]'" in line for line in errors)
    assert digest == digest_of(new.read_bytes())
