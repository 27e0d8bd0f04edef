"""Numbers as people read them: of bytes, and of things."""

from __future__ import annotations


def shown_size(size: float) -> str:
    """Return a number of bytes in powers of 1,000, as ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, thing: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
