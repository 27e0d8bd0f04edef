"""Deltas in processes of their own, and what becomes of these processes."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deltas.layers import digest_of, noise, tar, text, written
from docker_charon.deltas import process
from docker_charon.deltas.process import apply_delta_in_process, make_delta_in_process
from docker_charon.errors import DeltaError

OLD = gzip.compress(tar({"a": text(300_000), "b": noise(50_000)}), mtime=0)
NEW = gzip.compress(tar({"a": text(300_000), "b": noise(50_000), "c": text(9000, 5)}), mtime=0)


class Stop(Exception):
    """What the caller raises to stop."""


def never() -> None:
    """Go on."""


def test_a_layer_comes_back_from_the_delta_of_another_process(tmp_path: Path) -> None:
    new, old, unlike = written(tmp_path, NEW, OLD, gzip.compress(tar({"x": noise(9000, 7)})))
    delta, target = tmp_path / "delta", tmp_path / "target"
    assert make_delta_in_process(new, [unlike, old], delta, tmp_path, never)
    assert delta.stat().st_size < len(NEW) / 5
    apply_delta_in_process(delta, {digest_of(OLD): old}, target, tmp_path, never)
    assert target.read_bytes() == NEW


@pytest.mark.parametrize(
    "blob", [b"no layer at all", gzip.compress(tar({"x": noise(90_000, 9)}), mtime=0)]
)
def test_a_layer_that_has_to_travel_whole_has_no_delta(tmp_path: Path, blob: bytes) -> None:
    new, old = written(tmp_path, blob, OLD)
    assert not make_delta_in_process(new, [old], tmp_path / "delta", tmp_path, never)
    assert not (tmp_path / "delta").exists()


def test_an_old_blob_that_is_no_layer_is_passed_over(tmp_path: Path) -> None:
    new, old, other = written(tmp_path, NEW, OLD, b"no layer")
    assert make_delta_in_process(new, [other, old], tmp_path / "delta", tmp_path, never)


def test_an_error_of_the_process_is_the_error_of_the_caller(tmp_path: Path) -> None:
    delta, target = tmp_path / "delta", tmp_path / "target"
    delta.write_bytes(b"no delta")
    with pytest.raises(DeltaError, match="not a delta of docker-charon; check which file it is"):
        apply_delta_in_process(delta, {}, target, tmp_path, never)


@pytest.mark.posix
def test_a_process_that_is_killed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(DeltaError, match=r"ended with signal 9; it needs up to 300 MB"):
        make_delta_in_process(tmp_path, [], tmp_path / "delta", tmp_path, never)


def test_a_process_that_breaks_says_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "raise MemoryError('too little')")
    with pytest.raises(DeltaError, match="ended with MemoryError: too little"):
        make_delta_in_process(tmp_path, [], tmp_path / "delta", tmp_path, never)


def test_packages_that_cannot_be_imported_are_named_with_what_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy/__init__.py").write_text("raise ImportError('built for another Python')")
    monkeypatch.syspath_prepend(tmp_path)
    new, old = written(tmp_path, NEW, OLD)
    expected = (
        r"cannot be used: built for another Python; install the packages of .*\[deltas\] again$"
    )
    with pytest.raises(DeltaError, match=expected):
        make_delta_in_process(new, [old], tmp_path / "delta", tmp_path, never)
    (tmp_path / "numpy/__init__.py").write_text("")  # an old one lacks modules
    with pytest.raises(DeltaError, match=r"cannot be used: No module named 'numpy\.typing'"):
        make_delta_in_process(new, [old], tmp_path / "delta", tmp_path, never)


@pytest.mark.posix
def test_a_caller_that_stops_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "import time; time.sleep(100)")
    started: list[subprocess.Popen[bytes]] = []
    start = process._start

    def remember(output: object) -> subprocess.Popen[bytes]:
        started.append(start(output))  # type: ignore[arg-type]  # it only passes it on
        return started[0]

    def stop() -> None:
        raise Stop

    monkeypatch.setattr(process, "_start", remember)
    with pytest.raises(Stop):
        make_delta_in_process(tmp_path, [], tmp_path / "delta", tmp_path, stop)
    assert started[0].returncode == -signal.SIGKILL


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    waiting = "from docker_charon.deltas import process; import time, threading; "
    waiting += "threading.Thread(target=process._end_with_parent, daemon=True).start(); "
    waiting += "time.sleep(100)"
    child = subprocess.Popen([sys.executable, "-c", waiting], stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(60) == 1


def test_modules_of_the_working_directory_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numpy", "runpy", "docker_charon"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    new, old = written(tmp_path, NEW, OLD)
    assert make_delta_in_process(new, [old], tmp_path / "delta", tmp_path, never)


def test_where_no_python_can_be_started_the_delta_is_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(process, "_start", None)
    new, old = written(tmp_path, NEW, OLD)
    assert make_delta_in_process(new, [old], tmp_path / "delta", tmp_path, never)
