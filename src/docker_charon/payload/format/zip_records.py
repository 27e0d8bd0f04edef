"""The records of a zip with stored entries (PKWARE APPNOTE 6.3, sections 4.3 and 4.5).

The standard library writes a zip from its first byte to its last. The entries of a payload are
written in any order at offsets that are known in advance, so their records are made here. The same
path, size and checksum always give the same bytes.
"""

from __future__ import annotations

import struct

from docker_charon.value import dataclass

LONGEST_HEADER = 512
"""Bytes that are read to find a local header; a path has at most 142."""

_LIMIT = 0xFFFFFFFF  # in a 32-bit field: the value is in the ZIP64 field
_COUNT_LIMIT = 0xFFFF
_ZIP64_TAG = 0x0001
_STORED = 20  # version needed to extract: 2.0
_ZIP64 = 45
_UNIX = 3 << 8
_DATA_DESCRIPTOR_FLAG = 0x0008
_TIME, _DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00:00, the earliest time in a zip
_MODE = 0o100644 << 16  # a regular file that everyone can read

_LOCAL = struct.Struct("<4s5H3L2H")
_ZIP64_EXTRA = struct.Struct("<2H2Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")


@dataclass(frozen=True, slots=True)
class Record:
    """A stored entry: its path, its size in bytes, and the offset of its local header.

    The checksum of a ``streamed`` entry follows its content, in a data descriptor, because the
    header has been sent before the checksum is known.
    """

    path: str
    size: int
    offset: int
    streamed: bool = False

    @property
    def data_offset(self) -> int:
        """The offset of its content."""
        extra = _ZIP64_EXTRA.size if self._is_large else 0
        return self.offset + _LOCAL.size + len(self.path) + extra

    @property
    def end(self) -> int:
        """The offset of the next record."""
        descriptor = (24 if self._is_large else 16) if self.streamed else 0
        return self.data_offset + self.size + descriptor

    def local_header(self, crc: int) -> bytes:
        """Return the header before the content; that of a streamed entry has no size and no CRC."""
        crc, size = (0, 0) if self.streamed else (crc, self.size)
        large = _ZIP64_EXTRA.pack(_ZIP64_TAG, 16, size, size) if self._is_large else b""
        path = self.path.encode("ascii")
        size32 = _LIMIT if large else size
        return (
            _LOCAL.pack(
                b"PK\3\4",
                _ZIP64 if large else _STORED,
                self._flags,
                0,  # stored
                _TIME,
                _DATE,
                crc,
                size32,
                size32,
                len(path),
                len(large),
            )
            + path
            + large
        )

    def data_descriptor(self, crc: int) -> bytes:
        """Return the record after the content of a streamed entry."""
        layout = "<4sL2Q" if self._is_large else "<4s3L"
        return struct.pack(layout, b"PK\7\x08", crc, self.size, self.size)

    def central_header(self, crc: int) -> bytes:
        """Return its header in the central directory."""
        large = [self.size, self.size] if self._is_large else []
        if self.offset >= _LIMIT:
            large.append(self.offset)
        extra = struct.pack(f"<2H{len(large)}Q", _ZIP64_TAG, 8 * len(large), *large)
        if not large:
            extra = b""
        version = _ZIP64 if large else _STORED
        path = self.path.encode("ascii")
        size = _LIMIT if self._is_large else self.size
        return (
            _CENTRAL.pack(
                b"PK\1\2",
                _UNIX | version,
                version,
                self._flags,
                0,  # stored
                _TIME,
                _DATE,
                crc,
                size,
                size,
                len(path),
                len(extra),
                0,  # no comment
                0,  # the first disk
                0,  # no internal attributes
                _MODE,
                min(self.offset, _LIMIT),
            )
            + path
            + extra
        )

    @property
    def _flags(self) -> int:
        return _DATA_DESCRIPTOR_FLAG if self.streamed else 0

    @property
    def _is_large(self) -> bool:
        return self.size >= _LIMIT


def parse_local_header(data: bytes, offset: int) -> tuple[Record, int] | None:
    """Parse a header that `Record.local_header` wrote at ``offset``; ``data`` may be longer.

    Return the record and its CRC, or ``None`` if ``data`` does not begin with such a header.
    """
    if len(data) < _LOCAL.size:
        return None
    *_, crc, _, size, path_length, extra_length = _LOCAL.unpack_from(data)
    path = data[_LOCAL.size :][:path_length]
    if extra_length:
        extra = data[_LOCAL.size + path_length :][:extra_length]
        if len(extra) != _ZIP64_EXTRA.size:
            return None
        size = _ZIP64_EXTRA.unpack(extra)[2]
    if not path.isascii():
        return None
    record = Record(path.decode("ascii"), size, offset)
    return (record, crc) if data.startswith(record.local_header(crc)) else None


def end_of_central_directory(count: int, size: int, offset: int) -> bytes:
    """Return the last record of a zip, whose directory has ``count`` headers at ``offset``."""
    end64 = b""
    if count >= _COUNT_LIMIT or size >= _LIMIT or offset >= _LIMIT:
        end64 = _END64.pack(
            b"PK\6\6", _END64.size - 12, _UNIX | _ZIP64, _ZIP64, 0, 0, count, count, size, offset
        ) + _LOCATOR64.pack(b"PK\6\7", 0, offset + size, 1)
    count, size, offset = min(count, _COUNT_LIMIT), min(size, _LIMIT), min(offset, _LIMIT)
    return end64 + _END.pack(b"PK\5\6", 0, 0, count, count, size, offset, 0)
