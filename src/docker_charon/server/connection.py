"""A client's connection: requests come in, answers go out (HTTP/1.1, RFC 9112)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from docker_charon.payload.random_access import Extent
from docker_charon.server.answer import Answer, error
from docker_charon.server.endpoints import Request
from docker_charon.server.request_body import Malformed, RequestBody
from docker_charon.server.store import Blob, Code

_log = logging.getLogger(__name__)

TIMEOUT = 120.0
"""Seconds that a client may neither send nor take anything."""
HEAD_TIMEOUT = 30.0
"""Seconds from the first to the last byte of a request's head."""

_READ_ALL_THE_SAME = 1024 * 1024  # bytes of a body that nobody wants, to keep the connection
_LINGER = 5.0  # seconds that a client has to read an answer that comes before it has sent all
_LINGER_PIECE = 256 * 1024
_STRETCH = 1 << 30  # what one call of sendfile is asked for: 32-bit systems take no more than 2^31


class _Incoming(io.RawIOBase):
    """What comes over a connection, until ``deadline`` if there is one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer
        if self.deadline is None:
            self._connection.settimeout(TIMEOUT)
        else:
            self._connection.settimeout(max(0.001, self.deadline - time.monotonic()))
        return self._connection.recv_into(buffer)


class Connection(BaseHTTPRequestHandler):
    """Reads requests one after the other, has them answered, and sends the answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT
    answer: Callable[[Request], Answer]
    """Set in a subclass: this one is made by the standard library, anew for each connection."""

    def setup(self) -> None:
        """Prepare to read with a deadline."""
        super().setup()
        self._incoming = _Incoming(self.connection)
        self.rfile.close()
        self._stream = io.BufferedReader(self._incoming, 64 * 1024)
        self.rfile = self._stream

    def handle_one_request(self) -> None:
        """Wait for a request, read its head in a limited time, and serve it."""
        self.command, self.path, self.request_version = "", "", "HTTP/1.1"
        try:
            self._incoming.deadline = None
            self._stream.peek(1)
            self._incoming.deadline = time.monotonic() + HEAD_TIMEOUT
            super().handle_one_request()
        except (ConnectionError, TimeoutError, ValueError) as problem:
            # ValueError: the server has ended, and closed what this was reading from.
            self.close_connection = True
            _log.debug("%s: %s", self.client_address[0], problem)

    def handle_expect_100(self) -> bool:
        """Do nothing yet: the client is told to go on once its body is wanted."""
        return True

    def _serve(self) -> None:
        self._incoming.deadline = None
        try:
            body = RequestBody(self._stream, self.headers, self._go_on)
        except Malformed as problem:
            self._send(error(Code.UNSUPPORTED, str(problem), status=400), close=True)
            return
        path, _, query = self.path.partition("?")
        try:
            answer = self.answer(Request(self.command, path, query, self.headers, body))
        except Malformed as problem:
            answer = error(Code.UNSUPPORTED, str(problem), status=400)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            _log.exception("%s %s failed", self.command, path)
            answer = error(Code.UNKNOWN, "the server has failed; its log says how")
        rest = body.remaining
        waits = "100-continue" in self.headers.get("Expect", "").lower() and rest == body.length
        keep = rest == 0 or (rest is not None and rest <= _READ_ALL_THE_SAME and not waits)
        self._send(answer, close=not keep)
        if keep:
            for _ in body.pieces():
                pass
        else:
            self._linger()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # found by name

    def _go_on(self) -> None:
        if "100-continue" in self.headers.get("Expect", "").lower() and (
            self.request_version >= "HTTP/1.1"
        ):
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _send(self, answer: Answer, *, close: bool = False) -> None:
        self.close_connection = self.close_connection or close
        lines = [
            f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}",
            f"Date: {self.date_time_string()}",
            "Server: docker-charon",
            "Docker-Distribution-Api-Version: registry/2.0",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        if answer.status != 204:
            lines.append(f"Content-Length: {answer.length}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1", "replace")
        _log.debug("%s %s: %d", self.command, self.path, answer.status)
        self.connection.settimeout(TIMEOUT)
        is_short = self.command != "HEAD" and answer.blob is None
        self.connection.sendall(head + answer.content if is_short else head)
        if answer.blob is not None and self.command != "HEAD":
            self._send_blob(answer.blob, answer.start, answer.end)

    def _send_blob(self, blob: Blob, start: int, end: int) -> None:
        """Send a stretch of a blob; once begun, a failure can only cut the connection."""
        try:
            with blob.extent() as extent:
                if extent is not None and hasattr(os, "sendfile"):
                    _send_file(self.connection, extent, start, end)
                    return
                for piece in blob.chunks(start):
                    self.connection.sendall(piece[: end - start])
                    start += len(piece)
                    if start >= end:
                        return
        except (ConnectionError, TimeoutError):
            raise
        except Exception as problem:
            _log.error("%s cannot be sent: %s", self.path, problem)
            raise ConnectionAbortedError("the answer broke off") from problem

    def _linger(self) -> None:
        """Let the client read the answer: closing while it sends would take that away from it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._incoming.deadline = time.monotonic() + _LINGER
            buffer = bytearray(_LINGER_PIECE)
            while time.monotonic() < self._incoming.deadline:
                if not self._incoming.readinto(buffer):
                    return

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot even be read."""
        self._send(error(Code.UNSUPPORTED, message or "bad request", status=int(code)), close=True)
        self._linger()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Log what the standard library would print."""
        _log.debug(format, *args)


def _send_file(connection: socket.socket, extent: Extent, start: int, end: int) -> None:
    """Have the system send a stretch of an extent, without a copy in this process."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    while start < end:
        try:
            sent = os.sendfile(
                connection.fileno(),
                extent.descriptor,
                extent.offset + start,
                min(end - start, _STRETCH),
            )
        except BlockingIOError:  # a socket with a timeout does not block
            if not poll.poll(TIMEOUT * 1000):
                raise TimeoutError("the client takes nothing") from None
            continue
        if not sent:
            raise OSError("the file is shorter than it was")
        start += sent
