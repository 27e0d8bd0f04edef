"""An HTTP request: its parameters, its body, and the byte ranges that its headers name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from docker_charon.server.http.head import (
    LineReader,
    MalformedRequest,
    RequestHead,
    read_headers,
    read_line,
)
from docker_charon.server.store import Code, Rejected

_BUFFER = 256 * 1024
_MOST_PARAMETERS = 100
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110's word, not a secret
_QUOTED = r'"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION = rf"[\t ]*;[\t ]*{_TOKEN}(?:[\t ]*=[\t ]*(?:{_TOKEN}|{_QUOTED}))?"
_CHUNK_HEADER = re.compile(rf"([0-9a-fA-F]{{1,15}})(?:{_EXTENSION})*")
# No size has more than 18 digits; longer numbers only cost time.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_CONTENT_RANGE = re.compile(
    r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?", re.ASCII
)


class BodyTooLarge(Exception):  # answered with 413; callers of the library never see it
    """The body is longer than the endpoint accepts."""


class RangeNotSatisfiable(Exception):  # answered with 416; callers of the library never see it
    """The requested range contains none of the bytes."""


@dataclass(frozen=True)
class Request:
    """A request whose body has not been read yet."""

    head: RequestHead
    body: RequestBody

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the query; if one is repeated, its last value counts."""
        return dict(self._pairs())

    def values(self, name: str) -> list[str]:
        """Return the distinct values of a parameter that may be repeated."""
        return list(dict.fromkeys(value for key, value in self._pairs() if key == name))

    def _pairs(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(
                self.head.query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
            )
        except ValueError:
            raise Rejected(Code.UNSUPPORTED, "the query has too many parameters") from None


class RequestBody:
    """The body of a request, which can be read once (RFC 9112, "Message Body Length").

    ``send_continue`` is called before the first byte is read.
    """

    def __init__(
        self, stream: LineReader, head: RequestHead, send_continue: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._send_continue: Callable[[], None] | None = send_continue
        self._buffer = memoryview(b"")
        self.length = _body_length(head)
        """Its size in bytes; ``None`` for a chunked body, whose size is not known beforehand."""
        self._remaining = self.length or 0
        self.is_finished = self.length == 0

    @property
    def remaining(self) -> int | None:
        """How many bytes have not been read yet; ``None`` if that is not known."""
        return 0 if self.is_finished else None if self.length is None else self._remaining

    def chunks(self) -> Iterator[memoryview]:
        """Yield the body in chunks; each is valid until the next one is requested.

        Raises ``ConnectionError`` when the connection ends before the body does, and
        `MalformedRequest` for a chunked body that is not well-formed.
        """
        if self.is_finished:
            return
        if self._send_continue is not None:
            self._send_continue()
            self._send_continue = None
        if not self._buffer:
            self._buffer = memoryview(bytearray(min(_BUFFER, self.length or _BUFFER)))
        if self.length is not None:
            yield from self._read_remaining()
        else:
            while size := self._read_chunk_size():
                self._remaining = size
                yield from self._read_remaining()
                if read_line(self._stream):
                    raise MalformedRequest("a chunk is longer than its size")
            for _ in read_headers(self._stream):
                pass  # nothing here needs a trailer
        self.is_finished = True

    def limited(self, most: int) -> Iterator[memoryview]:
        """Yield the body as `chunks` does; raise `BodyTooLarge` if it has more than ``most`` bytes.

        If its length is declared and too large, nothing is read.
        """
        if self.length is not None and self.length > most:
            raise BodyTooLarge
        size = 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > most:
                raise BodyTooLarge
            yield chunk

    def _read_remaining(self) -> Iterator[memoryview]:
        while self._remaining:
            size = self._stream.readinto1(self._buffer[: self._remaining])
            if not size:
                raise ConnectionError("the connection ended within a body")
            self._remaining -= size
            yield self._buffer[:size]

    def _read_chunk_size(self) -> int:
        match = _CHUNK_HEADER.fullmatch(read_line(self._stream) or "")
        if match is None:
            raise MalformedRequest("the size of a chunk is malformed")
        return int(match[1], 16)


def _body_length(head: RequestHead) -> int | None:
    """Return the length of the body; ``None`` if it is chunked."""
    lengths = head.headers.get_all("Content-Length")
    codings = head.headers.get_all("Transfer-Encoding")
    if codings:
        if lengths or [coding.lower() for coding in codings] != ["chunked"]:
            raise MalformedRequest("Transfer-Encoding is not chunked, or not alone")
        if head.version == "HTTP/1.0":  # RFC 9112, "Transfer-Encoding"
            raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise MalformedRequest("Content-Length is not one number")
    return int(lengths[0])


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the range in a ``Range`` header, as ``(start, end)``; ``end`` is excluded.

    ``None`` means all of the ``size`` bytes: the header is empty, or one that a server may ignore
    (RFC 9110, "Range"), for example with several ranges. Raises `RangeNotSatisfiable` if the range
    contains none of the bytes.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:  # a range that ends before it starts may be refused as well
        raise RangeNotSatisfiable
    return start, end


def parse_content_range(header: str) -> tuple[int, int] | None:
    """Return the range in a ``Content-Range`` header, as ``(start, end)``; ``end`` is excluded.

    Distribution-spec 1.1, "Pushing a blob in chunks", writes it ``START-END``; the form of RFC
    9110, ``bytes START-END/SIZE``, is accepted too. ``None`` means that it is neither.
    """
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        return None
    return int(match[1]), int(match[2]) + 1
