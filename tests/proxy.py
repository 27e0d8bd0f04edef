"""A reverse proxy that misbehaves by rule: plain HTTP/1.1, a thread for each connection.

    with Proxy(registry, rules=[Rule("GET", "/blobs/", Reset(after=1000))]) as proxy:
        make_payload(proxy.address, ...)
    assert [request.status for request in proxy.requests] == [...]

What no rule speaks of passes through unchanged. As a process of its own, for a registry that is
far away: ``python tests/proxy.py HOST:PORT --delay 0.03 --rate 8000000`` prints the address.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import io
import re
import select
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import ClassVar

from certificates import Certificate

PIECE = 256 * 1024
"""Bytes that are handed on at a time."""

Pieces = Iterator[memoryview]
"""A body on its way, without what frames it. Each piece is gone once the next one is asked for."""


# --- What goes over the wire ----------------------------------------------------------------------


@dataclass
class Head:
    """The first line and the headers of a request or an answer."""

    start: str
    fields: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, stream: io.BufferedReader) -> Head | None:
        """Read one; ``None`` if the connection ends before the whole of it."""
        lines: list[str] = []
        while line := stream.readline():
            if text := line.decode("latin-1").rstrip("\r\n"):
                lines.append(text)
            elif lines:
                split = (each.partition(":") for each in lines[1:])
                return cls(lines[0], [(name, value.strip()) for name, _, value in split])
        return None

    def encode(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.fields)]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")

    def get(self, name: str) -> str:
        """Return the first header of that name, or nothing: ``""``."""
        found = (value for key, value in self.fields if key.lower() == name.lower())
        return next(found, "")

    def drop(self, name: str) -> None:
        self.fields = [(key, value) for key, value in self.fields if key.lower() != name.lower()]

    def set(self, name: str, value: str) -> None:
        self.drop(name)
        self.fields.append((name, value))

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start.split()[1])

    @property
    def is_chunked(self) -> bool:
        return "chunked" in self.get("Transfer-Encoding").lower()

    @property
    def keeps_alive(self) -> bool:
        """Whether its sender means to use the connection again."""
        return "HTTP/1.1" in self.start and "close" not in self.get("Connection").lower()


def _stream(connection: socket.socket) -> io.BufferedReader:
    """Return what reads from a connection, which sends at once what it is given."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return io.BufferedReader(connection.makefile("rb", 0), PIECE)


def read_body(stream: io.BufferedReader, head: Head, buffer: memoryview) -> Pieces:
    """Return the body below ``head``, without its framing; without a length it is all there is."""
    if head.is_chunked:
        return _read_chunks(stream, buffer)
    if length := head.get("Content-Length"):
        return _read(stream, int(length), buffer)
    return (buffer[:count] for count in iter(lambda: stream.readinto1(buffer), 0))


def _read_chunks(stream: io.BufferedReader, buffer: memoryview) -> Pieces:
    while size := int(stream.readline().partition(b";")[0], 16):
        yield from _read(stream, size, buffer)
        stream.readline()
    while stream.readline().strip():
        pass  # trailers are of no use to anyone here


def _read(stream: io.BufferedReader, size: int, buffer: memoryview) -> Pieces:
    while size:
        count = stream.readinto1(buffer[: min(size, len(buffer))])
        if not count:
            raise ConnectionError("the connection ended within a body")
        size -= count
        yield buffer[:count]


def _send_body(target: socket.socket, pieces: Pieces, *, chunked: bool) -> None:
    """Send a body, in chunks or as it is."""
    for piece in pieces:
        if chunked:
            target.sendall(b"%x\r\n" % len(piece))
        target.sendall(piece)
        if chunked:
            target.sendall(b"\r\n")
    if chunked:
        target.sendall(b"0\r\n\r\n")


# --- Ways to misbehave ----------------------------------------------------------------------------


class End(enum.Enum):
    """How a connection ends before its time."""

    RESET = "with an RST: the other side gets an error"
    CLOSE = "with a FIN, as if all had been said"
    STALL = "not at all: nothing more comes, until the client gives up"


class Cut(Exception):
    """Raised by an action: the connection ends here."""

    def __init__(self, end: End) -> None:
        super().__init__(end.value)
        self.end = end


class Action:
    """What a rule does to an exchange. This one does nothing; others override what they change."""

    interim = 0
    """Interim answers (RFC 9110, section 15.2) before the answer."""

    def request(self, head: Head) -> None:
        """Change the request's head before it is forwarded."""

    def upload(self, pieces: Pieces) -> Pieces:
        """Change the request's body, or cut it."""
        return pieces

    def instead(self) -> Answer | None:
        """Return what is answered without asking the upstream, if that is the point."""
        return None

    def answer(self, head: Head) -> None:
        """Change the answer's head, or cut: by now the upstream has done what it was asked for."""

    def download(self, pieces: Pieces) -> Pieces:
        """Change the answer's body, or cut it."""
        return pieces


def _cut_after(pieces: Pieces, size: int, end: End) -> Pieces:
    """Yield ``size`` bytes, or all there is, and end the connection."""
    for piece in pieces:
        if size <= len(piece):
            yield piece[:size]
            break
        size -= len(piece)
        yield piece
    raise Cut(end)


@dataclass(frozen=True)
class _Cutting(Action):
    """End the connection after so many bytes of the answer's body, at the latest at its end.

    ``None`` is before the answer, and the upstream never hears of the request.
    """

    after: int | None = None
    end: ClassVar[End]

    def instead(self) -> Answer | None:
        if self.after is None:
            raise Cut(self.end)
        return None

    def download(self, pieces: Pieces) -> Pieces:
        return _cut_after(pieces, self.after or 0, self.end)


class Reset(_Cutting):
    end = End.RESET


class Close(_Cutting):
    end = End.CLOSE


class Stall(_Cutting):
    end = End.STALL


@dataclass(frozen=True)
class ResetUpload(Action):
    """Reset after so many bytes of the request's body, at the latest at its end: no answer."""

    after: int

    def upload(self, pieces: Pieces) -> Pieces:
        return _cut_after(pieces, self.after, End.RESET)


class DropAnswer(Action):
    """Reset when the upstream has done what it was asked for and has answered."""

    def answer(self, head: Head) -> None:
        raise Cut(End.RESET)


@dataclass(frozen=True)
class Truncate(Action):
    """Send the first ``size`` bytes of a body as if they were the whole of it."""

    size: int

    def answer(self, head: Head) -> None:
        if length := head.get("Content-Length"):
            head.set("Content-Length", str(min(self.size, int(length))))

    def download(self, pieces: Pieces) -> Pieces:
        left = self.size
        for piece in pieces:  # to its end: the next answer follows it
            if left:
                yield piece[:left]
            left = max(0, left - len(piece))


@dataclass(frozen=True)
class FlipBit(Action):
    """Flip one bit of the byte at that offset of the answer's body."""

    at: int

    def download(self, pieces: Pieces) -> Pieces:
        position = 0
        for piece in pieces:
            if position <= self.at < position + len(piece):
                piece[self.at - position] ^= 1
            position += len(piece)
            yield piece


@dataclass(frozen=True)
class Interim(Action):
    """Send so many interim answers before the answer."""

    interim: int


@dataclass(frozen=True)
class Drip(Action):
    """Send the answer's body in pieces of ``size`` bytes, with ``pause`` seconds after each."""

    size: int
    pause: float

    def download(self, pieces: Pieces) -> Pieces:
        for piece in pieces:
            for start in range(0, len(piece), self.size):
                yield piece[start : start + self.size]
                time.sleep(self.pause)


class IgnoreRange(Action):
    """Let the upstream send everything, whatever part was asked for."""

    def request(self, head: Head) -> None:
        head.drop("Range")


@dataclass(frozen=True)
class SetHeader(Action):
    """Say something else in a header of the answer; the body stays as it is.

    Where ``Content-Length`` is no longer true, the connection ends after the body.
    """

    name: str
    value: str

    def answer(self, head: Head) -> None:
        head.set(self.name, self.value)


@dataclass(frozen=True)
class DropHeader(Action):
    """Leave a header of the answer out."""

    name: str

    def answer(self, head: Head) -> None:
        head.drop(self.name)


@dataclass(frozen=True)
class Answer(Action):
    """Answer this; the upstream never hears of the request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def instead(self) -> Answer | None:
        return self

    @property
    def head(self) -> Head:
        fields = [*self.headers.items(), ("Content-Length", str(len(self.body)))]
        return Head(f"HTTP/1.1 {self.status} {responses.get(self.status, 'Unknown')}", fields)

    def pieces(self, method: str) -> Pieces:
        if not _is_bodiless(method, self.status):
            yield memoryview(self.body)


HTML = Answer(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Please log in</title>\n")
"""What a captive portal says to everything."""


# --- The proxy ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Which exchanges an action is for: so many ``times``, after so many that it lets pass."""

    method: str
    """A regular expression for the whole of it."""
    path: str
    """A regular expression for any part of it, the query included."""
    action: Action
    times: int | None = 1
    """``None``: always."""
    skip: int = 0


@dataclass
class Request:
    """A request as it came, and what became of it."""

    method: str
    path: str
    """Without the host that a request to a proxy names."""
    headers: dict[str, str]
    """By name in lower case."""
    action: Action | None
    """What a rule did to it."""
    received: int = 0
    """Bytes of its body."""
    status: int | None = None
    """``None`` when it got no answer."""
    sent: int = 0
    """Bytes of the answer's body."""
    target: str = ""
    """What the request line names: a path, or a whole URL for a proxy."""


class Proxy:
    """A proxy in front of ``upstream`` (``host:port``), at `address`, for as long as it is entered.

    It takes requests to a forward proxy too. With a ``certificate`` it speaks TLS. Each answer
    waits ``delay`` seconds; each connection carries ``bytes_per_second`` in either direction.
    """

    def __init__(
        self,
        upstream: str,
        rules: Sequence[Rule] = (),
        *,
        delay: float = 0.0,
        bytes_per_second: float | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.upstream = upstream
        self.delay = delay
        self.bytes_per_second = bytes_per_second
        self.requests: list[Request] = []
        self._rules = rules
        self._matches = [0 for _ in rules]
        self._lock = threading.Lock()
        self._server = _Server(self)
        if certificate is not None:
            context = certificate.server_context()
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()

    def matching(self, method: str, path: str) -> list[Request]:
        """Return the requests so far that a rule of this method and path would be for."""
        return [r for r in list(self.requests) if _is_for(method, path, r.method, r.path)]

    def take(self, head: Head) -> Request:
        """Record a request; decide what is done to it."""
        method, target, _ = head.start.split(" ", 2)
        path = re.sub("^http://[^/]*", "", target)
        with self._lock:
            action = self._action_for(method, path)
            headers = {name.lower(): value for name, value in head.fields}
            self.requests.append(Request(method, path, headers, action, target=target))
            return self.requests[-1]

    def _action_for(self, method: str, path: str) -> Action | None:
        for number, rule in enumerate(self._rules):
            if _is_for(rule.method, rule.path, method, path):
                turn = self._matches[number] - rule.skip
                if rule.times is None or turn < rule.times:
                    self._matches[number] += 1
                    if turn >= 0:
                        return rule.action
        return None


def _is_for(method_pattern: str, path_pattern: str, method: str, path: str) -> bool:
    return bool(re.fullmatch(method_pattern, method) and re.search(path_pattern, path))


class _Server(socketserver.ThreadingTCPServer):
    """Listens, and knows what is open."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.proxy = proxy
        self.connections: set[socket.socket] = set()

    def end_connections(self) -> None:
        for connection in self.connections.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.BaseRequestHandler):
    """A client's connection, and the one to the upstream that belongs to it."""

    server: _Server
    request: socket.socket

    def setup(self) -> None:
        self.server.connections.add(self.request)
        self._proxy = self.server.proxy
        self._client = _stream(self.request)
        self._buffer = memoryview(bytearray(PIECE))
        self._upstream: _Upstream | None = None
        self._throttle = _Throttle(self._proxy.bytes_per_second)

    def handle(self) -> None:
        try:
            while (head := Head.read(self._client)) and self._exchange(head):
                pass
        except Cut as cut:
            self._end(cut.end)
        except (OSError, ValueError):  # of the client, or of the upstream within a body
            self._end(End.RESET)

    def finish(self) -> None:
        self.server.connections.discard(self.request)
        self._client.close()
        if self._upstream is not None:
            self._upstream.close()

    def _exchange(self, head: Head) -> bool:
        """Answer a request; return whether the connection can be used again."""
        request = self._proxy.take(head)
        action = request.action or Action()
        action.request(head)
        if head.get("Expect"):
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head.drop("Expect")
        canned = action.instead()
        body = action.upload(self._read_request(head, request))
        keeps_alive = head.keeps_alive
        if canned is None:
            answer, pieces = self._forward(request.method, head, body)
        else:
            _drain(body)
            answer, pieces = canned.head, canned.pieces(request.method)
        keeps_alive = keeps_alive and answer.keeps_alive
        action.answer(answer)
        time.sleep(self._proxy.delay)
        return self._answer(request, answer, action.download(pieces)) and keeps_alive

    def _read_request(self, head: Head, request: Request) -> Pieces:
        if not head.get("Content-Length") and not head.is_chunked:
            return
        try:
            for piece in self._throttle.slowed(read_body(self._client, head, self._buffer)):
                request.received += len(piece)
                yield piece
        except OSError as error:
            raise Cut(End.RESET) from error  # the client has gone, not the upstream

    def _forward(self, method: str, head: Head, body: Pieces) -> tuple[Head, Pieces]:
        """Send a request on; return the answer's head and what reads its body."""
        if self._upstream is not None and self._upstream.has_ended():
            self._upstream.close()
            self._upstream = None
        if self._upstream is None:
            try:
                self._upstream = _Upstream(self._proxy.upstream)
            except OSError:
                _drain(body)
                return Answer(502).head, iter(())
        answer = self._upstream.send(head, body)
        if location := answer.get("Location"):
            here, there = (f"http://{a}" for a in (self._proxy.address, self._proxy.upstream))
            answer.set("Location", re.sub(f"^{re.escape(there)}(?=/|$)", here, location))
        if _is_bodiless(method, answer.status):
            return answer, iter(())
        return answer, read_body(self._upstream.stream, answer, self._buffer)

    def _answer(self, request: Request, head: Head, pieces: Pieces) -> bool:
        """Send an answer; return whether its end can be told without closing the connection."""
        request.status = head.status
        bodiless = _is_bodiless(request.method, head.status)
        chunked = head.is_chunked and not bodiless
        for _ in range((request.action or Action()).interim):
            self.request.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n")
        self.request.sendall(head.encode())
        _send_body(self.request, self._counted(pieces, request), chunked=chunked)
        return bodiless or chunked or head.get("Content-Length") == str(request.sent)

    def _counted(self, pieces: Pieces, request: Request) -> Pieces:
        for piece in self._throttle.slowed(pieces):
            request.sent += len(piece)
            yield piece

    def _end(self, end: End) -> None:
        time.sleep(0.02)  # an RST overtakes what the client has not received yet
        with contextlib.suppress(OSError):
            if end is End.STALL:
                while self.request.recv(PIECE):
                    pass
            elif end is End.CLOSE:
                self.request.shutdown(socket.SHUT_WR)
                self.request.settimeout(1)
                while self.request.recv(PIECE):
                    pass  # what is left unread makes an RST of the FIN
            else:
                now = struct.pack("ii", 1, 0)
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                self._client.close()
                self.request.close()


class _Upstream:
    """A connection to the upstream."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self.stream = _stream(self._socket)

    def has_ended(self) -> bool:
        """Whether the upstream has closed it between two answers."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def send(self, head: Head, body: Pieces) -> Head:
        """Send a request; return the head of the answer."""
        try:
            self._socket.sendall(head.encode())
            _send_body(self._socket, body, chunked=head.is_chunked)
        except (BrokenPipeError, ConnectionResetError):
            _drain(body)  # it may have answered before it has heard everything
        while (answer := Head.read(self.stream)) and answer.status < 200:
            pass
        if answer is None:
            raise ConnectionError("the upstream has not answered")
        return answer

    def close(self) -> None:
        self.stream.close()
        self._socket.close()


class _Throttle:
    """Lets so many bytes a second pass; all if it is ``None``."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free = 0.0

    def slowed(self, pieces: Pieces) -> Pieces:
        if self._rate is None:
            yield from pieces
            return
        step = max(1, min(PIECE, int(self._rate / 100)))
        for piece in pieces:
            for start in range(0, len(piece), step):
                part = piece[start : start + step]
                now = time.monotonic()
                # What a sleep takes too long is caught up with, a pause is not.
                self._free = max(self._free, now - 0.02) + len(part) / self._rate
                time.sleep(max(0.0, self._free - now))
                yield part


def _is_bodiless(method: str, status: int) -> bool:
    return method == "HEAD" or status in (204, 304)


def _drain(pieces: Pieces) -> None:
    for _ in pieces:
        pass


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("upstream", metavar="HOST:PORT")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, help="bytes a second of each connection")
    options = parser.parse_args()
    with Proxy(options.upstream, delay=options.delay, bytes_per_second=options.rate) as proxy:
        print(proxy.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
