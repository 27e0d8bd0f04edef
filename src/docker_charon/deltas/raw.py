"""The raw bytes of a layer: the content of its gzip members, or the layer itself if it is a tar."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from docker_charon.deltas.codes import DeflateError
from docker_charon.deltas.member import MAGIC, TRAILER, header_size, read_header

_CHUNK = 256 * 1024
_TAR_MAGIC = slice(257, 262)


def is_gzip(path: Path) -> bool:
    """Return whether a layer is gzip or a tar; raise `DeflateError` if it is neither."""
    with path.open("rb") as file:
        start = file.read(512)
    if start[:2] == MAGIC:
        return True
    if start[_TAR_MAGIC] == b"ustar":
        return False
    raise DeflateError("neither a gzip file nor a tar")


def raw_chunks(path: Path) -> Iterator[bytes]:
    """Yield the raw bytes of a layer in chunks of up to 256 KiB.

    Bytes after the last gzip member are included as they are. Raises `DeflateError` if the file is
    damaged.
    """
    with path.open("rb") as file:
        yield from _inflated(file, path.stat().st_size) if is_gzip(path) else _rest(file)


def _rest(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _read_at(file: IO[bytes], place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _inflated(file: IO[bytes], size: int) -> Iterator[bytes]:
    place = 0
    while place < size:
        data = read_header(functools.partial(_read_at, file, place))
        if place and data[: len(MAGIC)] != MAGIC:
            yield data
            yield from _rest(file)
            return
        data = data[header_size(data) :]
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while not inflater.eof:
            try:
                chunk = inflater.decompress(data, _CHUNK)
            except zlib.error as error:
                raise DeflateError(f"a damaged gzip file ({error})") from error
            if chunk:
                yield chunk
            if not inflater.eof:
                data = inflater.unconsumed_tail or file.read(_CHUNK)
                if not data and not chunk:
                    raise DeflateError("a gzip file that is cut short")
        place = file.tell() - len(inflater.unused_data) + TRAILER
    if place > size:
        raise DeflateError("a gzip file that is cut short")
