"""``docker-charon serve``, as a process: what it says, and how it ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from command_line import charon
from distribution import Api
from docker_charon import make_payload, serve
from images import image, layer


@contextlib.contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yield it with the line that it begins with."""
    process = subprocess.Popen(
        [sys.executable, "-m", "docker_charon", "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_well(tmp_path: Path, end: signal.Signals) -> None:
    with serving("--storage", tmp_path / "s", "--port", "0") as (process, address):
        images.put(address, "app:1", image(layer(1)))
        api = Api(address)
        assert api("GET", "app/tags/list").json()["tags"] == ["1"]  # a line that stays open
        process.send_signal(end)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, "")
    assert stderr.splitlines() == [
        f"docker-charon: serving on http://{address}, read-write, in {tmp_path / 's'}; "
        "stop it with Ctrl-C",
        "docker-charon: the server has stopped",
    ]


SIGNAL_TO_ANOTHER_THREAD = """
import signal, sys, threading
from docker_charon.cli.program import main

def send():
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), int(signal.SIGTERM))
    sys.stdin.readline()

threading.Thread(target=send, daemon=True).start()
main()
"""


def test_it_ends_after_a_signal_that_does_not_interrupt_its_wait(tmp_path: Path) -> None:
    arguments = ["serve", "--storage", str(tmp_path / "s"), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", SIGNAL_TO_ANOTHER_THREAD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        first = process.stderr.readline()
        time.sleep(0.3)  # by now it waits
        process.stdin.write("\n")
        process.stdin.flush()
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert "stop it with Ctrl-C" in first
        assert process.stderr.read() == "docker-charon: the server has stopped\n"


def test_it_serves_payloads_and_says_what_is_incomplete(tmp_path: Path) -> None:
    with serve(storage=tmp_path / "s") as server:
        images.put(server.address, "app:1", image(layer(1)))
        images.put(server.address, "app:2", image(layer(1), layer(2)))
        make_payload(server.address, tmp_path / "p.zip", ["app:2"], ["app:1"], secure=False)
    with serving(tmp_path / "p.zip", "--port", "0") as (process, address):
        assert images.read_blob(address, "app", images.digest_of(layer(2))) == layer(2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    first, second, _ = stderr.splitlines()
    assert first.startswith("docker-charon: app:2 is incomplete: 1 of its blobs")
    assert "read-only" in second


def test_it_warns_once_that_there_is_no_authentication(tmp_path: Path) -> None:
    options = ("--storage", tmp_path / "s", "--host", "0.0.0.0", "--port", "0")  # noqa: S104  # on purpose
    with serving(*options) as (process, address):
        assert Api(address.replace("0.0.0.0", "127.0.0.1"))("GET", "/v2/").status_code == 200  # noqa: S104  # as above
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert stderr.count("there is no authentication") == 1


def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"")
    assert "is not a payload" in charon("serve", tmp_path / "p.zip").line
    assert "serve takes either payloads or a storage directory" in charon("serve").line
    both = charon("serve", tmp_path / "p.zip", "--storage", tmp_path / "s")
    assert "either payloads" in both.line
    with serve(storage=tmp_path / "s") as server:
        port = server.address.rpartition(":")[2]
        assert "another docker-charon" in charon("serve", "--storage", tmp_path / "s").line
        taken = charon("serve", "--storage", tmp_path / "t", "--port", port)
        assert f"cannot listen on 127.0.0.1:{port}" in taken.line
    assert charon("serve", "--port", "70000").status == 2


def test_its_help_says_how_it_ends() -> None:
    assert "the exit status is then 0" in " ".join(charon("serve", "--help").stdout.split())
