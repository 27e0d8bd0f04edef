"""A forward proxy that leads every connection to one server: HTTP's ``CONNECT``, and SOCKS 5.

    with Tunnels(address) as tunnels:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{tunnels.address}")

Names that exist nowhere lead there as well: what is on this machine is never asked of a proxy.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import struct
import threading

from certificates import Certificate

CONNECT, SOCKS = "CONNECT", "SOCKS"


class Tunnels:
    """Listens at `address` as long as it is entered, and leads to ``upstream``, a ``host:port``.

    ``login`` is the username and password that it wants, and ``broken`` the number of connections
    that it breaks first, before it answers. With a ``certificate`` it speaks TLS itself.
    """

    def __init__(
        self,
        upstream: str,
        *,
        login: tuple[str, str] | None = None,
        broken: int = 0,
        certificate: Certificate | None = None,
    ) -> None:
        self.login = login
        self.broken = broken
        self.opened: list[tuple[str, str]] = []
        """How each tunnel was asked for, and where to (``host:port``)."""
        host, _, port = upstream.rpartition(":")
        self.upstream = (host, int(port))
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.tunnels = self
        if certificate is not None:
            context = certificate.server_context()
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Tunnels:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    tunnels: Tunnels


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    rbufsize = 0  # what follows the greeting belongs to the tunnel

    def handle(self) -> None:
        with contextlib.suppress(OSError, struct.error):
            if self.server.tunnels.broken > 0:
                self.server.tunnels.broken -= 1
                self.request.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                return
            first = self.rfile.read(1)
            if self._socks() if first == b"\5" else self._connect(first):
                self._tunnel()

    def _connect(self, first: bytes) -> bool:
        """Take an HTTP request; return whether it opens a tunnel."""
        method, target, _ = (first + self.rfile.readline()).decode("latin-1").split(" ", 2)
        headers = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        login = self.server.tunnels.login
        if login is not None:
            wanted = base64.b64encode(":".join(login).encode()).decode()
            if headers.get("proxy-authorization") != f"Basic {wanted}":
                return self._answer(
                    "407 Proxy Authentication Required", "Proxy-Authenticate: Basic"
                )
        if method != "CONNECT":
            return self._answer("501 Not Implemented", "X-Wanted: CONNECT")
        self.server.tunnels.opened.append((CONNECT, target))
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return True

    def _answer(self, status: str, header: str) -> bool:
        head = f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.wfile.write(head.encode())
        return False

    def _socks(self) -> bool:
        """Take a greeting of SOCKS 5 (RFC 1928) without a login, and a name or an IPv4 address."""
        self.rfile.read(self.rfile.read(1)[0])
        self.wfile.write(b"\5\0")
        kind = self.rfile.read(4)[3]
        if kind == 3:
            host = self.rfile.read(self.rfile.read(1)[0]).decode()
        else:
            host = socket.inet_ntoa(self.rfile.read(4))
        (port,) = struct.unpack(">H", self.rfile.read(2))
        self.server.tunnels.opened.append((SOCKS, f"{host}:{port}"))
        self.wfile.write(b"\5\0\0\1\0\0\0\0\0\0")
        return True

    def _tunnel(self) -> None:
        with socket.create_connection(self.server.tunnels.upstream) as upstream:
            threading.Thread(target=_copy, args=(upstream, self.request), daemon=True).start()
            _copy(self.request, upstream)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)  # also after the other side was reset
