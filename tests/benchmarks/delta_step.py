"""One step of the work with deltas, in a process of its own that says what the step took.

python tests/benchmarks/delta_step.py make NEW OLD DELTA
python tests/benchmarks/delta_step.py apply DELTA OLD TARGET
python tests/benchmarks/delta_step.py split LAYER
python tests/benchmarks/delta_step.py join LAYER
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from docker_charon.deltas import apply_delta, make_delta, open_layer
from docker_charon.deltas.deflate import LayerWriter


@dataclass(frozen=True)
class Took:
    """What a step took: seconds of the clock, seconds of a processor, and bytes of memory."""

    wall: float
    cpu: float
    peak: int


class Running:
    """A step that runs."""

    def __init__(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True
        )

    def took(self) -> Took:
        """Wait for its end; raise `RuntimeError` if it fails."""
        printed, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args!r} failed")
        return Took(**json.loads(printed))


def _make(new: str, old: str, delta: str) -> None:
    make_delta(Path(new), [Path(old)], Path(delta))


def _apply(delta: str, old: str, target: str) -> None:
    digest = hashlib.sha256(Path(old).read_bytes()).hexdigest()
    apply_delta(Path(delta), {f"sha256:{digest}": Path(old)}, Path(target))


def _split(layer: str) -> None:
    with open_layer(Path(layer)) as split:
        _ = split.structure


def main(arguments: Sequence[str]) -> None:
    """Run a step, and print what it took as JSON."""
    steps: dict[str, Callable[..., None]] = {"make": _make, "apply": _apply, "split": _split}
    name, *paths = arguments
    if name == "join":
        with open_layer(Path(paths[0])) as split:
            _ = split.structure
            writer, structure = LayerWriter(lambda data: None), split.structure
            started = time.perf_counter(), time.process_time()
            for rows in structure.pieces():
                part = structure.part(rows)
                raw = split.raw(*structure.raw_range(rows))
                writer.write_rows(part.rows, part.headers, part.records, raw)
            ended = time.perf_counter(), time.process_time()
    else:
        started = time.perf_counter(), time.process_time()
        steps[name](*paths)
        ended = time.perf_counter(), time.process_time()
    status = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert status
    peak = int(status[1]) * 1024
    print(json.dumps(asdict(Took(ended[0] - started[0], ended[1] - started[1], peak))))


if __name__ == "__main__":
    main(sys.argv[1:])
