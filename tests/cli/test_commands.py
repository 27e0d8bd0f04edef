"""The command line, as a process: its streams, its exit status, its one line."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import images
from images import image, layer

COMMAND = [sys.executable, "-m", "docker_charon"]


def run(
    *arguments: object, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


def assert_fails(done: subprocess.CompletedProcess[bytes], *words: str, status: int = 1) -> None:
    """See that a command ended with one line on standard error that has these words."""
    lines = done.stderr.decode().splitlines()
    assert done.returncode == status, lines
    assert len(lines) == 1
    assert lines[0].startswith("docker-charon: ")
    for word in words:
        assert word in lines[0]
    assert not done.stdout


def test_the_trip_in_two_commands(source: str, destination: str, tmp_path: Path) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    other = images.put(source, "team/other:2", image(layer(2)))
    payload = tmp_path / "p.zip"
    made = run("make-payload", "-r", source, "-i", "-f", payload, "app:1,team/other:2")
    assert (made.returncode, made.stdout) == (0, b"")
    assert b"is complete (1 of 2 images)\n" in made.stderr
    pushed = run("push-payload", "-r", destination, "-i", "-f", payload)
    assert (pushed.returncode, pushed.stdout) == (0, b"app:1\nteam/other:2\n")
    assert images.read(destination, "app:1") == app.contents()
    assert images.read(destination, "team/other:2") == other.contents()


def test_a_payload_goes_through_a_pipe(source: str, destination: str) -> None:
    images.put(source, "base:1", image(layer(1)))
    app = images.put(source, "app:2", image(layer(1), layer(2)))
    for arguments in (["base:1"], ["-a", "base:1", "app:2"]):
        made = run("make-payload", "-r", source, "-i", *arguments)
        assert made.returncode == 0
        pushed = run("push-payload", "-r", destination, "-i", "-s", stdin=made.stdout)
        assert pushed.returncode == 0
    assert images.read(destination, "app:2") == app.contents()


def test_words_and_comma_lists_mix(source: str, tmp_path: Path) -> None:
    for n in range(4):
        images.put(source, f"app:{n}", image(layer(n)))
    payload = tmp_path / "p.zip"
    options = ["-a", "app:2,app:3", "-a", "app:1"]
    made = run("make-payload", "-r", source, "-i", "-f", payload, *options, "app:0, app:1", "app:2")
    assert made.returncode == 0
    strict = run("push-payload", "-r", source, "-i", "--file", payload, "--strict")
    assert strict.stdout.decode().split() == ["app:0", "app:1", "app:2"]


def test_a_warning_is_one_line_and_the_status_is_3(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1)))
    images.put(source, "app:2", image(layer(1), layer(2)))
    payload = tmp_path / "p.zip"
    run("make-payload", "-r", source, "-i", "-f", payload, "-a", "app:1", "app:2")
    lenient = run("push-payload", "-r", destination, "-i", "-q", "-f", payload)
    assert (lenient.returncode, lenient.stdout) == (3, b"")
    assert lenient.stderr.decode().count("\n") == 1
    assert lenient.stderr.startswith(b"docker-charon: warning: left out: ")
    strict = run("push-payload", "-r", destination, "-i", "-f", payload, "-s")
    assert_fails(strict, images.digest_of(layer(1)), "app:2")


def test_what_is_wrong_is_one_line_and_leaves_no_file(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1, 9000)))
    target = tmp_path / "made/p.zip"
    make = ["make-payload", "-f", target, "-r", source]
    target.parent.mkdir()
    assert_fails(run(*make, "-i", "nope:1"), source, "nope:1")
    assert_fails(run(*make, "-i", "App:1"), "App:1", "lower case", status=2)
    assert_fails(run(*make, "app:1"), "TLS", "--insecure")
    assert_fails(run(*make[:-1], "127.0.0.1:1", "-i", "app:1"), "127.0.0.1:1")
    assert_fails(run(*make[:-1], f"http://{source}", "-i", "app:1"), "without https://", status=2)
    assert_fails(run(*make, "-i", "-u", "me", "app:1"), "password", status=2)
    assert not list(target.parent.iterdir())
    nowhere = tmp_path / "no/such/p.zip"
    assert_fails(run("make-payload", "-r", source, "-i", "-f", nowhere, "app:1"), str(nowhere))


def test_what_is_no_payload_is_one_line(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1, 9000)))
    good, bad = tmp_path / "p.zip", tmp_path / "bad.zip"
    run("make-payload", "-r", source, "-i", "-f", good, "app:1")
    push = ["push-payload", "-r", source, "-i", "-f", bad]
    assert_fails(run(*push), "bad.zip", "No such file")
    bad.write_bytes(b"not a zip at all")
    assert_fails(run(*push), "bad.zip", "not a payload")
    bad.write_bytes(good.read_bytes()[:5000])
    assert_fails(run(*push), "cut short")
    assert_fails(run(*push[:-2], stdin=b""), "not a payload")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["make-payload"], "IMAGES"),
        (["make-payload", "--no-such-option", "app:1"], "--no-such-option"),
        (["no-such-command"], "no-such-command"),
        (["push-payload", "--password-stdin"], "-f"),
        (["push-payload", "-f"], "see docker-charon push-payload --help"),
        (["make-payload", "--receipt", "r.zip", "app:1"], "--ledger"),
        (["push-payload", "-f", "p.zip", "--receipt", "r.zip", "--dry-run"], "--dry-run"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], word: str) -> None:
    assert_fails(run(*arguments), word, "--help", status=2)


def test_help_is_there_for_every_command() -> None:
    for arguments in ([], ["--help"], ["make-payload", "-h"], ["push-payload", "--help"]):
        done = run(*arguments)
        assert done.returncode == 0
        assert b"Usage: docker-charon" in done.stdout


@pytest.mark.parametrize("command", [["make-payload", "app:1"], ["push-payload"]])
def test_a_payload_never_meets_a_terminal(command: list[str]) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, *command, "-r", "127.0.0.1:1"],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(sent: signal.Signals, status: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*COMMAND, "make-payload", "-i", "-r", registry, "-f", str(tmp_path / "p"), "app:1"],
            stderr=subprocess.PIPE,
        )
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            time.sleep(0.1)
            process.send_signal(sent)
            _, stderr = process.communicate(timeout=60)
    assert process.returncode == status
    assert b"Traceback" not in stderr
    assert not list(tmp_path.iterdir())


def test_a_reader_that_goes_away_is_one_line(source: str) -> None:
    images.put(source, "app:1", image(layer(1, 3_000_000)))
    with subprocess.Popen(
        [*COMMAND, "make-payload", "-r", source, "-i", "app:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read().decode()
    assert process.returncode == 1
    assert stderr.count("\n") == 1
    assert "cannot write" in stderr


def test_a_dry_run_says_what_the_real_one_does(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "base:1", image(layer(1)))
    app = images.put(source, "app:2", image(layer(1), layer(2, 5000)))
    images.put(destination, "base:1", image(layer(1)))
    payload = tmp_path / "p.zip"
    make = ["make-payload", "-r", source, "-i", "-f", payload, "-a", "base:1", "app:2"]
    told = run(*make, "--dry-run")
    assert (told.returncode, told.stdout) == (0, b"")
    assert not payload.exists()
    assert run(*make).returncode == 0
    assert f"payload of {payload.stat().st_size:,} bytes".encode() in told.stderr
    assert f"{images.digest_of(layer(2, 5000))} from app".encode() in told.stderr
    push = ["push-payload", "-r", destination, "-i", "-s", "-f", payload]
    told = run(*push, "--dry-run")
    assert (told.returncode, told.stdout) == (0, b"app:2\n")
    assert f"mount {images.digest_of(layer(1))} from base to app".encode() in told.stderr
    assert images.read(destination, "app:2") is None
    assert run(*push).stdout == b"app:2\n"
    assert images.read(destination, "app:2") == app.contents()


def test_a_dry_run_of_a_push_is_as_strict(source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "base:1", image(layer(1)))
    images.put(source, "app:2", image(layer(1), layer(2)))
    payload = tmp_path / "p.zip"
    run("make-payload", "-r", source, "-i", "-f", payload, "-a", "base:1", "app:2")
    push = ["push-payload", "-r", destination, "-i", "-f", payload, "--dry-run"]
    assert run(*push).returncode == 3
    assert_fails(run(*push, "-s"), images.digest_of(layer(1)))


def test_a_payload_is_verified_and_inspected(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1, 5000)))
    payload = tmp_path / "p.zip"
    run("make-payload", "-r", source, "-i", "-f", payload, "app:1")
    verified = run("verify-payload", "-f", payload)
    assert (verified.returncode, verified.stdout) == (0, b"")
    assert run("verify-payload", "-q", stdin=payload.read_bytes()).stderr == b""
    table = run("inspect-payload", "-f", payload).stdout.decode().splitlines()
    assert table[1].split()[:2] == ["app:1", "linux/amd64"]
    assert json.loads(run("inspect-payload", "--json", "-f", payload).stdout)["saved"] == 0
    content = bytearray(payload.read_bytes())
    content[len(content) // 2] ^= 1
    payload.write_bytes(content)
    assert_fails(run("verify-payload", "-f", payload), "blobs/sha256/")
