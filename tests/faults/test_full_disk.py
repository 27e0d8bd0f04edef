"""A disk without room: at the start, and when somebody else has filled it meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from docker_charon import PayloadError, make_payload
from docker_charon.payload.partial_files import partial_file
from docker_charon.payload.partial_files.partial_file import PartialFile
from faults.cells import Sides
from images import image, layer
from proxy import Action, Head, Proxy, Rule

SIZE = 400_000
APP = image(*(layer(n, SIZE) for n in range(50, 56)))


@pytest.fixture(scope="session")
def source(sides: Sides) -> str:
    """Return the registry with an image that is larger than the room for it."""
    images.put(sides.source, "large:1", APP)
    return sides.source


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of so many bytes; skip where that is not allowed, save in CI."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    is_linux = sys.platform == "linux"
    if not is_linux or subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        if os.environ.get("CI"):
            pytest.fail("no file system can be mounted here")
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def is_one_line(error: BaseException, *words: str) -> None:
    assert str(error).isprintable()
    for word in words:
        assert word in str(error)


def test_a_disk_that_is_too_small_is_told_before_the_first_blob(
    source: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", SIZE) as disk, Proxy(source) as proxy:
        with pytest.raises(PayloadError) as raised:
            make_payload(proxy.address, disk / "p.zip", ["large:1"], secure=False)
        is_one_line(raised.value, "p.zip needs", "more bytes", "free")
        assert not proxy.matching("GET", "/blobs/")
        assert not [*disk.iterdir()]


class FillDisk(Action):
    """Fill a disk when a blob is answered: somebody else needs the room, too."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk

    def answer(self, head: Head) -> None:
        with (self._disk / "filler").open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
                file.flush()


def test_a_disk_that_others_fill_leaves_a_payload_its_room(source: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 * SIZE) as disk:
        fill = Rule("GET", "/blobs/", FillDisk(disk), skip=2)
        with Proxy(source, [fill]) as proxy:
            make_payload(proxy.address, disk / "p.zip", ["large:1"], secure=False)
        assert shutil.disk_usage(disk).free == 0
        assert (disk / "p.zip").stat().st_size > 6 * SIZE


def test_a_disk_that_others_fill_and_that_reserves_nothing_is_told(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    with small_disk(tmp_path / "disk", 8 * SIZE) as disk:
        fill = Rule("GET", "/blobs/", FillDisk(disk), skip=2)
        with Proxy(source, [fill]) as proxy, pytest.raises(PayloadError) as raised:
            make_payload(proxy.address, disk / "p.zip", ["large:1"], secure=False, jobs=1)
        is_one_line(raised.value, "cannot write", "p.zip", os.strerror(errno.ENOSPC))
        assert not (disk / "p.zip").exists()
        assert raised.value.partial == disk / "p.zip.partial"
        (disk / "filler").unlink()
        make_payload(source, disk / "p.zip", ["large:1"], secure=False)
        assert [path.name for path in disk.iterdir()] == ["p.zip"]


@pytest.mark.parametrize("after", [0, SIZE // 2, 4 * SIZE])
def test_a_write_that_fails_is_told_and_leaves_no_payload(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    class FullDisk(PartialFile):
        """Has room for so many bytes."""

        room = after

        def write(self, data: bytes | memoryview, offset: int) -> None:
            if len(data) > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            FullDisk.room -= len(data)
            super().write(data, offset)

    payload = tmp_path / "out" / "p.zip"
    payload.parent.mkdir()
    with monkeypatch.context() as patched, pytest.raises(PayloadError) as raised:
        patched.setattr(partial_file, "PartialFile", FullDisk)
        make_payload(source, payload, ["large:1"], secure=False, jobs=1)
    is_one_line(raised.value, "cannot write", "p.zip", os.strerror(errno.ENOSPC))
    assert [*payload.parent.iterdir()] == ([raised.value.partial] if raised.value.partial else [])
    make_payload(source, payload, ["large:1"], secure=False)
    assert [path.name for path in payload.parent.iterdir()] == ["p.zip"]


LIMITED = """
import resource, runpy, sys
sys.dont_write_bytecode = True  # it would be cut short, unnoticed
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv[:2] = ["docker-charon"]
runpy.run_module("docker_charon", run_name="__main__")
"""
"""The command line where no file can grow beyond so many bytes."""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such limit there")
@pytest.mark.parametrize("room", [0, 100, SIZE // 2, 4 * SIZE])
@pytest.mark.parametrize("target", ["path", "standard output"])
def test_a_file_that_cannot_grow_is_one_line(
    source: str, tmp_path: Path, room: int, target: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    to = ["-f", str(folder / "p.zip")] if target == "path" else []
    with (tmp_path / "stdout").open("wb") as stdout:
        done = subprocess.run(
            [
                *(sys.executable, "-c", LIMITED, str(room), "make-payload", "-q", "-i"),
                *("-r", source, *to, "large:1"),
            ],
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            # What measures coverage could not write its file either.
            env={key: value for key, value in os.environ.items() if "COVERAGE" not in key},
        )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("docker-charon: cannot write "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert not [*folder.iterdir()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_device_that_is_full_is_told(source: str) -> None:
    with pytest.raises(PayloadError) as raised:
        make_payload(source, "/dev/full", ["large:1"], secure=False)
    is_one_line(raised.value, "cannot write /dev/full", os.strerror(errno.ENOSPC))
