"""A size: a number of bytes as people read it."""

from __future__ import annotations


def shown_size(size: float) -> str:
    """Return a number of bytes in powers of 1,000, as ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
