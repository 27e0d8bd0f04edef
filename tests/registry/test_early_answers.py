"""Answers that come before a request has been sent: its body is not sent to its end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import certificates
from certificates import Certificate
from conftest import require
from docker_charon.registry.http import HTTPSession

PIECE = bytes(64 * 1024)
SHORT = 20 * len(PIECE)
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy"
STORED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Server:
    """Answers each request in two parts: ``early`` after its headers, ``late`` after its body."""

    def __init__(self, early: bytes, late: bytes, certificate: Certificate | None) -> None:
        self.connections = 0
        self.has_answered = threading.Event()
        self._early = early
        self._late = late
        self._context = certificate.server_context() if certificate is not None else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://localhost:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while line := stream.readline():
                    length = 0
                    while line.strip():
                        name, _, value = line.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                        line = stream.readline()
                    connection.sendall(self._early)
                    self.has_answered.set()
                    while length > 0 and (received := stream.read1(min(length, 1 << 16))):
                        length -= len(received)
                    connection.sendall(self._late)


class LongBody:
    """A body of ``size`` bytes, whose second piece is sent after the early answer."""

    def __init__(self, server: Server, size: int) -> None:
        self.sent = 0
        self._server = server
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while self.sent < self._size:
            yield PIECE
            self.sent += len(PIECE)
            self._server.has_answered.wait(20)


@pytest.fixture(scope="module", params=["http", "https"])
def sides(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Certificate | None, Path | None]:
    """Return the certificate of a server, and the file that a client has to trust."""
    if request.param == "http":
        return None, None
    require(certificates.is_installed(), certificates.PROGRAM)
    folder = tmp_path_factory.mktemp("certificates")
    authority = certificates.authority(folder / "authority")
    names = ("DNS:localhost",)
    return certificates.server_certificate(authority, folder / "server", names), authority.file


Serve = Callable[[bytes, bytes], "contextlib.AbstractContextManager[tuple[Server, HTTPSession]]"]


@pytest.fixture
def serve(sides: tuple[Certificate | None, Path | None]) -> Serve:
    certificate, trusted = sides

    @contextlib.contextmanager
    def serving(early: bytes, late: bytes) -> Iterator[tuple[Server, HTTPSession]]:
        with Server(early, late, certificate) as server:
            session = HTTPSession(server.url, 1, trusted)
            yield server, session
            session.close()

    return serving


def test_a_body_is_not_sent_to_its_end_if_it_is_refused(serve: Serve) -> None:
    with serve(REFUSAL, b"") as (server, session):
        for number in (1, 2):
            body = LongBody(server, 1 << 40)  # a terabyte
            answer = session.put(server.url, data=body, stream=True, timeout=20)
            assert (answer.status_code, answer.content) == (429, b"busy")
            assert server.connections == number  # what was cut is not used again
            server.has_answered.clear()


@pytest.mark.parametrize("split", [1, 8, 12, len(STORED)])
def test_an_answer_whose_first_bytes_are_early_is_read_whole(serve: Serve, split: int) -> None:
    with serve(STORED[:split], STORED[split:]) as (server, session):
        body = LongBody(server, SHORT)
        answer = session.put(server.url, data=body, stream=True, timeout=20)
        assert (answer.status_code, answer.content) == (201, b"")
        assert body.sent == SHORT


@pytest.mark.parametrize("interim", [CONTINUE, 3 * CONTINUE, b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_body_is_sent_to_its_end_after_an_interim_answer(serve: Serve, interim: bytes) -> None:
    with serve(interim, STORED) as (server, session):
        for _ in range(2):
            body = LongBody(server, SHORT)
            answer = session.put(server.url, data=body, stream=True, timeout=20)
            assert (answer.status_code, answer.content) == (201, b"")
            assert body.sent == SHORT
        assert server.connections == 1
