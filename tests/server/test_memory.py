"""The memory that hostile manifests take, measured in a server process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from conftest import require
from docker_charon.oci.document import MOST_VALUES
from docker_charon.oci.manifest import MAX_SIZE
from images import OCI

DESCRIPTOR = b'{"mediaType":"a/b","digest":"sha256:%b","size":1},' % (b"a" * 64)
UNKNOWN_TYPE = "application/vnd.example"
MIB = 1024 * 1024
CLIENTS = 8


class ServerProcess:
    """A server with a storage directory, and the most memory that it has had."""

    def __init__(self, storage: Path) -> None:
        command = [sys.executable, "-m", "docker_charon", "serve"]
        self.process = subprocess.Popen(
            [*command, "--storage", str(storage), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    require(Path("/proc/self/status").exists(), "/proc")
    running = ServerProcess(tmp_path / "storage")
    yield running
    running.process.kill()
    running.process.communicate()


def filled(start: bytes, item: bytes, end: bytes, count: int | None = None) -> bytes:
    """Return ``start``, many items and ``end``: as many items as a manifest has room for."""
    room = MAX_SIZE - len(start) - len(end)
    return start + item * (count or room // len(item)) + item.rstrip(b",") + end


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (filled(b"[", b"{},", b"]", 1_300_000), OCI),
        (filled(b'{"layers":[', b"{},", b"]}", 1_300_000), UNKNOWN_TYPE),
        (filled(b'{"layers":[', b"{},", b"]}", MOST_VALUES // 2 - 10), UNKNOWN_TYPE),
        (filled(b'{"layers":[', DESCRIPTOR, b"]}", 36_000), UNKNOWN_TYPE),
        (filled(b'{"schemaVersion":2,"layers":[', DESCRIPTOR, b"]}", 36_000), OCI),
    ],
    ids=["array", "empty layers", "as many values as allowed", "layers", "layers of a known type"],
)
def test_hostile_manifests_at_once_take_little_memory(
    server: ServerProcess, content: bytes, media_type: str
) -> None:
    assert len(content) <= MAX_SIZE
    before = server.peak()

    def put(_: int) -> int:
        url = f"http://{server.address}/v2/app/manifests/1"
        return requests.put(
            url, content, headers={"Content-Type": media_type}, timeout=300
        ).status_code

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(put, range(CLIENTS))) == {400}
    assert server.peak() - before < 100 * MIB
