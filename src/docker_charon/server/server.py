"""The embedded registry: it serves payloads, or a directory, on an address."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import IO, Any

from docker_charon.errors import ServerError
from docker_charon.server.answer import Answer
from docker_charon.server.connection import Connection
from docker_charon.server.endpoints import Endpoints
from docker_charon.server.layout import open_layout
from docker_charon.server.payload_stack import open_stack
from docker_charon.server.request import Request
from docker_charon.server.upload_endpoints import UploadEndpoints

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 256
"""Connections at the same time, each with its own thread; further ones are answered with 503."""

_POLL_INTERVAL = 0.1  # seconds until the server notices that it should end
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Server:
    """A running server; ``address`` is its ``host:port``."""

    address: str


@contextlib.contextmanager
def serve(
    payloads: Sequence[str | os.PathLike[str] | IO[bytes]] = (),
    *,
    storage: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_signers: str | os.PathLike[str] | None = None,
) -> Iterator[Server]:
    """Run a registry (OCI distribution-spec 1.1) until the context ends.

    There is no authentication and no TLS: anyone who can reach the address can read and, with
    ``storage``, write. At the end all connections are closed and unfinished uploads are lost.

    Args:
        payloads: Payloads to serve, read-only. If two carry the same tag, the later one wins. Of
            an incomplete image the blobs that exist are served, and a warning is logged. The files
            must not change while they are served.
        storage: A directory to serve and to write to, instead of payloads: an OCI image layout,
            which is created if it does not exist. No other program may write to it meanwhile.
        host: The address to listen on. With the default, only this machine can connect.
        port: The port to listen on; 0 chooses a free one.
        allowed_signers: A file of allowed signers, as ssh-keygen(1) describes it. Each of the
            payloads must be signed by one of them.

    Yields:
        The server, ready for requests at its ``address`` (``host:port``).

    Raises:
        PayloadError: One of the payloads is not a payload, or not signed by an allowed signer.
        ServerError: The address or the directory cannot be used; or both payloads and a directory
            were given, or neither.
    """
    if isinstance(payloads, (str, bytes, os.PathLike)) or hasattr(payloads, "read"):
        raise TypeError("payloads is a list of payloads, not a single one")
    if bool(payloads) == (storage is not None):
        raise ServerError(
            "serve takes either payloads or a storage directory",
            hint="push-payload pushes a payload to a storage directory that is being served",
        )
    with contextlib.ExitStack() as stack:
        if storage is not None:
            layout = stack.enter_context(open_layout(storage))
            endpoints = Endpoints(layout, UploadEndpoints(layout).resources)
        else:
            endpoints = Endpoints(stack.enter_context(open_stack(payloads, allowed_signers)))
        server = stack.enter_context(_listen(host, port, endpoints.answer))
        yield Server(server)


@contextlib.contextmanager
def _listen(host: str, port: int, answer: Callable[[Request], Answer]) -> Iterator[str]:
    """Answer requests in threads; yield the address, with the port that was chosen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = _HTTPServer(family, (address[0], port), answer)
    except (OSError, OverflowError, ValueError) as error:  # ValueError: not a host name
        reason = getattr(error, "strerror", None) or error
        raise ServerError(
            f"cannot listen on {host}:{port}: {reason}", hint="use another --host or --port"
        ) from error
    own = str(server.server_address[0])
    number = server.server_address[1]
    if not ipaddress.ip_address(own.partition("%")[0]).is_loopback:
        _log.warning(
            "there is no authentication: anyone who can reach %s port %s has access; put a reverse "
            "proxy with TLS and authentication in front of it",
            own,
            number,
        )
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_INTERVAL,))
    thread.start()
    try:
        yield f"[{own}]:{number}" if ":" in own else f"{own}:{number}"
    finally:
        server.shutdown()
        thread.join()
        server.disconnect_all()
        server.server_close()  # waits for the threads


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = False  # running requests are finished before the server ends
    allow_reuse_address = os.name != "nt"  # on Windows two servers could take the same port
    request_queue_size = 128

    def __init__(
        self, family: int, address: tuple[Any, ...], answer: Callable[[Request], Answer]
    ) -> None:
        self.address_family = family
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        handler = type("_Connection", (Connection,), {"answer": staticmethod(answer)})
        super().__init__(address[:2], handler)

    def server_bind(self) -> None:
        """Bind without the DNS query for this machine's name that the base class makes."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its own thread, or answer 503 if there are too many."""
        with self._lock:
            is_full = len(self._connections) >= MOST_CONNECTIONS
            if not is_full:
                self._connections.add(request)
        if is_full:
            with contextlib.suppress(OSError):
                request.send(_BUSY, getattr(socket, "MSG_DONTWAIT", 0))
            super().shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that has ended."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def disconnect_all(self) -> None:
        """Close all connections, so that their threads end."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log why a connection ended; most often the client closed it."""
        _log.debug("%s: %s", client_address, sys.exc_info()[1])
