"""HTTP framing by RFC 9112: a table of requests that are understood or refused.

What is refused is refused with the connection: nothing after it is taken for a request.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest

from docker_charon import serve

GET = b"GET /v2/ HTTP/1.1\r\n"
PUT = b"PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\n"
HOST = b"Host: localhost\r\n"
LAST = GET + HOST + b"Connection: close\r\n\r\n"


def get(*headers: bytes) -> bytes:
    return GET + HOST + b"".join(headers) + b"\r\n"


def line(request_line: bytes) -> bytes:
    return request_line + b"\r\n" + HOST + b"\r\n"


def sized(*lengths: bytes, body: bytes = b"{}") -> bytes:
    return PUT + b"".join(b"Content-Length:" + n + b"\r\n" for n in lengths) + b"\r\n" + body


def chunked(body: bytes, coding: bytes = b"Transfer-Encoding: chunked\r\n") -> bytes:
    return PUT + coding + b"\r\n" + body


UNDERSTOOD = {
    "plain": (get(), 200),
    "an empty line before the request": (b"\r\n" + get(), 200),
    "HTTP/1.0 with keep-alive": (b"GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    "a later HTTP/1": (line(b"GET /v2/ HTTP/1.9"), 200),
    "a port": (GET + b"Host: localhost:5000\r\n\r\n", 200),
    "an address": (GET + b"Host: 127.0.0.1:5000\r\n\r\n", 200),
    "upper case": (GET + b"HOST: LocalHost\r\n\r\n", 200),
    "no space after the colon": (GET + b"Host:localhost\r\n\r\n", 200),
    "tabs and spaces around a value": (GET + b"Host: \t localhost \t \r\n\r\n", 200),
    "the absolute form": (line(b"GET http://localhost:5000/v2/ HTTP/1.1"), 200),
    "the absolute form, in upper case": (line(b"GET HTTP://LOCALHOST/v2/ HTTP/1.1"), 200),
    "the absolute form without a path": (line(b"GET http://localhost HTTP/1.1"), 404),
    "the absolute form goes before Host": (
        b"GET http://localhost/v2/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
        200,
    ),
    "OPTIONS *": (line(b"OPTIONS * HTTP/1.1"), 404),
    "a method that nobody knows": (line(b"BREW /v2/ HTTP/1.1"), 405),
    "an empty header": (get(b"X:\r\n"), 200),
    "a header of other bytes": (get(b"X: \xc3\xa9\xff\r\n"), 200),
    "a header with all characters of a name": (get(b"!#$%&'*+-.^_`|~0aZ: y\r\n"), 200),
    "100 headers": (get(*[b"X: y\r\n"] * 99), 200),
    "a length": (sized(b" 2"), 400),
    "a length with zeros": (sized(b" 002"), 400),
    "a length with spaces and tabs": (sized(b" \t2 \t"), 400),
    "no body": (PUT + b"\r\n", 400),
    "chunks": (chunked(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), 400),
    "chunks, in upper case": (
        chunked(b"2\r\n{}\r\n0\r\n\r\n", b"TRANSFER-ENCODING:CHUNKED\r\n"),
        400,
    ),
    "chunks with zeros": (chunked(b"0002\r\n{}\r\n000\r\n\r\n"), 400),
    "hexadecimal sizes": (chunked(b"A\r\n          \r\na\r\n          \r\n0\r\n\r\n"), 400),
    "chunk extensions": (chunked(b'2;a=b ; c="d;\\"e" ;f\r\n{}\r\n0;x\r\n\r\n'), 400),
    "trailers": (chunked(b"2\r\n{}\r\n0\r\nX: y\r\nZ:\r\n\r\n"), 400),
}
"""Requests that are understood, with their status; 400 is then about the manifest."""

REFUSED = {
    "words": (b"nonsense\r\n\r\n", 400),
    "two empty lines before the request": (b"\r\n\r\n" + get(), 400),
    "no version": (line(b"GET /v2/"), 400),
    "no target": (line(b"GET HTTP/1.1"), 400),
    "two spaces": (line(b"GET  /v2/ HTTP/1.1"), 400),
    "a tab instead of a space": (line(b"GET\t/v2/ HTTP/1.1"), 400),
    "a space before the method": (line(b" GET /v2/ HTTP/1.1"), 400),
    "a space after the version": (line(b"GET /v2/ HTTP/1.1 "), 400),
    "a space in the target": (line(b"GET /v2/ x HTTP/1.1"), 400),
    "a NUL in the target": (line(b"GET /v2/\0 HTTP/1.1"), 400),
    "a CR in the target": (line(b"GET /v2/\rX HTTP/1.1"), 400),
    "a byte beyond ASCII in the target": (line(b"GET /v2/\xe9 HTTP/1.1"), 400),
    "a fragment": (line(b"GET /v2/#x HTTP/1.1"), 400),
    "a relative target": (line(b"GET v2/ HTTP/1.1"), 400),
    "GET *": (line(b"GET * HTTP/1.1"), 400),
    "CONNECT": (line(b"CONNECT localhost:80 HTTP/1.1"), 400),
    "the absolute form with a user": (line(b"GET http://a@localhost/v2/ HTTP/1.1"), 400),
    "the absolute form without a host": (line(b"GET http:///v2/ HTTP/1.1"), 400),
    "another scheme": (line(b"GET ftp://localhost/v2/ HTTP/1.1"), 400),
    "no method": (line(b"/v2/ HTTP/1.1"), 400),
    "a method that is no token": (line(b"G(T /v2/ HTTP/1.1"), 400),
    "a version in lower case": (line(b"GET /v2/ http/1.1"), 400),
    "a version of letters": (line(b"GET /v2/ HTTP/x"), 400),
    "a long version": (line(b"GET /v2/ HTTP/1.10"), 400),
    "HTTP/2": (line(b"GET /v2/ HTTP/2.0"), 505),
    "HTTP/0.9": (line(b"GET /v2/ HTTP/0.9"), 505),
    "a request line that ends with LF": (b"GET /v2/ HTTP/1.1\n" + HOST + b"\r\n", 400),
    "a header that ends with LF": (GET + b"Host: localhost\n\r\n", 400),
    "a head that ends with LF": (GET + HOST + b"\n", 400),
    "a long target": (b"GET /v2/" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
    "no host": (GET + b"\r\n", 400),
    "two hosts": (get(HOST), 400),
    "two other hosts": (get(b"host: other\r\n"), 400),
    "an empty host": (GET + b"Host:\r\n\r\n", 400),
    "a host with a user": (GET + b"Host: a@localhost\r\n\r\n", 400),
    "a host with a path": (GET + b"Host: localhost/v2\r\n\r\n", 400),
    "a host with a space": (GET + b"Host: local host\r\n\r\n", 400),
    "two hosts in one line": (GET + b"Host: localhost, localhost:5000\r\n\r\n", 400),
    "a host with a port of letters": (GET + b"Host: localhost:http\r\n\r\n", 400),
    "a space before the colon": (get(b"X : y\r\n"), 400),
    "a tab before the colon": (get(b"X\t: y\r\n"), 400),
    "a header without a colon": (get(b"X y\r\n"), 400),
    "a header without a name": (get(b": y\r\n"), 400),
    "a folded header": (get(b"X: y\r\n z\r\n"), 400),
    "a folded header, with a tab": (get(b"X: y\r\n\tz\r\n"), 400),
    "a space before the first header": (GET + b" X: y\r\n" + HOST + b"\r\n", 400),
    "a name beyond ASCII": (get(b"X\xc3\xa9: y\r\n"), 400),
    "a name in parentheses": (get(b"(X): y\r\n"), 400),
    "a NUL in a value": (get(b"X: a\0b\r\n"), 400),
    "a NUL in a name": (get(b"X\0: y\r\n"), 400),
    "a CR in a value": (get(b"X: a\rb\r\n"), 400),
    "a CR before the CRLF": (get(b"X: a\r\r\n"), 400),
    "another control character": (get(b"X: a\x0bb\r\n"), 400),
    "a DEL": (get(b"X: a\x7fb\r\n"), 400),
    "101 headers": (get(*[b"X: y\r\n"] * 100), 431),
    "a long header": (get(b"X: " + b"y" * 70000 + b"\r\n"), 431),
    "a negative length": (sized(b" -2"), 400),
    "a length with a plus": (sized(b" +2"), 400),
    "a length of words": (sized(b" two"), 400),
    "an empty length": (sized(b""), 400),
    "a length with an underscore": (sized(b" 0_2"), 400),
    "a hexadecimal length": (sized(b" 0x2"), 400),
    "a length with a fraction": (sized(b" 2.0"), 400),
    "a length and a no-break space": (sized(b" 2\xa0"), 400),
    "a length in other digits": (sized(b" \xb2"), 400),
    "a length with a form feed": (sized(b" 2\x0c"), 400),
    "two lengths": (sized(b" 2", b" 3"), 400),
    "the same length twice": (sized(b" 2", b" 2"), 400),
    "two lengths in one line": (sized(b" 2, 2"), 400),
    "a length beyond all sizes": (sized(b" " + b"9" * 30), 400),
    "a length and chunks": (
        chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        400,
    ),
    "chunks and a length": (
        chunked(b"0\r\n\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        400,
    ),
    "gzip": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: gzip\r\n"), 400),
    "gzip and chunks": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked\r\n"), 400),
    "chunks twice": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked\r\n"), 400),
    "chunks in two lines": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n" * 2), 400),
    "identity": (chunked(b"", b"Transfer-Encoding: identity\r\n"), 400),
    "an empty coding": (chunked(b"0\r\n\r\n", b"Transfer-Encoding:\r\n"), 400),
    "chunks after a form feed": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: \x0cchunked\r\n"), 400),
    "chunks and a no-break space": (
        chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked\xa0\r\n"),
        400,
    ),
    "chunks with a parameter": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked;a=b\r\n"), 400),
    "chunks in HTTP/1.0": (
        b"PUT /v2/app/manifests/1 HTTP/1.0\r\nConnection: keep-alive\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "no size": (chunked(b"\r\n{}\r\n0\r\n\r\n"), 400),
    "a size of letters": (chunked(b"x\r\n{}\r\n0\r\n\r\n"), 400),
    "a negative size": (chunked(b"-2\r\n{}\r\n0\r\n\r\n"), 400),
    "a size with a plus": (chunked(b"+2\r\n{}\r\n0\r\n\r\n"), 400),
    "a size with a prefix": (chunked(b"0x2\r\n{}\r\n0\r\n\r\n"), 400),
    "a size with an underscore": (chunked(b"0_2\r\n{}\r\n0\r\n\r\n"), 400),
    "a size after a space": (chunked(b" 2\r\n{}\r\n0\r\n\r\n"), 400),
    "a size before a space": (chunked(b"2 \r\n{}\r\n0\r\n\r\n"), 400),
    "a size that is too small": (chunked(b"1\r\n{}\r\n0\r\n\r\n"), 400),
    "a size that is too large": (chunked(b"3\r\n{}\r\n0\r\n\r\n"), 400),
    "a size beyond all sizes": (chunked(b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n"), 400),
    "a size that ends with LF": (chunked(b"2\n{}\r\n0\r\n\r\n"), 400),
    "a chunk that ends with LF": (chunked(b"2\r\n{}\n0\r\n\r\n"), 400),
    "a CR in an extension": (chunked(b"2;a\rb\r\n{}\r\n0\r\n\r\n"), 400),
    "an extension without a name": (chunked(b"2;=b\r\n{}\r\n0\r\n\r\n"), 400),
    "an extension that is not closed": (chunked(b'2;a="b\r\n{}\r\n0\r\n\r\n'), 400),
    "a long extension": (chunked(b"2;" + b"x" * 9000 + b"\r\n{}\r\n0\r\n\r\n"), 400),
    "a folded trailer": (chunked(b"0\r\nX: y\r\n z\r\n\r\n"), 400),
    "a trailer without a colon": (chunked(b"0\r\nX\r\n\r\n"), 400),
    "a trailer that ends with LF": (chunked(b"0\r\nX: y\n\r\n"), 400),
    "200 trailers": (chunked(b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n"), 431),
}
"""Requests that are refused, with their status."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with serve(storage=tmp_path_factory.mktemp("framing") / "storage") as server:
        host, _, port = server.address.rpartition(":")
        yield host, int(port)


def answers(address: tuple[str, int], request: bytes) -> list[tuple[int, str]]:
    """Send a request and a good one after it; return the statuses and the codes of the answers."""
    with socket.create_connection(address, 20) as connection:
        connection.sendall(request + LAST)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        match = re.search(rb"Content-Length: (\d+)", head)
        assert match is not None
        body, received = received[: int(match[1])], received[int(match[1]) :]
        document = json.loads(body)
        code = document["errors"][0]["code"] if "errors" in document else ""
        found.append((int(head.split()[1]), code))
    return found


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_the_grammar_allows_is_understood(address: tuple[str, int], name: str) -> None:
    request, status = UNDERSTOOD[name]
    first, last = answers(address, request)
    assert first[0] == status
    if status == 400:
        assert first[1] == "MANIFEST_INVALID"  # the body has arrived
    assert last == (200, "")


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused_and_ends_the_connection(
    address: tuple[str, int], name: str
) -> None:
    request, status = REFUSED[name]
    assert answers(address, request) == [(status, "UNSUPPORTED")]
