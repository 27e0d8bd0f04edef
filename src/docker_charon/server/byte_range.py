"""Ranges of bytes, as requests name them: those to read, and those that are sent."""

from __future__ import annotations

import re

# More digits than any size has are nonsense, and cost time.
_READ = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_SENT = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?", re.ASCII)


class Unsatisfiable(Exception):  # it is an answer (416), not an error
    """Raised for a range in which there is nothing: it is behind the end, or none at all."""


def range_to_read(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte that a ``Range`` header asks for, and the one behind the last.

    ``None`` means all: there is no header, or one that may be passed over (RFC 9110, "Range"), as
    several ranges at once are. Raises `Unsatisfiable` when none of the ``size`` bytes is meant.
    """
    found = _READ.fullmatch(header.replace(" ", "")) if header else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:  # behind the end; and what ends before it begins may be refused as well
        raise Unsatisfiable
    return start, end


def range_sent(header: str) -> tuple[int, int] | None:
    """Return the first byte of a ``Content-Range`` header, and the one behind the last.

    Distribution-spec 1.1, "Pushing a blob in chunks", writes it ``START-END``; what RFC 9110 adds
    to that is taken too. ``None`` means that it is neither.
    """
    found = _SENT.fullmatch(header.strip())
    if found is None or int(found[2]) < int(found[1]):
        return None
    return int(found[1]), int(found[2]) + 1
