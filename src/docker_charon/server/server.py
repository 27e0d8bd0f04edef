"""The embedded registry: it serves payloads, or a directory, on an address."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any

from docker_charon.errors import ServerError
from docker_charon.messages import argument, get_logger
from docker_charon.server.endpoints import Endpoints
from docker_charon.server.http.allowed_hosts import AllowedHosts
from docker_charon.server.http.answer import Answer, rejection
from docker_charon.server.http.connection import Connection
from docker_charon.server.http.request import Request
from docker_charon.server.layouts.layout import open_layout
from docker_charon.server.payloads.payload_stack import open_stack
from docker_charon.server.store import Rejected
from docker_charon.server.upload_endpoints import UploadEndpoints

_log = get_logger(__name__)

MOST_CONNECTIONS = 256
"""Connections at the same time, each with its own thread.

When there are as many, a new one takes the place of the one that has been idle for longest; if
none is idle, it is answered with 503.
"""

_POLL_INTERVAL = 0.1  # seconds until the server notices that it should end
_PAUSE = 0.5  # seconds until the server accepts connections again after it had no resources left
_SHORT_PAUSE = 0.01  # the same, if it has disconnected an idle client
_WARNING_INTERVAL = 60.0  # seconds between two warnings that it has no resources
_BACKLOG = 128  # connections that the system keeps until they are accepted
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
    allow_hosts: Sequence[str] = (),
    allowed_signers: str | os.PathLike[str] | None = None,
) -> Iterator[Server]:
    """Run a registry (OCI distribution-spec 1.1) until the context ends.

    There is no authentication and no TLS: anyone who can reach the address can read and, with
    ``storage``, write. At the end all connections are closed and unfinished uploads are lost.

    Args:
        payloads: Payloads to serve, read-only. If two carry the same tag, the later one wins. Of
            an incomplete image the blobs that exist are served, and a warning is logged. Layers
            that come as their difference to older ones are rebuilt when they are read, and kept in
            temporary files. The payloads must not change while they are served.
        storage: A directory to serve and to write to, instead of payloads: an OCI image layout,
            which is created if it does not exist. No other program may write to it meanwhile.
        host: The address to listen on. With the default, only this machine can connect.
        port: The port to listen on; 0 chooses a free one.
        allow_hosts: Names of hosts, without ports, that the server answers to. On a loopback
            address it refuses requests whose ``Host`` is another one than the address, localhost
            and these, and requests of web pages of other hosts (``Origin``); so no web site can
            reach it through a browser. On another address this applies only if there are names.
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
    is_single = isinstance(allow_hosts, (str, bytes)) or hasattr(allow_hosts, "read")
    if is_single or not all(isinstance(name, str) for name in allow_hosts):
        raise TypeError("allow_hosts is a list of str")
    if bool(payloads) == (storage is not None):
        raise ServerError(
            "serve takes either payloads or a storage directory",
            hint="push-payload pushes a payload to a storage directory that is being served",
        )
    with contextlib.ExitStack() as stack:
        if storage is not None:
            layout = stack.enter_context(open_layout(storage))
            large_manifests = stack.enter_context(ThreadPoolExecutor(1))
            endpoints = Endpoints(layout, UploadEndpoints(layout, large_manifests).resources)
        else:
            payload_stack = stack.enter_context(open_stack(payloads, allowed_signers))
            endpoints = Endpoints(payload_stack)
        address = stack.enter_context(_listen(host, port, allow_hosts, endpoints.answer))
        if storage is None:
            stack.callback(payload_stack.end)  # before the threads of the connections are joined
        yield Server(address)


@contextlib.contextmanager
def _listen(
    host: str, port: int, allow_hosts: Sequence[str], answer: Callable[[Request], Answer]
) -> Iterator[str]:
    """Answer requests in threads; yield the address, with the port that was chosen."""
    if isinstance(host, str):
        host = host.removeprefix("[").removesuffix("]")  # an IPv6 address as in a URL
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = _bound_socket(family, (address[0], port))
    except (OSError, OverflowError, ValueError) as error:  # ValueError: not a host name
        reason = getattr(error, "strerror", None) or error
        raise ServerError(
            f"cannot listen on {host}:{port}: {reason}",
            hint=f"use another {argument('--host or --port', 'host or port')}",
        ) from error
    with listener:
        own, number = str(listener.getsockname()[0]), listener.getsockname()[1]
        is_loopback = ipaddress.ip_address(own.partition("%")[0]).is_loopback
        if not is_loopback:
            _log.warning(
                "there is no authentication: anyone who can reach %s port %s has access; put a "
                "reverse proxy with TLS and authentication in front of it",
                own,
                number,
            )
        if is_loopback or allow_hosts:
            allowed = AllowedHosts.parse([own, host, "localhost"], allow_hosts)
            answer = _guarded(answer, allowed)
        connections = _Connections(answer)
        ending = threading.Event()
        thread = threading.Thread(target=connections.accept_all, args=(listener, ending))
        thread.start()
        try:
            yield f"[{own}]:{number}" if ":" in own else f"{own}:{number}"
        finally:
            ending.set()
            thread.join()
            connections.end_all()


def _bound_socket(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # on Windows two servers could take the same port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _guarded(answer: Callable[[Request], Answer], allowed: AllowedHosts) -> Callable[..., Answer]:
    """Return ``answer`` with a check of the host before it."""

    def checked(request: Request) -> Answer:
        try:
            allowed.check(request.head)
        except Rejected as reason:
            return rejection(reason)
        return answer(request)

    return checked


class _Connections:
    """The connections of the clients, each in its own thread."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer
        self._threads: dict[Connection, threading.Thread] = {}
        self._lock = threading.Lock()

    def accept_all(self, listener: socket.socket, ending: threading.Event) -> None:
        """Accept connections until ``ending`` is set."""
        listener.settimeout(_POLL_INTERVAL)
        next_warning = time.monotonic()
        while not ending.is_set():
            try:
                client, address = listener.accept()
            except TimeoutError:
                continue
            except OSError as failure:
                if failure.errno in _NO_RESOURCES:
                    if time.monotonic() >= next_warning:
                        _log.warning("no connections are accepted for now: %s", failure.strerror)
                        next_warning = time.monotonic() + _WARNING_INTERVAL
                    ending.wait(_SHORT_PAUSE if self._disconnect_idlest() else _PAUSE)
                continue  # others: the client has gone already
            self._serve(client, str(address[0]))

    def end_all(self) -> None:
        """Disconnect every client, and wait for the threads."""
        with self._lock:
            threads = dict(self._threads)
        for connection in threads:
            connection.disconnect()
        for thread in threads.values():
            thread.join()

    def _serve(self, client: socket.socket, address: str) -> None:
        connection = Connection(client, address, self._answer)
        thread = threading.Thread(target=self._run, args=(connection,))
        with self._lock:
            active = [c for c in self._threads if not c.is_disconnected]
            has_place = len(active) < MOST_CONNECTIONS
        if has_place or self._disconnect_idlest():
            with self._lock:
                self._threads[connection] = thread
            try:
                thread.start()
            except RuntimeError as failure:  # the system has no more threads
                _log.warning("a connection is refused: %s", failure)
                with self._lock:
                    del self._threads[connection]
            else:
                return
        with contextlib.suppress(OSError):
            client.settimeout(0)
            client.send(_BUSY)
        client.close()

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                self._threads.pop(connection, None)

    def _disconnect_idlest(self) -> bool:
        """Disconnect the client that has been idle for longest; return whether there was one."""
        with self._lock:
            idle = {
                connection: connection.idle_since
                for connection in self._threads
                if connection.idle_since is not None and not connection.is_disconnected
            }
            if not idle:
                return False
            connection = min(idle, key=lambda candidate: idle[candidate])
            connection.disconnect()
        return True
