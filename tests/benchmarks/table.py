"""A table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells below headers: the first column names things, the others are numbers."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        ruler = ["---", *("---:" for _ in self.headers[1:])]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.headers, ruler, *self.rows)]
        note = ["", self.note] if self.note else []
        return "\n".join([f"### {self.title}", "", *lines, *note, ""])
