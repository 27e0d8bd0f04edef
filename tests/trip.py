"""The whole trip on this machine: two real registries, a first delivery and an update.

Run it with ``python tests/trip.py``. It needs Debian's ``docker-registry``.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import images
import registries


def run(*command: str) -> None:
    """Show a command as it would be typed, and run it."""
    print(f"$ docker-charon {shlex.join(command)}", flush=True)
    subprocess.run([sys.executable, "-m", "docker_charon", *command], check=True)


def main() -> int:
    """Make the trip; return 0 when every byte has arrived."""
    if not registries.is_installed():
        print(f"{registries.PROGRAM} is missing: apt-get install {registries.PROGRAM}")
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        registries.docker_registry(Path(folder) / "source") as source,
        registries.docker_registry(Path(folder) / "destination") as destination,
    ):
        base = [images.layer(n, 2_000_000) for n in range(3)]
        versions = {
            "my-image:1": images.put(source, "my-image:1", images.image(*base)),
            "my-image:2": images.put(
                source, "my-image:2", images.image(*base, images.layer(3, 500_000))
            ),
        }
        full, delta = f"{folder}/full.zip", f"{folder}/delta.zip"
        run("make-payload", "-r", source, "-i", "-f", full, "my-image:1")
        run("push-payload", "-r", destination, "-i", "-f", full)
        run("make-payload", "-r", source, "-i", "-f", delta, "-a", "my-image:1", "my-image:2")
        run("push-payload", "-r", destination, "-i", "-f", delta, "--strict")
        for path in (full, delta):
            print(f"{Path(path).name}: {Path(path).stat().st_size:,} bytes")
        arrived = all(
            images.read(destination, name) == image.contents() for name, image in versions.items()
        )
        print("every byte has arrived" if arrived else "the images differ")
        return 0 if arrived else 1


if __name__ == "__main__":
    sys.exit(main())
