"""A table as text, which becomes a list where it is wider than the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence


def table(rows: Sequence[Sequence[str]], columns: int | None = None) -> list[str]:
    """Return the lines of a table, whose first row is its head.

    If a line is longer than ``columns``, each row is a paragraph instead: its first cell, and below
    it the others after the names of their columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if columns is None or max(map(len, lines), default=0) <= columns:
        return lines
    head, *others = rows
    lines = []
    for name, *cells in others:
        facts = [
            f"{title.lower()} {cell}" for title, cell in zip(head[1:], cells, strict=True) if cell
        ]
        lines += wrapped([name], columns)
        lines += wrapped([", ".join(facts)], columns, "    ") if facts else []
    return lines


def wrapped(lines: Iterable[str], columns: int | None, indent: str = "") -> list[str]:
    """Return lines that are broken between words where they are longer than ``columns``."""
    if columns is None:
        return list(lines)
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line.lstrip(),
            max(20, columns),
            initial_indent=indent or line[: len(line) - len(line.lstrip())],
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
