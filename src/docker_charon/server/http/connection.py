"""A connection of a client: it reads requests and sends answers (HTTP/1.1, RFC 9112)."""

from __future__ import annotations

import contextlib
import email.utils
import http
import io
import os
import select
import socket
import time
from collections.abc import Callable

from docker_charon.messages import get_logger
from docker_charon.payload.random_access import Extent
from docker_charon.server.http.answer import Answer, error
from docker_charon.server.http.head import MalformedRequest, RequestHead, read_head
from docker_charon.server.http.request import Request, RequestBody
from docker_charon.server.store import Blob, Code

_log = get_logger(__name__)

TIMEOUT = 120.0
"""Seconds that the server waits for a client: for its next request, or within a body."""
HEAD_TIMEOUT = 30.0
"""Seconds from the first to the last byte of a request's head."""
LOWEST_RATE = 1000
"""Bytes a second: within a body, a slower client uses up the `TIMEOUT` and is disconnected."""

_MOST_DISCARDED = 1024 * 1024  # bytes of an unwanted body that are read to keep the connection
_LINGER_TIME = 5.0  # seconds for the client to read an answer while it still sends its body
_LINGER_BUFFER = 256 * 1024
_SENDFILE_SIZE = 1 << 30  # bytes in one call; 32-bit systems accept less than 2^31


class _Patience:
    """How long the server still waits for a client within one body, in either direction.

    Waiting uses it up, and bytes fill it again. A slow disk of the server does not count.
    """

    def __init__(self) -> None:
        self._left = TIMEOUT

    def wait(self, transfer: Callable[[float], int]) -> int:
        """Call ``transfer`` with a timeout in seconds; return the number of bytes that it returns.

        Raises ``TimeoutError`` when the client has been too slow.
        """
        started = time.monotonic()
        size = transfer(self._left)
        self._left += size / LOWEST_RATE - (time.monotonic() - started)
        if self._left <= 0:
            raise TimeoutError("the client is too slow")
        self._left = min(self._left, TIMEOUT)
        return size


class _SocketReader(io.RawIOBase):
    """Reads from a socket: until ``deadline`` if there is one, else with ``patience``."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline: float | None = None
        self.patience = _Patience()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer
        def receive(timeout: float) -> int:
            self._connection.settimeout(timeout)
            return self._connection.recv_into(buffer)

        if self.deadline is not None:
            return receive(max(0.001, self.deadline - time.monotonic()))
        return self.patience.wait(receive)


class Connection:
    """Reads requests one after the other, and sends the answer to each.

    ``idle_since`` is the `time.monotonic` since which it has waited for a whole head; while a
    request is being answered, it is ``None``.
    """

    def __init__(
        self, connection: socket.socket, client: str, answer: Callable[[Request], Answer]
    ) -> None:
        self._connection = connection
        self._client = client
        self._answer = answer
        self._reader = _SocketReader(connection)
        self._stream = io.BufferedReader(self._reader, 64 * 1024)
        self.idle_since: float | None = time.monotonic()
        self.is_disconnected = False

    def run(self) -> None:
        """Serve the client until one side closes the connection."""
        try:
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            while not self.is_disconnected and self._serve_request():
                pass
        except (OSError, ValueError) as problem:  # ValueError: the server has closed the socket
            _log.debug("%s: %s", self._client, problem)
        finally:
            self.disconnect()
            self._connection.close()

    def disconnect(self) -> None:
        """End the connection, from any thread; its own thread then waits no longer."""
        self.is_disconnected, self.idle_since = True, None
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _serve_request(self) -> bool:
        """Read a request and answer it; return whether the connection stays open."""
        self.idle_since = time.monotonic()
        self._reader.deadline = self.idle_since + TIMEOUT
        if not self._stream.peek(1):
            return False
        self._reader.deadline = time.monotonic() + HEAD_TIMEOUT
        try:
            head = read_head(self._stream)
            if head is None:
                return False
            body = RequestBody(self._stream, head, lambda: self._send_continue(head))
        except MalformedRequest as problem:
            self._refuse(problem)
            return False
        self.idle_since = self._reader.deadline = None
        self._reader.patience = _Patience()
        try:
            answer = self._answer(Request(head, body))
        except MalformedRequest as problem:
            self._refuse(problem, head)
            return False
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            _log.exception("%s %s failed", head.method, head.path)
            answer = error(Code.UNKNOWN, "the server failed; its log has the details")
        rest = body.remaining
        # A client that waits for 100 (Continue) may never send the body.
        is_waiting = head.expects_continue and rest == body.length
        can_continue = rest == 0 or (
            rest is not None and rest <= _MOST_DISCARDED and not is_waiting
        )
        keep = can_continue and head.keeps_connection
        self._send(answer, head, close=not keep)
        if keep:
            for _ in body.chunks():
                pass
        else:
            self._linger()
        return keep

    def _send_continue(self, head: RequestHead) -> None:
        if head.expects_continue:
            self._send_all(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, problem: MalformedRequest, head: RequestHead | None = None) -> None:
        self._reader.deadline = None
        self._send(error(Code.UNSUPPORTED, str(problem), status=problem.status), head, close=True)
        self._linger()

    def _send(self, answer: Answer, head: RequestHead | None, *, close: bool) -> None:
        self._reader.patience = _Patience()
        lines = [
            f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}",
            f"Date: {email.utils.formatdate(usegmt=True)}",
            "Server: docker-charon",
            "Docker-Distribution-Api-Version: registry/2.0",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        if answer.status != 204:
            lines.append(f"Content-Length: {answer.length}")
        if close:
            lines.append("Connection: close")
        elif head is not None and head.version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        encoded = "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1", "replace")
        if head is not None:
            _log.debug("%s %s: %d", head.method, head.path, answer.status)
        if head is not None and head.method == "HEAD":
            self._send_all(encoded)
        elif answer.blob is None:
            self._send_all(encoded + answer.content)
        else:
            self._send_all(encoded)
            self._send_blob(answer.blob, answer.start, answer.end)

    def _send_all(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)

        def send(timeout: float) -> int:
            self._connection.settimeout(timeout)
            return self._connection.send(rest)

        while rest:
            rest = rest[self._reader.patience.wait(send) :]

    def _send_blob(self, blob: Blob, start: int, end: int) -> None:
        """Send a part of a blob; an error in the middle can only close the connection."""
        try:
            with blob.extent() as extent:
                if extent is not None and hasattr(os, "sendfile"):
                    self._send_extent(extent, start, end)
                    return
                for chunk in blob.chunks(start):
                    self._send_all(chunk[: end - start])
                    start += len(chunk)
                    if start >= end:
                        return
        except (ConnectionError, TimeoutError):
            raise
        except Exception as problem:
            _log.error("a blob cannot be sent: %s", problem)
            raise ConnectionAbortedError("the answer could not be finished") from problem

    def _send_extent(self, extent: Extent, start: int, end: int) -> None:
        """Send a part of an extent with ``sendfile``, which copies nothing into this process."""
        poll = select.poll()
        poll.register(self._connection, select.POLLOUT)
        self._connection.setblocking(False)

        def send(timeout: float) -> int:
            if not poll.poll(timeout * 1000):
                raise TimeoutError("the client does not receive anything")
            with contextlib.suppress(BlockingIOError):
                size = os.sendfile(
                    self._connection.fileno(),
                    extent.descriptor,
                    extent.offset + start,
                    min(end - start, _SENDFILE_SIZE),
                )
                if not size:
                    raise OSError("the file is shorter than it was")
                return size
            return 0

        while start < end:
            start += self._reader.patience.wait(send)

    def _linger(self) -> None:
        """Give the client time to read the answer: a reset while it sends could destroy it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._reader.deadline = time.monotonic() + _LINGER_TIME
            buffer = bytearray(_LINGER_BUFFER)
            while time.monotonic() < self._reader.deadline:
                if not self._reader.readinto(buffer):
                    return
