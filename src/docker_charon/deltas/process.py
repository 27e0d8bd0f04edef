"""A process of its own for each delta, so that several are made on several cores.

The process is ``python -m docker_charon.deltas``, so that programs that call the library need no
``__main__`` guard. It reads one line of JSON from standard input, and writes one to its output::

    {"new": PATH, "olds": [PATH, ...], "target": PATH, "directory": PATH}         to make a delta
    {"delta": PATH, "olds": {DIGEST: PATH, ...}, "target": PATH, "directory": PATH}   to apply one

    {"made": BOOLEAN} or {"error": TEXT, "hint": TEXT}

It ends with the process that started it, whose end closes its standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from docker_charon.deltas.delta import apply_delta, make_delta, open_layer, shared_sectors
from docker_charon.errors import DeltaError, UnfitLayer

# It imports modules from the same directories as this process, and from no others.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; import runpy; "
    "runpy.run_module('docker_charon.deltas', run_name='__main__')"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_POLL = 0.1  # seconds
_LONGEST_ANSWER = 64 * 1024  # bytes of the output that are read, from its end


def core_count() -> int:
    """Return how many processes can compute at the same time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_delta_in_process(
    new: Path, olds: Sequence[Path], target: Path, directory: Path, check: Callable[[], None]
) -> bool:
    """Write a delta as `make_delta` does, with the old layers in the order of what they share.

    ``check`` is called several times a second; if it raises, the process is killed. Returns whether
    there is a delta. Raises `DeltaError`, also if the process is killed by somebody else.
    """
    job = {"new": str(new), "olds": [str(old) for old in olds]}
    return _run(job, target, directory, check)


def apply_delta_in_process(
    delta: Path, olds: Mapping[str, Path], target: Path, directory: Path, check: Callable[[], None]
) -> None:
    """Write a new layer as `apply_delta` does; ``check`` is that of `make_delta_in_process`."""
    job = {"delta": str(delta), "olds": {digest: str(old) for digest, old in olds.items()}}
    _run(job, target, directory, check)


def _run(job: Mapping[str, Any], target: Path, directory: Path, check: Callable[[], None]) -> bool:
    """Do a job in a process of its own; return whether it has written the target."""
    job = {**job, "target": str(target), "directory": str(directory)}
    if getattr(sys, "frozen", False) or not sys.executable:
        return _do(job)  # there is no Python that could be started
    try:
        with tempfile.TemporaryFile(dir=directory) as output:
            status = _wait_for(_start(output), job, check)
            output.seek(max(0, output.seek(0, os.SEEK_END) - _LONGEST_ANSWER))
            lines = output.read().decode(errors="replace").splitlines()
    except OSError as error:
        raise DeltaError(
            f"cannot start a process for a delta: {error.strerror or error}"
        ) from error
    answer: Any = None
    with contextlib.suppress(ValueError, IndexError):
        answer = json.loads(lines[-1])
    if status or not isinstance(answer, dict):
        reason = f"signal {-status}" if status < 0 else lines[-1] if lines else f"status {status}"
        raise DeltaError(
            f"the process for the delta {target.name} has ended with {reason}",
            hint="it needs up to 300 MB of memory: try with fewer jobs",
        )
    if "error" in answer:
        raise DeltaError(answer["error"], hint=answer["hint"])
    return bool(answer["made"])


def _start(output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # nothing in it comes from a payload
        [sys.executable, "-c", _PROGRAM, *sys.path],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env={**os.environ, **_ONE_THREAD},
    )


def _wait_for(
    process: subprocess.Popen[bytes], job: Mapping[str, Any], check: Callable[[], None]
) -> int:
    """Hand over the job, and wait for the end of the process; return its exit status."""
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # the exit status says why
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
        while True:
            check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()


def work() -> None:
    """Do the job that standard input describes, in the process that was started for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it kills it
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer: dict[str, Any]
    try:
        answer = {"made": _do(job)}
    except DeltaError as error:
        answer = {"error": error.message, "hint": error.hint}
    print(json.dumps(answer), flush=True)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _do(job: Mapping[str, Any]) -> bool:
    target, directory = Path(job["target"]), Path(job["directory"])
    if "delta" in job:
        olds = {digest: Path(old) for digest, old in job["olds"].items()}
        apply_delta(Path(job["delta"]), olds, target, directory=directory)
        return True
    return _make(Path(job["new"]), [Path(old) for old in job["olds"]], target, directory)


def _make(new: Path, olds: Sequence[Path], target: Path, directory: Path) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            new_layer = stack.enter_context(open_layer(new, directory))
        except UnfitLayer:
            return False
        layers = []
        for old in olds:
            with contextlib.suppress(UnfitLayer):
                layers.append(stack.enter_context(open_layer(old, directory)))
        layers.sort(key=lambda layer: -shared_sectors(new_layer, layer))
        return make_delta(new_layer, layers, target, directory=directory) is not None
