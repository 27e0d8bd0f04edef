"""The head of a request: its request line and its headers, read strictly (RFC 9112).

If a proxy and a server disagree on where a request ends, an attacker can hide a request in another
one. So everything that the grammar does not allow is an error, even if the RFC lets a server accept
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

LONGEST_LINE = 8192
"""Bytes of the request line, of a header or of a trailer, with its end."""
MOST_HEADERS = 100

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110's word, not a secret
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([\x21-\x7e]+) (HTTP/[0-9]\.[0-9])")
_HEADER = re.compile(rf"({_TOKEN}):([\t\x20-\x7e\x80-\xff]*)")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?")
_ABSOLUTE = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)


class MalformedRequest(Exception):  # it becomes an HTTP answer; callers of the library never see it
    """The request breaks the rules of HTTP. The connection ends after the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class LineReader(Protocol):
    """What a request is read from, for example an `io.BufferedReader`."""

    def readline(self, size: int, /) -> bytes:
        """Read up to the end of the line, but not more than ``size`` bytes."""

    def readinto1(self, buffer: memoryview, /) -> int:
        """Read the bytes that are there, at least one; return 0 at the end."""


class Headers:
    """The headers of a request. Names are compared without regard to case."""

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in lines:
            self._values.setdefault(name.lower(), []).append(value)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def get(self, name: str, default: str = "") -> str:
        """Return the value of the first header of this name."""
        return self._values.get(name.lower(), [default])[0]

    def get_all(self, name: str) -> list[str]:
        """Return the values of all headers of this name."""
        return self._values.get(name.lower(), [])

    def has_item(self, name: str, item: str) -> bool:
        """Whether the comma-separated list in this header contains ``item``, in any case."""
        values = ",".join(self.get_all(name)).lower().split(",")
        return item in (value.strip(" \t") for value in values)


@dataclass(frozen=True)
class RequestHead:
    """A method, a target and the headers.

    ``path`` is not decoded. ``host`` is the host that the client names, in lower case, and ``port``
    its port; ``port`` is ``None`` if it is the default one, and both are ``None`` if a client of
    HTTP/1.0 does not send them.
    """

    method: str
    path: str
    query: str
    version: str
    headers: Headers
    host: str | None
    port: str | None

    @property
    def keeps_connection(self) -> bool:
        """Whether the client wants to send another request on this connection."""
        if self.version == "HTTP/1.0":
            return self.headers.has_item("Connection", "keep-alive")
        return not self.headers.has_item("Connection", "close")

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 (Continue) before it sends the body."""
        return self.version != "HTTP/1.0" and self.headers.has_item("Expect", "100-continue")


def read_head(stream: LineReader) -> RequestHead | None:
    """Read a head; return ``None`` if the connection ends before it.

    Raises `MalformedRequest`, and ``ConnectionError`` if the connection ends within it.
    """
    line = read_line(stream, 414, may_end=True)
    if line == "":  # RFC 9112, "Message Parsing": some clients send one line too many
        line = read_line(stream, 414, may_end=True)
    if line is None:
        return None
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise MalformedRequest("the request line is malformed")
    method, target, version = match.groups()
    if not version.startswith("HTTP/1."):
        raise MalformedRequest("this server speaks HTTP/1.1", 505)
    headers = Headers(read_headers(stream))
    hosts = headers.get_all("Host")
    if len(hosts) > 1 or (not hosts and version != "HTTP/1.0"):
        raise MalformedRequest("a request has exactly one Host header")
    host, port = _parse_authority(hosts[0]) if hosts else (None, None)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:  # RFC 9112, "absolute-form": its host replaces the header's
        host, port = _parse_authority(absolute[1])
        target = absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
    if "#" in target or not (target.startswith("/") or (target, method) == ("*", "OPTIONS")):
        raise MalformedRequest("the request target is malformed")
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, version, headers, host, port)


def read_headers(stream: LineReader) -> Iterator[tuple[str, str]]:
    """Read headers, or the trailers of a chunked body, up to the empty line after them."""
    for _ in range(MOST_HEADERS + 1):
        line = read_line(stream, 431)
        if not line:
            return
        match = _HEADER.fullmatch(line)
        if match is None:
            raise MalformedRequest("a header is malformed")
        yield match[1], match[2].strip(" \t")
    raise MalformedRequest(f"there are more than {MOST_HEADERS} headers", 431)


def read_line(stream: LineReader, status: int = 400, *, may_end: bool = False) -> str | None:
    """Read a line without its CRLF; with ``may_end``, return ``None`` if there is none.

    Raises `MalformedRequest`, with ``status`` if the line is too long.
    """
    line = stream.readline(LONGEST_LINE)
    if not line and may_end:
        return None
    if not line.endswith(b"\n"):
        if len(line) == LONGEST_LINE:
            raise MalformedRequest("a line is too long", status)
        raise ConnectionError("the connection ended within a request")
    if not line.endswith(b"\r\n"):
        raise MalformedRequest("a line does not end with CRLF")
    return line[:-2].decode("latin-1")


def _parse_authority(text: str) -> tuple[str, str | None]:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise MalformedRequest("the host is malformed")
    return match[1].lower(), match[2] or None
