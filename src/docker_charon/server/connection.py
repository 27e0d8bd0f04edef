"""A connection of a client: it reads requests and sends answers (HTTP/1.1, RFC 9112)."""

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
from docker_charon.server.request import MalformedRequest, Request, RequestBody
from docker_charon.server.store import Blob, Code

_log = logging.getLogger(__name__)

TIMEOUT = 120.0
"""Seconds in which a client may neither send nor receive anything."""
HEAD_TIMEOUT = 30.0
"""Seconds from the first to the last byte of a request's head."""

_MOST_DISCARDED = 1024 * 1024  # bytes of an unwanted body that are read to keep the connection
_LINGER_TIME = 5.0  # seconds for the client to read an answer while it still sends its body
_LINGER_BUFFER = 256 * 1024
_SENDFILE_SIZE = 1 << 30  # bytes in one call; 32-bit systems accept less than 2^31


class _SocketReader(io.RawIOBase):
    """Reads from a socket, with a timeout for each read or until ``deadline`` if it is set."""

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
    """Reads requests one after the other, and sends the answer to each."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT
    answer: Callable[[Request], Answer]
    """Set in a subclass, because the standard library creates an object for each connection."""

    def setup(self) -> None:
        """Replace the base's reader with one that has a deadline."""
        super().setup()
        self._reader = _SocketReader(self.connection)
        self.rfile.close()
        self._stream = io.BufferedReader(self._reader, 64 * 1024)
        self.rfile = self._stream

    def handle_one_request(self) -> None:
        """Wait for a request, read its head within the time limit, and answer it."""
        self.command, self.path, self.request_version = "", "", "HTTP/1.1"
        try:
            self._reader.deadline = None
            self._stream.peek(1)
            self._reader.deadline = time.monotonic() + HEAD_TIMEOUT
            super().handle_one_request()
        except (ConnectionError, TimeoutError, ValueError) as problem:
            # ValueError: the server has ended and closed the file that this was reading from.
            self.close_connection = True
            _log.debug("%s: %s", self.client_address[0], problem)

    def handle_expect_100(self) -> bool:
        """Do nothing yet: 100 (Continue) is sent when the body is about to be read."""
        return True

    def _serve(self) -> None:
        self._reader.deadline = None
        try:
            body = RequestBody(self._stream, self.headers, self._send_continue)
        except MalformedRequest as problem:
            self._send(error(Code.UNSUPPORTED, str(problem), status=400), close=True)
            return
        path, _, query = self.path.partition("?")
        try:
            answer = self.answer(Request(self.command, path, query, self.headers, body))
        except MalformedRequest as problem:
            answer = error(Code.UNSUPPORTED, str(problem), status=400)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            _log.exception("%s %s failed", self.command, path)
            answer = error(Code.UNKNOWN, "the server failed; its log has the details")
        rest = body.remaining
        # A client that waits for 100 (Continue) may never send the body.
        is_waiting = self._expects_continue and rest == body.length
        keep = rest == 0 or (rest is not None and rest <= _MOST_DISCARDED and not is_waiting)
        self._send(answer, close=not keep)
        if keep:
            for _ in body.chunks():
                pass
        else:
            self._linger()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the base looks them up by these names

    @property
    def _expects_continue(self) -> bool:
        return "100-continue" in self.headers.get("Expect", "").lower()

    def _send_continue(self) -> None:
        if self._expects_continue and self.request_version >= "HTTP/1.1":
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
        """Send a part of a blob; an error in the middle can only close the connection."""
        try:
            with blob.extent() as extent:
                if extent is not None and hasattr(os, "sendfile"):
                    _send_file(self.connection, extent, start, end)
                    return
                for chunk in blob.chunks(start):
                    self.connection.sendall(chunk[: end - start])
                    start += len(chunk)
                    if start >= end:
                        return
        except (ConnectionError, TimeoutError):
            raise
        except Exception as problem:
            _log.error("%s cannot be sent: %s", self.path, problem)
            raise ConnectionAbortedError("the answer could not be finished") from problem

    def _linger(self) -> None:
        """Give the client time to read the answer: a reset while it sends could destroy it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._reader.deadline = time.monotonic() + _LINGER_TIME
            buffer = bytearray(_LINGER_BUFFER)
            while time.monotonic() < self._reader.deadline:
                if not self._reader.readinto(buffer):
                    return

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request whose head is not well-formed."""
        self._send(error(Code.UNSUPPORTED, message or "bad request", status=int(code)), close=True)
        self._linger()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Log what the base would print."""
        _log.debug(format, *args)


def _send_file(connection: socket.socket, extent: Extent, start: int, end: int) -> None:
    """Send a part of an extent with ``sendfile``, which copies nothing into this process."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    while start < end:
        try:
            sent = os.sendfile(
                connection.fileno(),
                extent.descriptor,
                extent.offset + start,
                min(end - start, _SENDFILE_SIZE),
            )
        except BlockingIOError:  # a socket with a timeout does not block
            if not poll.poll(TIMEOUT * 1000):
                raise TimeoutError("the client does not receive anything") from None
            continue
        if not sent:
            raise OSError("the file is shorter than it was")
        start += sent
