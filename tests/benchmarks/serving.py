"""Measure how fast a layer is served, beside nginx with the same file; print a table in Markdown.

    python tests/benchmarks/serving.py --size 1000000000

Both are read with curl, in turn, and by several clients at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The tests' own modules are found only now.
import registries
from benchmarks import machine, workload
from benchmarks.table import Table
from docker_charon import make_payload
from nginx import nginx

CLIENTS = 32

_STATIC = """
    server {{
        listen 127.0.0.1:{port};
        sendfile on;
        location / {{ root {folder}; }}
    }}
"""


def main() -> int:
    """Measure; print what was found."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="docker-charon-serving-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx may be somebody else
        storage, payload = folder / "storage", folder / "payload.zip"
        with _serving("--storage", storage) as (process, address):
            image = workload.put_image(address, "large", folder, [options.size])
            digest = image.blobs[1]["digest"]
            make_payload(address, payload, [image.name], secure=False, progress=False)
            taken = _peak(process.pid)
        port = registries.free_port()
        static = _STATIC.format(port=port, folder=storage / "blobs" / "sha256")
        with (
            nginx(folder / "nginx", static, port=port) as plain,
            _serving("--storage", storage) as (directory, from_directory),
            _serving(payload) as (stack, from_payload),
        ):
            urls = {
                "nginx": f"http://{plain}/{digest.partition(':')[2]}",
                "serve --storage": f"http://{from_directory}/v2/large/blobs/{digest}",
                "serve PAYLOAD": f"http://{from_payload}/v2/large/blobs/{digest}",
            }
            alone = {
                name: _median(options.runs, url, 1, options.size) for name, url in urls.items()
            }
            part = options.size // CLIENTS
            many = {name: _median(options.runs, url, CLIENTS, part) for name, url in urls.items()}
            peaks = {
                "nginx": "",
                "serve --storage": f"{_peak(directory.pid) / 1e6:.0f} MB",
                "serve PAYLOAD": f"{_peak(stack.pid) / 1e6:.0f} MB",
            }
    print(
        f"{machine.describe()}.\n{machine.version_of('nginx', '-v')}. Medians of {options.runs}.\n"
    )
    rows = [
        [
            name,
            f"{options.size / 1e6 / alone[name]:.0f} MB/s",
            f"{alone['nginx'] / alone[name]:.2f}",
            f"{part * CLIENTS / 1e6 / many[name]:.0f} MB/s",
            f"{many['nginx'] / many[name]:.2f}",
            peaks[name],
        ]
        for name in urls
    ]
    headers = ["", "1 client", "of nginx", f"{CLIENTS} clients", "of nginx", "peak memory"]
    note = f"Taking the layer by way of an upload: {taken / 1e6:.0f} MB of memory at its peak."
    title = f"Serving a layer of {options.size / 1e6:.0f} MB"
    print(Table(title, headers, rows, note).markdown())
    return 0


@contextlib.contextmanager
def _serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the server as a process; yield it, and its address."""
    command = [sys.executable, "-m", "docker_charon", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _median(runs: int, url: str, clients: int, size: int) -> float:
    """Return the seconds in which so many clients read the first ``size`` bytes each."""
    found = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        command = ["curl", "-sf", "-o", os.devnull, "-r", f"0-{size - 1}", url]
        reading = [subprocess.Popen(command) for _ in range(clients)]
        if {each.wait() for each in reading} != {0}:
            raise RuntimeError(f"{url} cannot be read")
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])  # the first one has warmed the cache


def _peak(pid: int) -> float:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return float(found[1]) * 1024 if found else 0.0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1_000_000_000, metavar="BYTES")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="default: 5")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
