"""Pipes, devices and open descriptors in the place of files."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docker_charon import special_file
from docker_charon.files import write_beside
from docker_charon.special_file import (
    descriptor_of,
    is_socket,
    is_stream,
    kind_of,
    open_to_read,
    open_to_write,
    read_all,
)

pytestmark = pytest.mark.posix


@pytest.fixture
def special(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a directory with one file of each kind."""
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        yield tmp_path


@pytest.mark.parametrize("folder", ["/dev/fd", "/dev/../dev/fd", "/proc/self/fd"])
def test_the_path_of_a_descriptor_is_known(folder: str) -> None:
    assert descriptor_of("/dev/stdout") == 1
    assert descriptor_of(f"{folder}/1") == (1 if Path(folder).is_dir() else None)


def test_a_link_to_a_descriptor_is_one_and_a_file_with_such_a_name_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("2").touch()
    Path("link").symlink_to("/dev/stderr")
    assert descriptor_of("link") == 2
    for path in ("2", "", "/dev/fd", "/dev/fd/x", "none", "a\0b", "/dev/null"):
        assert descriptor_of(path) is None


def test_each_kind_of_file_has_a_name(special: Path) -> None:
    kinds = {path.name: kind_of(path) for path in special.iterdir()}
    assert kinds == {
        "file": None,
        "directory": "a directory",
        "loop": None,
        "pipe": "a pipe",
        "socket": "a socket",
    }
    assert kind_of("/dev/zero") == "a device"
    assert kind_of(special / "none") is None
    assert {path.name for path in special.iterdir() if is_stream(path)} == {"pipe", "socket"}
    assert {path.name for path in special.iterdir() if is_socket(path)} == {"socket"}


@pytest.mark.parametrize("open_it", [open_to_read, open_to_write])
def test_a_socket_is_not_opened(special: Path, open_it: Callable[[Path], object]) -> None:
    with pytest.raises(OSError, match="it is a socket"):
        open_it(special / "socket")


def test_a_file_that_a_shell_has_opened_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb", buffering=0) as output:
        output.write(b"before ")
        write_beside(Path(f"/dev/fd/{output.fileno()}"), b"content")
        output.write(b" after")
    assert (tmp_path / "output").read_bytes() == b"before content after"
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


def test_a_socket_that_is_open_is_read_and_written() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with open_to_write(f"/dev/fd/{ours.fileno()}") as output:
            output.write(b"there")
        assert theirs.recv(100) == b"there"
        theirs.sendall(b"and back")
        theirs.shutdown(socket.SHUT_WR)
        assert read_all(f"/dev/fd/{ours.fileno()}", 100) == b"and back"


def test_a_file_without_end_is_not_read_without_end(special: Path) -> None:
    assert read_all(special / "file", 7) == b"content"
    for path in ("/dev/zero", special / "file"):
        with pytest.raises(ValueError, match="it is larger than 6 bytes"):
            read_all(path, 6)


class Heard(logging.Handler):
    """Notices that a message has been logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.event.set()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setattr(special_file, "_PATIENCE", 0)
    handler, logger = Heard(), logging.getLogger(special_file.__name__)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_message_says_that_a_pipe_has_no_writer(special: Path, heard: Heard) -> None:
    def write() -> None:
        heard.event.wait(60)
        (special / "pipe").write_bytes(b"at last")

    writer = threading.Thread(target=write)
    writer.start()
    assert read_all(special / "pipe", 100) == b"at last"
    writer.join()
    assert heard.texts == [f"{special / 'pipe'} is a pipe: waiting for a program that writes to it"]


def test_a_message_says_that_a_pipe_has_no_reader(special: Path, heard: Heard) -> None:
    received = []

    def read() -> None:
        heard.event.wait(60)
        received.append((special / "pipe").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    write_beside(special / "pipe", b"at last")
    reader.join()
    assert received == [b"at last"]
    assert heard.texts == [
        f"{special / 'pipe'} is a pipe: waiting for a program that reads from it"
    ]
