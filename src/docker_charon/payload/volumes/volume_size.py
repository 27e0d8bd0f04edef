"""The size of volumes, as people write it and as media hold it."""

from __future__ import annotations

import re

from docker_charon.errors import DockerCharonError

_FAT_LIMIT = 4 * 1024**3
_SIZE = r"(?ai)(\d+(?:\.\d+)?) ?([kmgt]?)(i?b)?"


def parse_size(text: str) -> int:
    """Return a size in bytes, as people write it: ``4G``, ``4.7GB``, ``700MiB``, ``1000000``.

    ``K``, ``M``, ``G`` and ``T`` are powers of 1024, as 7-Zip means them, and so are ``KiB``,
    ``MiB``, ``GiB`` and ``TiB``. ``KB``, ``MB``, ``GB`` and ``TB`` are powers of 1000, as the
    makers of media mean them. Case does not matter. 4 GiB, however it is written, is one byte less:
    the largest file that FAT32 can hold.

    Raises `DockerCharonError` for anything else.
    """
    match = re.fullmatch(_SIZE, text.strip())
    if match is None:
        raise DockerCharonError(f"{text!r} is not a size", hint="write it as 4G, 4.7GB or 700MiB")
    from decimal import Decimal  # it takes time, and a size in bytes does not need it

    number, prefix, unit = match[1], match[2].upper(), (match[3] or "").lower()
    power = " KMGT".index(prefix or " ")
    size = int(Decimal(number) * (1000 if unit == "b" else 1024) ** power)
    return checked_size(size)


def checked_size(size: int) -> int:
    """Return the size of volumes in bytes: 4 GiB is one byte less (see `parse_size`).

    Raises `DockerCharonError` for a size that is not positive.
    """
    if size < 1:
        raise DockerCharonError("a volume has at least one byte", hint="write 4G, 4.7GB or 700MiB")
    return size - 1 if size == _FAT_LIMIT else size
