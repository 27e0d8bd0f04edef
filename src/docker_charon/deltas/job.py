"""A job: a delta that is applied in a process of its own.

This is computing, which threads of one process cannot do side by side. The process runs the same
Python with the same import path. It reads one JSON object from its standard input, works, and
writes one to its standard output. It ends at once when its standard input is closed, which also
happens when the program that started it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from docker_charon.deltas.delta import apply_delta
from docker_charon.errors import DeltaError

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from docker_charon.deltas import job; job.main()"
_POLL = 0.05  # seconds between two calls of ``check``
_ENDED = 1  # the exit status of a process whose standard input was closed


def core_count() -> int:
    """Return how many processes can compute at the same time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def apply_in_process(
    delta: Path,
    olds: Mapping[str, Path],
    target: Path,
    *,
    directory: Path,
    check: Callable[[], None],
) -> None:
    """Do as `apply_delta` does, in a process of its own, which needs at most 300 MB of memory.

    ``check`` is called regularly, from this thread; if it raises an exception, the process is
    killed and the exception goes on.
    """
    job = {
        "delta": str(delta),
        "olds": {digest: str(path) for digest, path in olds.items()},
        "target": str(target),
        "directory": str(directory),
    }
    try:
        _run("apply", job, check)
    except BaseException:
        target.unlink(missing_ok=True)  # a process that is killed leaves it
        raise


def _apply(job: Mapping[str, Any]) -> None:
    olds = {digest: Path(path) for digest, path in job["olds"].items()}
    apply_delta(Path(job["delta"]), olds, Path(job["target"]), directory=Path(job["directory"]))


_KINDS: dict[str, Callable[[Mapping[str, Any]], Any]] = {"apply": _apply}


def _run(kind: str, job: Mapping[str, Any], check: Callable[[], None]) -> Any:
    """Return the result of a job of this kind; raise `DeltaError` if it fails."""
    if not sys.executable or getattr(sys, "frozen", False):
        return _KINDS[kind](job)  # there is no Python to start
    try:
        process = subprocess.Popen(  # noqa: S603  # our own Python
            [sys.executable, "-I", "-c", _CODE, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise DeltaError(f"cannot start a process for a delta: {error.strerror}") from error
    with process:
        try:
            answer = _answer(process, json.dumps({"kind": kind, **job}).encode(), check)
        finally:
            process.kill()
    try:
        document = json.loads(answer)
    except ValueError:
        raise DeltaError(
            f"the process for a delta ended with status {process.returncode}",
            hint="it needs up to 300 MB of memory: use fewer jobs if there is less",
        ) from None
    if "error" in document:
        raise DeltaError(document["error"], hint=document["hint"])
    return document["result"]


def _answer(process: subprocess.Popen[bytes], job: bytes, check: Callable[[], None]) -> bytes:
    """Send the job to the process; return what it has written when it ends."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the process has no pipes")
    try:
        process.stdin.write(job + b"\n")
        process.stdin.flush()  # it stays open: the process ends when it is closed
    except BrokenPipeError:
        return b""
    while True:
        try:
            process.wait(_POLL)
            return process.stdout.read()
        except subprocess.TimeoutExpired:
            check()


def main() -> None:
    """Do the job that is on standard input; the code that `apply_in_process` starts calls this."""
    # Ctrl-C reaches every process of a terminal; the program that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    document: dict[str, Any]
    try:
        document = {"result": _KINDS[job.pop("kind")](job)}
    except DeltaError as error:
        document = {"error": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(document))


def _end_with_input() -> None:
    os.read(sys.stdin.fileno(), 1)  # the buffer would be locked when the process ends
    os._exit(_ENDED)
