"""A response that is read at a minimal rate, so that no server can keep a client waiting for days.

A timeout of a socket starts again with every byte. So the bytes are counted as well.
"""

from __future__ import annotations

import http.client
import io
import time
import zlib
from typing import Any

import requests

SLOWEST = 256
"""Bytes in a second: a response that arrives more slowly than this for `WINDOW` is given up."""

WINDOW = 30.0
"""Seconds of waiting after which the bytes that have arrived are counted."""

LONGEST_READ = 300.0
"""Seconds that the body of a document may take, however large it is."""

_LEAST_READS = 3
"""Pieces after which they are counted: one pause, with a small piece after it, is not slow."""

_MOST_INTERIM = 100  # responses with a status of 1xx before the final one
_PIECE = 64 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # the format is recognised by its header
_STORED = ("", "identity")
_DECODED = ("gzip", "x-gzip", "deflate")


class TooSlow(TimeoutError):
    """A response arrives, but so slowly that it may never end."""


class FinalResponse(http.client.HTTPResponse):
    """A response after the interim ones (RFC 9110, section 15.2), read at a minimal rate.

    `http.client` takes every interim response except 100 for the final one. ``early`` is the start
    of the response, which was read while the request was sent. ``is_last`` says that the connection
    is closed after it.
    """

    def __init__(
        self, *args: Any, early: bytes = b"", is_last: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._paced = _PacedReader(self.fp.detach(), early)
        self.fp = io.BufferedReader(self._paced)
        self._is_last = is_last

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        self.will_close = self.will_close or self._is_last

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
            self._paced.start_again()
        raise http.client.HTTPException("too many interim responses")


class _PacedReader(io.RawIOBase):
    """Reads from ``raw``; raises `TooSlow` when less than `SLOWEST` arrives in a `WINDOW`.

    Only the time in which it waits for the network counts. The time until the first byte does not
    count, because a server may have to work until then.
    """

    def __init__(self, raw: Any, early: bytes) -> None:
        self._raw = raw
        self._early = early  # bytes that come before those of ``raw``
        self.start_again()

    def start_again(self) -> None:
        """Wait for a first byte again."""
        self._has_begun = False
        self._waited = 0.0
        self._received = 0
        self._reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if early := self._early[: len(buffer)]:
            buffer[: len(early)], self._early = early, self._early[len(early) :]
            return len(early)
        before = time.monotonic()
        size: int | None = self._raw.readinto(buffer)
        if self._has_begun:
            self._waited += time.monotonic() - before
            self._received += size or 0
            self._reads += 1
            if self._waited > WINDOW and self._reads >= _LEAST_READS:
                if size and self._received < SLOWEST * self._waited:
                    raise TooSlow
                self._waited, self._received, self._reads = 0.0, 0, 0
        self._has_begun = True
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def read_document(response: requests.Response, limit: int) -> bytes:
    """Return the body of a response, decoded if something on the way has compressed it.

    A result of ``limit`` + 1 bytes means that the body is longer than ``limit`` bytes. Raises as
    `read_stored` does, and ``ContentDecodingError`` for a compression that is not known here.
    """
    encoding = content_encoding(response)
    if encoding and encoding not in _DECODED:
        raise requests.exceptions.ContentDecodingError(encoding, response=response)
    content = read_stored(response, limit)
    return _decoded(content, limit) if encoding else content


def read_stored(response: requests.Response, limit: int) -> bytes:
    """Return the body of a response as it was sent.

    A result of ``limit`` + 1 bytes means that the body is longer than ``limit`` bytes. Raises one
    of `NETWORK_ERRORS`, such as `TooSlow` for a body that takes more than `LONGEST_READ`.
    """
    before = time.monotonic()
    content = bytearray()
    while len(content) <= limit and (piece := _read_piece(response, limit + 1 - len(content))):
        content += piece
        if time.monotonic() - before > LONGEST_READ:
            raise TooSlow
    return bytes(content)


def content_encoding(response: requests.Response) -> str:
    """Return how a body is encoded, in lower case; ``""`` means as it is stored."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    return "" if encoding in _STORED else encoding


def _read_piece(response: requests.Response, longest: int) -> bytes:
    """Return what has arrived of a body, as it was sent; ``b""`` at its end."""
    raw = response.raw
    stream = getattr(raw, "_fp", None)
    if not isinstance(stream, http.client.HTTPResponse):
        piece: bytes = raw.read(longest, decode_content=False)
        return piece
    piece = stream.read1(min(longest, _PIECE))
    if not piece and stream.length:
        raise http.client.IncompleteRead(b"", stream.length)
    if not piece or stream.length == 0:
        stream.close()
        raw.release_conn()  # it was read to its end, and can be used again
    return piece


def _decoded(content: bytes, limit: int) -> bytes:
    """Return decoded content, up to ``limit`` + 1 bytes; some servers say so of plain content."""
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(content, limit + 1)
    except zlib.error:
        return content
