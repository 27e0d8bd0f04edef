"""A command run once, and what it took: seconds, memory, bytes written."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

Name = TypeVar("Name", bound="str | tuple[object, ...]")


@dataclass(frozen=True)
class Command:
    """What to run; its standard output is thrown away."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is added to ours."""
    stdin: Path | None = None
    """A file that it is sent through a pipe."""


@dataclass(frozen=True)
class Measurement:
    """What a command took, with all processes that it started and waited for."""

    seconds: float
    cpu: float
    """Seconds of the processors, of programs and of the system in their name."""
    peak: float
    """Bytes of memory of its largest process; at least what this process here has ever used."""
    written: float
    """Bytes written to files and pipes, wherever they end; what goes through `send` is not."""


def measure(command: Command, flushed: Path | None = None) -> Measurement:
    """Run a command to its end; raise `RuntimeError` if it fails.

    The seconds include the time until the disk has what is written to the folder ``flushed``.
    """
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        stdin = stack.enter_context(_piped(command.stdin))
        environment = {**os.environ, **command.environment}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users' Python compiles modules once
        started = time.perf_counter()
        process = subprocess.Popen(
            command.argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its counters stay to be read
        if flushed:
            subprocess.run(["sync", "-f", str(flushed)], check=True)
        seconds = time.perf_counter() - started
        counters = Path(f"/proc/{process.pid}/io").read_text()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{command.argv} ended with {process.returncode}: {said}")
    written = re.search(r"^wchar: (\d+)$", counters, re.MULTILINE)
    return Measurement(
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024,
        float(written[1]) if written else 0.0,
    )


@contextlib.contextmanager
def _piped(file: Path | None) -> Iterator[IO[bytes] | int]:
    """Yield what reads a file and cannot seek in it; without one, what has nothing to read."""
    if file is None:
        yield subprocess.DEVNULL
        return
    with subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        yield cat.stdout


def medians(
    runs: int, contenders: Mapping[Name, Callable[[], Measurement]]
) -> dict[Name, Measurement]:
    """Let the contenders run in turn, ``runs`` times; return the median of each.

    In turn, because a machine is never as fast at one time as it is at another.
    """
    found: dict[Name, list[Measurement]] = {name: [] for name in contenders}
    for number in range(runs):
        for name, contender in contenders.items():
            os.sync()  # nobody pays for what another has left to be written
            found[name].append(contender())
            label = name if isinstance(name, str) else " ".join(map(str, name))
            said = f"  {label}, run {number + 1}: {found[name][-1].seconds:.2f} s"
            print(said, file=sys.stderr, flush=True)
    return {name: _median(measured) for name, measured in found.items()}


def _median(measured: Sequence[Measurement]) -> Measurement:
    return Measurement(
        statistics.median(each.seconds for each in measured),
        statistics.median(each.cpu for each in measured),
        statistics.median(each.peak for each in measured),
        statistics.median(each.written for each in measured),
    )
