"""The bar: a line in a terminal, which disappears at the end, or tqdm's bar in a notebook."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any, Protocol

from tqdm import tqdm

from docker_charon.messages import STANDARD_ERROR
from docker_charon.progress.line import BLOCKS, Status, bar_line
from docker_charon.progress.pause import is_paused


class Bar(Protocol):
    """A bar on the screen."""

    def show(self, status: Status) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """Remove the bar."""


def new_bar() -> Bar:
    """Return a bar for where the program runs: a terminal, or a notebook."""
    if is_notebook():
        from tqdm import notebook

        if getattr(notebook, "IProgress", None) is not None:  # otherwise ipywidgets is missing
            return _NotebookBar()
    return _TerminalBar()


def is_notebook() -> bool:
    """Return whether the program runs in a Jupyter notebook, as tqdm finds out too."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class _Line(tqdm):  # type: ignore[type-arg]  # it cannot be subscripted at run time
    """A line among the bars of tqdm, so that messages of tqdm's users appear above it."""

    text = ""

    def __str__(self) -> str:
        return self.text

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the line, also after a message above it; but not below a question."""
        if msg is not None or not is_paused():
            super().display(msg, pos)


class _TerminalBar:
    def __init__(self) -> None:
        self._blocks = _blocks()
        self._line = _Line(file=STANDARD_ERROR, leave=False, ncols=_columns() - 1)

    def show(self, status: Status) -> None:
        columns = _columns()
        self._line.ncols = columns - 1
        self._line.text = bar_line(status, columns, self._blocks)
        self._line.refresh()

    def close(self) -> None:
        self._line.close()
        # The terminal may have written ^C behind the line.
        STANDARD_ERROR.write(f"\r{' ' * (_columns() - 1)}\r")
        STANDARD_ERROR.flush()


class _NotebookBar:
    def __init__(self) -> None:
        from tqdm.notebook import tqdm as tqdm_notebook

        self._bar = tqdm_notebook(unit="B", unit_scale=True, unit_divisor=1000, leave=False)

    def show(self, status: Status) -> None:
        event, bar = status.event, self._bar
        is_bytes = bool(event.bytes_total)
        bar.unit = "B" if is_bytes else " images"
        bar.total = event.bytes_total if is_bytes else event.images_total or None
        bar.n = event.bytes_done if is_bytes else event.images_done
        bar.initial = status.resumed if is_bytes else 0  # tqdm takes it out of the speed
        bar.container.children[1].max = bar.total or 1
        bar.set_description(f"{status.phase} {status.note}".strip(), refresh=False)
        bar.set_postfix_str(status.count, refresh=False)
        bar.refresh()

    def close(self) -> None:
        self._bar.close()


def _columns() -> int:
    """Return the width of the terminal at standard error, in columns."""
    try:
        columns = os.get_terminal_size(STANDARD_ERROR.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    return columns or shutil.get_terminal_size().columns


def _blocks() -> str:
    """Return the characters of a bar: `BLOCKS`, or ``#`` if standard error cannot encode them."""
    try:
        BLOCKS.encode(STANDARD_ERROR.encoding or "ascii")
    except (UnicodeError, LookupError):
        return "#"
    return BLOCKS
