"""The command line as a process that can be killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def make(
    registry: str, payload: Path, *arguments: str, jobs: int = 2, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Begin to make a payload; without a pipe for its standard error, it says what it can."""
    return _docker_charon("make-payload", registry, payload, jobs, stderr, *arguments)


def push(
    registry: str, payload: Path, *arguments: str, jobs: int = 2, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Begin to push a payload; ``stderr`` as in `make`."""
    return _docker_charon("push-payload", registry, payload, jobs, stderr, *arguments)


def _docker_charon(
    command: str, registry: str, payload: Path, jobs: int, stderr: int, *arguments: str
) -> subprocess.Popen[str]:
    quiet = ["-q"] if stderr == subprocess.PIPE else []
    options = [*quiet, "-i", "-r", registry, "-f", str(payload), "-j", str(jobs)]
    return subprocess.Popen(
        [sys.executable, "-m", "docker_charon", command, *options, *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@contextlib.contextmanager
def dead_pipe() -> Iterator[int]:
    """Yield the end of a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def end_well(*commands: subprocess.Popen[str]) -> list[str]:
    """Wait for the ends of all, which have to be good ones; return their standard outputs."""
    ends = [command.communicate(timeout=60) for command in commands]
    assert [command.returncode for command in commands] == [0] * len(commands), ends
    return [stdout for stdout, _ in ends]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
