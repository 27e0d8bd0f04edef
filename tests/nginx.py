"""A real nginx on loopback, one process that belongs to whoever runs the tests."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from certificates import Certificate

PROGRAM = "nginx"

_CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    client_max_body_size 0;
    {servers}
}}
"""

_SERVER = """
    server {{
        listen 127.0.0.1:{port}{tls};
        {directives}
        location / {{
            proxy_pass http://{upstream};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            {proxying}
        }}
    }}
"""


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def server(
    port: int,
    upstream: str,
    *directives: str,
    certificate: Certificate | None = None,
    proxying: str = "",
) -> str:
    """Return a server that stands before ``upstream``; TLS ends here, if it has a certificate.

    ``directives`` and ``proxying`` are nginx's own, for the server and for what it hands on.
    """
    lines = list(directives)
    if certificate is not None:
        lines += [
            f"ssl_certificate {certificate.file};",
            f"ssl_certificate_key {certificate.key};",
        ]
    return _SERVER.format(
        port=port,
        tls=" ssl" if certificate else "",
        directives="\n        ".join(lines),
        upstream=upstream,
        proxying=proxying,
    )


@contextlib.contextmanager
def nginx(folder: Path, *servers: str, port: int) -> Iterator[str]:
    """Run the servers, with all of their files in ``folder``; yield the ``host:port`` of one."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, servers="".join(servers)))
    command = [PROGRAM, "-p", str(folder), "-e", str(folder / "log"), "-c", str(config)]
    process = subprocess.Popen(command)
    try:
        _wait(port, process, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(3000):
        if process.poll() is not None:
            break
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"{PROGRAM} did not start: {log.read_text()[-2000:]}")
