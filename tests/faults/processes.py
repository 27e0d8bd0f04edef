"""The command line as a process that can be killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def make(registry: str, payload: Path, *names: str, jobs: int = 2) -> subprocess.Popen[str]:
    """Begin to make a payload."""
    return _docker_charon("make-payload", registry, "-f", str(payload), "-j", str(jobs), *names)


def push(registry: str, payload: Path, jobs: int = 2) -> subprocess.Popen[str]:
    """Begin to push a payload."""
    return _docker_charon("push-payload", registry, "-f", str(payload), "-j", str(jobs))


def _docker_charon(command: str, registry: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*(sys.executable, "-m", "docker_charon", command, "-q", "-i", "-r", registry), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_well(*commands: subprocess.Popen[str]) -> list[str]:
    """Wait for the ends of all, which have to be good ones; return their standard outputs."""
    ends = [command.communicate(timeout=60) for command in commands]
    assert [command.returncode for command in commands] == [0] * len(commands), ends
    return [stdout for stdout, _ in ends]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
