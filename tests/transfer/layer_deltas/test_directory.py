"""The directory of layer deltas: what it keeps, and what it believes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_charon.errors import BlobNotFound, DigestMismatch, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.transfer.layer_deltas.directory import (
    Decision,
    DeltaDirectory,
    delta_directory,
    remove_leftover,
)

CONTENT = bytes(range(256)) * 40
BLOB = Descriptor("", Digest.of(CONTENT), len(CONTENT))


def whole(start: int) -> Iterator[bytes]:
    yield CONTENT[start:]


def wrong(start: int) -> Iterator[bytes]:
    yield bytes(len(CONTENT) - start)


def test_the_beginning_of_a_blob_is_not_fetched_again(tmp_path: Path) -> None:
    starts = []

    def rest(start: int) -> Iterator[bytes]:
        starts.append(start)
        yield from whole(start)

    directory = DeltaDirectory(tmp_path)
    directory.blob_path(BLOB.digest).write_bytes(CONTENT[:1000])
    assert directory.keep(BLOB, rest).read_bytes() == CONTENT
    assert DeltaDirectory(tmp_path).keep(BLOB, rest).read_bytes() == CONTENT
    assert starts == [1000]


@pytest.mark.parametrize("beginning", [b"?" * 1000, b"?" * len(CONTENT), CONTENT + b"?"])
def test_a_beginning_that_is_damaged_is_fetched_again(tmp_path: Path, beginning: bytes) -> None:
    directory = DeltaDirectory(tmp_path)
    directory.blob_path(BLOB.digest).write_bytes(beginning)
    assert directory.keep(BLOB, whole).read_bytes() == CONTENT


def test_wrong_content_is_an_error_and_not_kept(tmp_path: Path) -> None:
    directory = DeltaDirectory(tmp_path)
    with pytest.raises(DigestMismatch):
        directory.keep(BLOB, wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_a_blob_is_not_written_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"important")
    directory = DeltaDirectory(tmp_path / "deltas")
    directory.path.mkdir()
    directory.blob_path(BLOB.digest).symlink_to(other)
    with pytest.raises(PayloadError, match="is a link"):
        directory.keep(BLOB, whole)
    assert other.read_bytes() == b"important"


def test_a_decision_counts_for_the_same_candidates_only(tmp_path: Path) -> None:
    olds = [Digest.of(b"old")]
    directory = DeltaDirectory(tmp_path)
    assert directory.recorded(BLOB.digest, olds) is None
    directory.record(BLOB.digest, olds, Decision(None))
    assert directory.recorded(BLOB.digest, olds) == Decision(None)
    assert directory.recorded(BLOB.digest, [*olds, Digest.of(b"older")]) is None


def test_a_delta_counts_only_as_it_was_written_down(tmp_path: Path) -> None:
    directory = DeltaDirectory(tmp_path)
    delta = directory.delta_path(BLOB.digest)
    delta.write_bytes(b"delta")
    directory.record(BLOB.digest, [], Decision(Digest.of(b"delta")))
    assert directory.recorded(BLOB.digest, []) == Decision(Digest.of(b"delta"))
    delta.write_bytes(b"Delta")
    assert directory.recorded(BLOB.digest, []) is None
    delta.unlink()
    assert directory.recorded(BLOB.digest, []) is None


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"candidates": [], "delta": 7}'])
def test_a_record_that_is_damaged_does_not_count(tmp_path: Path, record: bytes) -> None:
    directory = DeltaDirectory(tmp_path)
    directory.record(BLOB.digest, [], Decision(None))
    next(tmp_path.glob("*.json")).write_bytes(record)
    assert directory.recorded(BLOB.digest, []) is None


def test_it_stays_after_a_failure_if_there_is_something_in_it(tmp_path: Path) -> None:
    for error, is_kept in ((KeyboardInterrupt(), True), (BlobNotFound("gone"), False)):
        with pytest.raises(type(error)), delta_directory(tmp_path / "p.zip", lambda: None) as made:
            made.keep(BLOB, whole)
            raise error
        assert (tmp_path / "p.zip.partial.deltas").exists() is is_kept
        assert (getattr(error, "partial", None) == made.path) is is_kept
    with pytest.raises(KeyboardInterrupt), delta_directory(tmp_path / "p.zip", lambda: None):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_left_is_removed_unless_another_run_uses_it(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        delta_directory(tmp_path / "p.zip", lambda: None) as made,
    ):
        made.keep(BLOB, whole)
        remove_leftover(tmp_path / "p.zip")
        assert made.blob_path(BLOB.digest).exists()
        raise KeyboardInterrupt
    (tmp_path / "q.zip.partial.deltas").symlink_to(made.path)
    (tmp_path / "r.zip.partial.deltas").mkdir()  # of somebody else: it has no lock
    for name in ("p.zip", "q.zip", "r.zip"):
        remove_leftover(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("q.zip.partial.deltas", "r.zip.partial.deltas")
    ]


def test_it_is_beside_the_target_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "p.zip").symlink_to(tmp_path / "disk/p.zip")
    with delta_directory(tmp_path / "p.zip", lambda: None) as made:
        assert made.path == tmp_path / "disk/p.zip.partial.deltas"


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p.zip.partial.deltas").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(PayloadError, match="is a link, and is not written to; remove it"),
        delta_directory(tmp_path / "p.zip", lambda: None),
    ):
        pytest.fail("it was used")


@pytest.mark.posix
def test_a_pipe_has_a_temporary_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with delta_directory(tmp_path / "fifo", lambda: None) as made:
        assert made.path.parent != tmp_path
    assert not made.path.exists()
