"""Temporary folders end with the program, or are removed by the next one."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from docker_charon import PayloadError
from docker_charon.payload.temporary_folder import temporary_folder

PROGRAM = """
from docker_charon.payload.temporary_folder import temporary_folder
with temporary_folder() as folder:
    (folder / "layer").write_bytes(b"much")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.posix
def test_a_folder_is_private_and_removed_at_the_end(parent: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == parent
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "layer").write_bytes(b"much")
    assert [*parent.iterdir()] == []


@pytest.mark.posix
def test_a_folder_of_a_killed_program_is_removed_and_that_of_a_running_one_is_not(
    parent: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        other = Path(program.stdout.readline().strip())
        with temporary_folder():
            assert (other / "layer").exists()
        program.send_signal(signal.SIGKILL)
        program.wait(20)
        with temporary_folder() as folder:
            assert [*parent.iterdir()] == [folder]


def test_a_folder_of_a_program_that_was_killed_at_once_is_removed(parent: Path) -> None:
    (parent / "docker-charon-layers-new").mkdir()
    with temporary_folder() as folder:
        assert [*parent.iterdir()] == [folder]


def test_another_program_may_remove_a_folder_before_it_is_locked(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(*arguments: object, **options: object) -> str:
        folder = Path(mkdtemp(*arguments, **options))
        made.append(folder)
        if len(made) == 1:
            folder.rmdir()
        return str(folder)

    mkdtemp: Any = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with temporary_folder() as folder:
        assert folder == made[1]


def test_what_is_not_such_a_folder_stays(parent: Path) -> None:
    (parent / "docker-charon-layers-mine").mkdir()
    (parent / "docker-charon-layers-mine/notes").touch()
    (parent / "elsewhere").mkdir()
    (parent / "elsewhere/lock").touch()
    (parent / "docker-charon-layers-link").symlink_to(parent / "elsewhere")
    with temporary_folder():
        pass
    assert len([*parent.iterdir()]) == 3
    assert (parent / "elsewhere/lock").exists()


def test_no_place_for_a_folder_is_one_line(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "nowhere"))
    with pytest.raises(PayloadError, match="cannot make a temporary folder"), temporary_folder():
        pass
