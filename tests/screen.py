"""A terminal for tests: a program is run in it, and what it would show is read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """What a terminal has shown: every state of every line, and the exit status."""

    status: int
    text: str

    @property
    def states(self) -> list[str]:
        """Every state that a line has had, one after the other."""
        return [state for state in re.split(r"[\r\n]|\x1b\[A", self.text) if state.strip()]

    @property
    def left(self) -> list[str]:
        """What is left of each line in the end."""
        lines = self.text.replace("\r\n", "\n").split("\n")
        return [
            line.rpartition("\r")[2].rstrip() for line in lines if line.rpartition("\r")[2].strip()
        ]


def run(*arguments: object, columns: int = 80, interrupt_after: float | None = None) -> Seen:
    """Run ``docker-charon`` with its standard error in a terminal that is so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "docker_charon", *map(str, arguments)],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "COLUMNS": str(columns)},
    )
    os.close(theirs)
    shown = bytearray()
    begun = time.monotonic()
    with contextlib.suppress(OSError):  # Linux has no other word for the end
        while piece := os.read(ours, 65536):
            shown += piece
            if interrupt_after is not None and b"%" in shown:
                time.sleep(interrupt_after)
                process.send_signal(signal.SIGINT)
                interrupt_after = None
            assert time.monotonic() - begun < 120
    os.close(ours)
    return Seen(process.wait(60), shown.decode())
