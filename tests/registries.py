"""Real registries on loopback: Debian's ``docker-registry`` (distribution 2.8), a process each."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

PROGRAM = "docker-registry"


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def free_port() -> int:
    """Return a port that nothing uses and that no client is given: Linux gives 32,768 and more."""
    while True:
        port = 15_000 + secrets.randbelow(17_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def docker_registry(
    root: Path,
    *,
    port: int | None = None,
    http: dict[str, Any] | None = None,
    client: tuple[str, str] | None = None,
    **sections: Any,
) -> Iterator[str]:
    """Run a registry that keeps its files under ``root``; yield its ``host:port``.

    ``http`` adds to the section of that name, and ``sections`` are others of its configuration.
    ``client`` is the certificate and the key by which it lets us in, if it wants any.
    """
    port = port or free_port()
    address = f"127.0.0.1:{port}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(root / "data")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": address, **(http or {})},
        **sections,
    }
    root.mkdir(parents=True, exist_ok=True)
    file = root / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    log = (root / "log").open("ab")
    process = subprocess.Popen([PROGRAM, "serve", str(file)], stdout=log, stderr=log)
    try:
        scheme = "https" if "tls" in config["http"] else "http"
        _wait(f"{scheme}://{address}/v2/", process, root / "log", client)
        yield address
    finally:
        process.terminate()
        process.wait(60)
        log.close()


class SharedRegistries:
    """Registries that tests use one after the other, each of which finds them empty.

    They keep nothing in memory, so what has no files is empty. ``folder`` contains their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes = contextlib.ExitStack()
        self._idle: list[tuple[Path, str]] = []

    def __enter__(self) -> SharedRegistries:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    @contextlib.contextmanager
    def empty(self, path: Path) -> Iterator[str]:
        """Yield the ``host:port`` of an empty registry; ``path`` becomes a link to its files."""
        if not self._idle:
            new = Path(tempfile.mkdtemp(dir=self._folder))
            self._idle.append((new, self._processes.enter_context(docker_registry(new))))
        root, address = self._idle.pop()
        path.symlink_to(root, target_is_directory=True)
        try:
            yield address
        finally:
            # A client that was killed may have left a request that still writes.
            with contextlib.suppress(FileNotFoundError):
                (root / "data").rename(root / "removed")
            shutil.rmtree(root / "removed", ignore_errors=True)
            self._idle.append((root, address))


def _wait(
    url: str, process: subprocess.Popen[bytes], log: Path, client: tuple[str, str] | None
) -> None:
    for _ in range(2000):
        if process.poll() is not None:
            break
        with contextlib.suppress(requests.ConnectionError):
            # Only whether it is there: certificates do not matter.
            requests.get(url, timeout=60, verify=False, cert=client)  # noqa: S501
            return
        time.sleep(0.05)
    raise RuntimeError(f"{PROGRAM} did not start: {log.read_text()[-2000:]}")
