"""Volumes and signatures on the command line: the trip, the one line, and media that take turns."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from command_line import charon
from conftest import require
from images import TestImage, image, layer
from signers import allow, make_key

QUESTION = b"insert its medium and press Enter, or end with Ctrl-C\r\n"
LAYERS = [layer(n, 30_000) for n in range(4)]


@pytest.fixture(autouse=True)
def _with_ssh_keygen() -> None:
    require(shutil.which("ssh-keygen") is not None, "ssh-keygen")


@pytest.fixture
def app(source: str) -> TestImage:
    return images.put(source, "app:1", image(*LAYERS))


@pytest.fixture
def base(source: str, app: TestImage, tmp_path: Path) -> Path:
    """Return a signed payload in four volumes."""
    path = tmp_path / "usb" / "p.zip"
    path.parent.mkdir()
    key = make_key(tmp_path, "alice")
    made = charon(
        *["make-payload", "-r", source, "-i", "-f", path, "app:1"],
        *["--volume-size", "40KB", "--sign", key],
    )
    assert (made.status, made.stdout) == (0, "")
    assert f"{path}.001 is complete and can be moved\n" in made.stderr
    return path


@pytest.fixture
def allowed(base: Path, tmp_path: Path) -> Path:
    return allow(tmp_path / "allowed", tmp_path / "alice")


@pytest.fixture
def two_drives(base: Path, tmp_path: Path) -> list[object]:
    """Move two volumes to other directories; return the options that name these."""
    options: list[object] = []
    for n in (2, 4):
        (tmp_path / f"usb{n}").mkdir()
        base.with_name(f"p.zip.{n:03}").rename(tmp_path / f"usb{n}" / f"p.zip.{n:03}")
        options += ["--volume-dir", tmp_path / f"usb{n}"]
    return options


def test_volumes_on_several_drives_are_pushed(
    destination: str, app: TestImage, base: Path, allowed: Path, two_drives: list[object]
) -> None:
    pushed = charon(
        *["push-payload", "-r", destination, "-i", "-f", f"{base}.001", *two_drives],
        *["--allowed-signers", allowed],
    )
    assert (pushed.status, pushed.stdout) == (0, "app:1\n")
    assert f"{base}.001 is signed by alice@example.com, with the key ssh-ed25519" in pushed.stderr
    assert images.read(destination, "app:1") == app.contents()


def test_they_are_verified_and_inspected(
    base: Path, allowed: Path, two_drives: list[object]
) -> None:
    options = ["-f", base, "--allowed-signers", allowed, *two_drives]
    verified = charon("verify-payload", *options)
    assert verified.status == 0
    assert verified.stderr.endswith("docker-charon: the payload is complete and undamaged\n")
    assert "signed by alice@example.com" in verified.stderr
    assert (
        "\nsigned by alice@example.com with ssh-ed25519"
        in charon("inspect-payload", *options).stdout
    )
    unverified = charon("inspect-payload", "-f", base, *two_drives).stdout
    assert "\nsigned (not verified) with ssh-ed25519" in unverified


def test_one_volume_is_verified_alone(base: Path) -> None:
    verified = charon("verify-payload", "-f", f"{base}.003")
    assert verified.status == 0
    assert f"{base}.003 is complete and undamaged; to check all volumes, verify {base}.volumes" in (
        verified.stderr
    )
    (base.parent / "p.zip.003").write_bytes(b"x")
    assert (
        f"{base}.003 has 1 bytes instead of 40,000"
        in charon("verify-payload", "-f", f"{base}.003").line
    )


@pytest.mark.parametrize("command", ["push-payload", "verify-payload", "inspect-payload", "serve"])
def test_a_missing_volume_is_one_line(base: Path, command: str) -> None:
    (base.parent / "p.zip.002").unlink()
    options = [base] if command == "serve" else ["-f", base]
    line = charon(command, *options).line
    assert (
        "p.zip.002 is missing; copy it beside the others, or name its directory with --volume-dir"
        in line
    )


@pytest.mark.parametrize("command", ["push-payload", "verify-payload", "inspect-payload", "serve"])
def test_a_signer_who_is_not_allowed_is_one_line(base: Path, tmp_path: Path, command: str) -> None:
    others = allow(tmp_path / "others", make_key(tmp_path, "bob"))
    options = [base] if command == "serve" else ["-f", base]
    line = charon(command, *options, "--allowed-signers", others).line
    assert f"which is not in {others}" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-f", "p.zip", "--volume-size", "4X"], "'4X' is not a size; write it as 4G"),
        (["-f", "-", "--volume-size", "4G"], "volumes cannot be written to standard output"),
    ],
)
def test_wrong_usage_is_told(options: list[str], words: str) -> None:
    done = charon("make-payload", "-r", "127.0.0.1:1", "-i", *options, "app:1")
    assert done.status == 2
    assert words in done.stderr


class Terminal:
    """A terminal in which ``docker-charon`` runs; ``shown`` is all that has been read of it."""

    def __init__(self, *arguments: object) -> None:
        # The program's end stays open here too: some systems drop what is unread when it is closed.
        self.ours, self.theirs = pty.openpty()
        self.shown = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "docker_charon", *map(str, arguments)],
            stdin=self.theirs,
            stdout=subprocess.PIPE,
            stderr=self.theirs,
        )

    def read_until(self, text: bytes, count: int = 1) -> None:
        """Read until a text has been shown so many times."""
        while self.shown.count(text) < count:
            has_ended = self.process.poll() is not None
            if select.select([self.ours], [], [], 0 if has_ended else 0.1)[0]:
                self.shown += os.read(self.ours, 1000)
            else:
                assert not has_ended, self.shown

    def type(self, text: bytes) -> None:
        os.write(self.ours, text)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.ours)
        os.close(self.theirs)


@contextlib.contextmanager
def in_a_terminal(*arguments: object) -> Iterator[Terminal]:
    """Run ``docker-charon`` in a terminal."""
    with contextlib.closing(Terminal(*arguments)) as terminal:
        yield terminal


def test_the_next_medium_is_asked_for_on_a_terminal(
    destination: str, app: TestImage, base: Path, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    listing = shutil.copy(base.with_name("p.zip.volumes.json"), tmp_path)
    with in_a_terminal(
        *["push-payload", "-r", destination, "-i", "-f", listing, "--volume-dir", drive]
    ) as terminal:
        asked: list[str] = []
        for n in range(1, 6):
            terminal.read_until(QUESTION, n)
            asked.append(terminal.shown.split(b" is missing: insert")[n - 1][-9:].decode())
            for path in drive.iterdir():
                path.unlink()
            shutil.copy(base.parent / asked[-1], drive)
            terminal.type(b"\n")  # the terminal shows it before the program reads it
        terminal.read_until(b" uploaded, ")
        assert terminal.process.stdout is not None
        assert terminal.process.stdout.read() == b"app:1\n"
        assert terminal.process.wait(60) == 0
    below = [text.partition(b"\r\n")[0] for text in terminal.shown.split(QUESTION)[1:]]
    assert below == [b""] * 5, "a bar was drawn below the question"
    assert asked == [f"p.zip.{n:03}" for n in (4, 1, 2, 3, 4)]
    assert images.read(destination, "app:1") == app.contents()


@pytest.mark.parametrize("n", [2, 4])
def test_who_has_no_more_media_can_end_it(destination: str, base: Path, n: int) -> None:
    """While the payload is opened, or while a worker reads it."""
    base.with_name(f"p.zip.{n:03}").unlink()
    with in_a_terminal("push-payload", "-r", destination, "-i", "-f", base) as terminal:
        terminal.read_until(f"p.zip.{n:03} is missing: insert its medium".encode())
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until(b"docker-charon: interrupted; run the same command again: ")
        assert terminal.process.wait(60) == 130
    assert images.read(destination, "app:1") is None


def test_the_end_of_input_is_an_answer(destination: str, base: Path) -> None:
    base.with_name("p.zip.002").unlink()
    with in_a_terminal("push-payload", "-r", destination, "-i", "-f", base) as terminal:
        terminal.read_until(QUESTION)
        terminal.type(b"\x04")  # Ctrl-D
        terminal.read_until(b"p.zip.002 is missing; copy it beside the others")
        assert terminal.process.wait(60) == 1
