"""An examination in a process of its own, whose memory is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MOST_MEMORY = 200  # MiB
PROGRAM = Path(__file__).parent / "run.py"


def run(*arguments: object) -> dict[str, Any]:
    """Examine in a process of its own; return what it found.

    Its memory is measured, so nothing counts the lines that it runs.
    """
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
