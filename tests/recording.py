"""The screenshot's text: a delivery between two real registries, as a terminal shows it.

Run it with ``python tests/recording.py > images/screenshot.txt``, and then ``images/draw.py``. It
needs Debian's ``docker-registry``, and the ports 5000 and 5001.
"""

from __future__ import annotations

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
import registries

COLUMNS, ROWS = 80, 40
MEGABYTE = 1_000_000
COMMANDS = (
    """docker-charon make-payload -r localhost:5000 -i -f payload.zip \\
    -a my-image:1.4 my-image:1.8""",
    "docker-charon inspect-payload -f payload.zip",
    "docker-charon push-payload -r localhost:5001 -i -f payload.zip",
)


def shown(command: str, folder: Path) -> str:
    """Run a command in a terminal of its own; return what stays on the screen."""
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    program, *arguments = shlex.split(command)
    process = subprocess.Popen(
        [Path(sys.executable).with_name(program), *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
    )
    os.close(terminal)
    output = b""
    try:
        while chunk := os.read(reader, 65536):
            output += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    os.close(reader)
    if process.wait():
        raise RuntimeError(output.decode())
    return re.sub(r"[^\r\n]*\r", "", output.decode().replace("\r\n", "\n"))


def main() -> int:
    """Print the commands, and below each what it shows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            registries.docker_registry(folder / "source", port=5000) as source,
            registries.docker_registry(folder / "destination", port=5001) as destination,
        ):
            base = [images.layer(n, 120 * MEGABYTE) for n in range(3)]
            old = images.image(*base, images.layer(3, 30 * MEGABYTE))
            new = images.image(*base, images.layer(4, 34 * MEGABYTE))
            images.put(source, "my-image:1.4", old)
            images.put(source, "my-image:1.8", new)
            images.put(destination, "my-image:1.4", old)
            screens = [f"$ {command}\n{shown(command, folder)}" for command in COMMANDS]
    print("\n".join(screens), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
