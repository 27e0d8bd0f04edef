"""The embedded registry: payloads, or a directory, served on an address."""

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
from docker_charon.server.endpoints import Endpoints, Request
from docker_charon.server.layout import open_layout
from docker_charon.server.payload_stack import open_stack
from docker_charon.server.upload_endpoints import UploadEndpoints

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 256
"""Connections at once, each with a thread of its own; more are sent away with 503."""

_POLL = 0.1  # seconds from one look at whether to end to the next
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Server:
    """A server that runs: ``address`` is its ``host:port``."""

    address: str


@contextlib.contextmanager
def serve(
    payloads: Sequence[str | os.PathLike[str] | IO[bytes]] = (),
    *,
    storage: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Server]:
    """Run a registry that answers OCI distribution-spec 1.1, as long as the context lasts.

    There is no login and no TLS: what can reach the address can read and, with ``storage``, write.
    At the end every connection is cut, and what was not whole by then is not there.

    Args:
        payloads: Payloads to serve, read-only; of two with the same tag, the later one's is
            served. An image that they do not carry all of is served as far as it goes, and the log
            says so. They must not change meanwhile.
        storage: A directory to serve and to write to, in place of payloads: an OCI image layout,
            made if it is not there. No other program may write to it meanwhile.
        host: The address to listen on. Another one than the default can be reached by others.
        port: The port to listen on; 0 is any that is free.

    Yields:
        The server, whose ``address`` (``host:port``) is ready for requests.

    Raises:
        PayloadError: One of the payloads is none.
        ServerError: The address or the directory cannot be used; or there are payloads and a
            directory, or neither.
    """
    if isinstance(payloads, (str, bytes, os.PathLike)) or hasattr(payloads, "read"):
        raise TypeError("payloads is a list of them, not a single one")
    if bool(payloads) == (storage is not None):
        raise ServerError(
            "either payloads are served or a storage directory",
            hint="push-payload puts payloads into a storage that is being served",
        )
    with contextlib.ExitStack() as stack:
        if storage is not None:
            layout = stack.enter_context(open_layout(storage))
            endpoints = Endpoints(layout, UploadEndpoints(layout).resources)
        else:
            endpoints = Endpoints(stack.enter_context(open_stack(payloads)))
        server = stack.enter_context(_listen(host, port, endpoints.answer))
        yield Server(server)


@contextlib.contextmanager
def _listen(host: str, port: int, answer: Callable[[Request], Answer]) -> Iterator[str]:
    """Answer requests on an address, on threads; yield it as it came to be."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = _HTTPServer(family, (address[0], port), answer)
    except (OSError, OverflowError, ValueError) as error:  # the last of a host that is no name
        reason = getattr(error, "strerror", None) or error
        raise ServerError(
            f"cannot listen on {host}:{port}: {reason}", hint="name another --host or --port"
        ) from error
    own = str(server.server_address[0])
    number = server.server_address[1]
    if not ipaddress.ip_address(own.partition("%")[0]).is_loopback:
        _log.warning(
            "there is no login: whoever can reach %s port %s can use it; put a reverse proxy "
            "with TLS and a login before it",
            own,
            number,
        )
    thread = threading.Thread(target=server.serve_forever, args=(_POLL,))
    thread.start()
    try:
        yield f"[{own}]:{number}" if ":" in own else f"{own}:{number}"
    finally:
        server.shutdown()
        thread.join()
        server.cut()
        server.server_close()  # waits for the threads


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = False  # what is being written is brought to its end
    allow_reuse_address = os.name != "nt"  # there it means that two may have the same port
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
        """Bind without asking a name server for this machine's name, as the base does."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, or send it away."""
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
        """Forget a connection that ends."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End all connections, so that their threads end."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection; most often it was the client."""
        _log.debug("%s: %s", client_address, sys.exc_info()[1])
