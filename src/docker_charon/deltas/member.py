"""The header of a gzip member (RFC 1952, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable

from docker_charon.deltas.codes import DeflateError

MAGIC = b"\x1f\x8b"
TRAILER = 8
"""Bytes behind a member's deflate data: CRC32 and ISIZE."""

LONGEST_HEADER = 0xFFFF
"""The most bytes of a header here; the format allows names of any length."""

_FIRST_READ = 4096
"""Enough for nearly all headers, so that many small members do not cost `LONGEST_HEADER` each."""

_DEFLATE = 8
_HAS_CHECKSUM, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16


def read_header(read: Callable[[int], bytes]) -> bytes:
    """Return the header of a member, and perhaps bytes behind it.

    ``read`` returns up to so many bytes from the start of the member on.
    """
    data = read(_FIRST_READ)
    try:
        header_size(data)
    except DeflateError:
        return read(LONGEST_HEADER)
    return data


def header_size(data: bytes) -> int:
    """Return the size of the header with which ``data`` begins.

    ``data`` has `LONGEST_HEADER` bytes, or all bytes that are left. Raises `DeflateError` unless it
    begins with the whole header of a member.
    """
    if data[:2] != MAGIC or data[2:3] != bytes([_DEFLATE]) or len(data) < 10:
        raise DeflateError("a gzip file with something else where a member begins")
    flags = data[3]
    size = 10
    if flags & _HAS_EXTRA:
        size += 2 + int.from_bytes(data[size : size + 2], "little")
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            end = data.find(0, size)
            if end < 0:
                raise DeflateError("a gzip file with a header without an end")
            size = end + 1
    if flags & _HAS_CHECKSUM:
        size += 2
    if size > len(data):
        raise DeflateError("a gzip file that is cut short")
    return size
