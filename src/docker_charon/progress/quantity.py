"""Numbers and sizes as text."""

from __future__ import annotations

from collections.abc import Mapping

_UNITS = ("B", "kB", "MB", "GB", "TB")


def shown_size(size: float) -> str:
    """Return a number of bytes as text with a decimal unit, such as ``1.5 GB``."""
    number, unit = _scaled(size)
    return f"{_rounded(size, number)} {_UNITS[unit]}"


def shown_part(done: int, total: int) -> str:
    """Return numbers of bytes as text in the unit of ``total``, such as ``26.3 of 40.0 MB``."""
    whole, unit = _scaled(total)
    part = done / 1000**unit
    return f"{_rounded(total, part)} of {_rounded(total, whole)} {_UNITS[unit]}"


def counted(number: int, thing: str) -> str:
    """Return a number and its noun, such as ``1 image`` or ``2 images``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def counts(numbers: Mapping[str, int]) -> str:
    """Return how many there are of each thing, as text; what there is none of is left out."""
    return " and ".join(counted(number, thing) for thing, number in numbers.items() if number)


def _scaled(size: float) -> tuple[float, int]:
    """Return a size in the largest unit of which it has at least one, and the unit's place.

    999,999 bytes are one MB, because they are rounded to tenths.
    """
    unit = 0
    while round(size, 1) >= 1000 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return size, unit


def _rounded(size: float, number: float) -> str:
    return f"{number:.0f}" if size < 1000 else f"{number:.1f}"
