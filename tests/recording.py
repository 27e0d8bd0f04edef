"""The screenshot's text: the second week of a site, between two registries, as a terminal shows it.

Run it with ``python tests/recording.py > images/screenshot.txt``, and then ``images/draw.py``. The
last push is slowed down, and recorded while its bar is shown.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import images
import readme
from docker_charon import serve
from images import image, layer
from proxy import Proxy

COLUMNS, ROWS = 80, 24
SLOW = 4_000_000
"""Bytes per second."""

BASE, CODE, OTHER = layer(1, 150_000_000), layer(2, 9_000_000), layer(3, 38_000_000)
WEEK_1 = """
docker-charon make-payload -r registry.example.com -f week-1.zip \\
    --ledger site-a.zip my-image:1.4
docker-charon push-payload -r registry.lan -f week-1.zip --receipt receipt-1.zip
"""
WEEK_2 = """
docker-charon make-payload -r registry.example.com -f week-2.zip \\
    --ledger site-a.zip --receipt receipt-1.zip my-image:1.8
docker-charon inspect-payload week-2.zip
docker-charon push-payload -r registry.lan -f week-2.zip \\
    --receipt receipt-2.zip
"""


def main() -> None:
    """Run both weeks; print the second."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source, destination = (
            stack.enter_context(serve(storage=folder / name)).address
            for name in ("source", "destination")
        )
        slow = stack.enter_context(Proxy(destination, bytes_per_second=SLOW))
        images.put(source, "my-image:1.4", image(BASE, CODE))
        images.put(source, "my-image:1.8", image(BASE, CODE, OTHER))
        for command in commands(WEEK_1):
            run(command, folder, source, destination)
        *complete, last = commands(WEEK_2)
        for command in complete:
            shown = run(command, folder, source, destination)
            print(f"$ {command}\n{shown}\n")
        bar = run(last, folder, source, slow.address, until=" 6[4-9]%")
        print(f"$ {last}\n{bar}")


def commands(text: str) -> list[str]:
    """Return the commands of a shell block, each with the lines that continue it."""
    return re.findall(r"^docker-charon (?:.*\\\n)*.*$", text, re.MULTILINE)


def run(command: str, folder: Path, source: str, destination: str, until: str = "") -> str:
    """Run a command in a terminal; return what is on the screen when it ends or shows ``until``."""
    led = [f"registry.example.com={source}", f"registry.lan={destination}"]
    words = shlex.split(command.replace("\\\n", ""))[1:]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, readme.__file__, *led, "--", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = ""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while not (until and re.search(until, shown)):
            shown += os.read(ours, 1000).decode()
    process.terminate()
    process.wait()
    os.close(ours)
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in shown.split("\n")]
    return "\n".join(
        line[start : start + COLUMNS] for line in lines for start in range(0, len(line), COLUMNS)
    )


if __name__ == "__main__":
    main()
