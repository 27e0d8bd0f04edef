"""The body of a request: as long as its headers say, or in chunks (RFC 9112, "Message Body")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Protocol

_BUFFER = 256 * 1024
_LONGEST_LINE = 4096  # bytes of a chunk's size with its extensions, or of a trailer
_MOST_TRAILERS = 100
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")


class Malformed(Exception):  # it is an answer (400), not an error
    """Raised for a body of which nobody can say where it ends."""


class TooLarge(Exception):  # it is an answer (413), not an error
    """Raised for a body that is longer than it may be."""


class Incoming(Protocol):
    """What a body is read from, as `io.BufferedReader` is."""

    def readinto1(self, buffer: memoryview, /) -> int:
        """Read what is there, at least a byte; 0 at the end."""

    def readline(self, size: int, /) -> bytes:
        """Read to the end of the line, ``size`` bytes at the most."""


class RequestBody:
    """A body to be read once. ``go_on`` is called before its first byte is waited for."""

    def __init__(
        self, stream: Incoming, headers: Message[str, str], go_on: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._go_on: Callable[[], None] | None = go_on
        self._buffer = memoryview(b"")
        lengths = set(headers.get_all("Content-Length", ()))
        coding = headers.get("Transfer-Encoding")
        self.length: int | None = 0
        """Its size in bytes; ``None`` if only its end will tell."""
        if coding is not None:
            if coding.strip().lower() != "chunked" or lengths:
                raise Malformed("the body's length is told in two ways, or in an unknown one")
            self.length = None
        elif lengths:
            length = lengths.pop().strip()
            if lengths or not _LENGTH.fullmatch(length):
                raise Malformed("Content-Length is not one number")
            self.length = int(length)
        self._remaining = self.length or 0
        self.is_finished = self.length == 0

    @property
    def remaining(self) -> int | None:
        """How many bytes have not been read; ``None`` if nobody knows."""
        return 0 if self.is_finished else None if self.length is None else self._remaining

    def pieces(self) -> Iterator[memoryview]:
        """Yield it in pieces, each of them gone when the next one is asked for.

        Raises ``ConnectionError`` when the connection ends before it does.
        """
        if self.is_finished:
            return
        if self._go_on is not None:
            self._go_on()
            self._go_on = None
        if not self._buffer:
            self._buffer = memoryview(bytearray(min(_BUFFER, self.length or _BUFFER)))
        if self.length is not None:
            yield from self._take()
        else:
            while size := self._chunk_size():
                self._remaining = size
                yield from self._take()
                if self._line():
                    raise Malformed("a chunk is longer than it says")
            for _ in range(_MOST_TRAILERS):
                if not self._line():
                    break
            else:
                raise Malformed("the trailers do not end")
        self.is_finished = True

    def read(self, limit: int) -> bytes:
        """Return all of it; raise `TooLarge` when that is more than ``limit`` bytes."""
        if self.length is not None and self.length > limit:
            raise TooLarge
        content = bytearray()
        for piece in self.pieces():
            content += piece
            if len(content) > limit:
                raise TooLarge
        return bytes(content)

    def _take(self) -> Iterator[memoryview]:
        while self._remaining:
            size = self._stream.readinto1(self._buffer[: self._remaining])
            if not size:
                raise ConnectionError("the connection ended within a body")
            self._remaining -= size
            yield self._buffer[:size]

    def _chunk_size(self) -> int:
        size = self._line().partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise Malformed("a chunk has no size")
        return int(size, 16)

    def _line(self) -> bytes:
        line = self._stream.readline(_LONGEST_LINE)
        if not line:
            raise ConnectionError("the connection ended within a body")
        if not line.endswith(b"\n"):
            raise Malformed("a line within a body is too long")
        return line.rstrip(b"\r\n")
