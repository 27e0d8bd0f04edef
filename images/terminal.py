"""A terminal's window, from the text that a run has left in it.

``python images/terminal.py TEXT.txt PICTURE.png`` draws one that is not among the README's.

The text may hold colours and bold (SGR sequences, as ``tmux capture-pane -e -p`` prints them) and
carriage returns, after which a line is written over. A line that begins with ``$`` is a command,
with those after it as long as they end with a backslash.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from canvas import Canvas, Face

WIDTH, PADDING, BAR = 850, 22, 38
COLUMNS = 80
"""At least: a line that is longer makes the letters smaller, and is read less easily."""

PAPER, TITLE, EDGE = "#161b22", "#21262d", "#3d444d"
INK, COMMAND, PROMPT = "#c9d1d9", "#ffffff", "#3bc9db"
BUTTONS = ("#ff6b6b", "#f2c57c", "#51cf66")
COLOURS = ("#6e7681", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc")

SGR = re.compile(r"\x1b\[([0-9;]*)m")
EXTENDED_COLOUR = re.compile(r"([34])8;(?:5;\d+|2;\d+;\d+;\d+)")
OTHER_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


@dataclass(frozen=True)
class Style:
    """How letters look; ``colour`` is ``None`` for the usual one."""

    colour: str | None = None
    bold: bool = False

    def after(self, codes: str) -> Style:
        """Return the style that an SGR sequence of these codes leads to."""
        style = self
        codes = EXTENDED_COLOUR.sub(r"\g<1>9", codes)  # shown as the usual colour
        for code in (int(number or 0) for number in codes.split(";")):
            if code == 0:
                style = Style()
            elif code in (1, 22):
                style = replace(style, bold=code == 1)
            elif 30 <= code <= 37 or 90 <= code <= 97:
                style = replace(style, colour=COLOURS[code % 10])
            elif code == 39:
                style = replace(style, colour=None)
        return style


@dataclass(frozen=True)
class Run:
    """Letters of one style."""

    text: str
    style: Style


def rows(text: str) -> Iterator[list[Run]]:
    """Yield what is on each line of the screen once everything has been printed."""
    style = Style()
    for line in OTHER_SEQUENCE.sub("", text.replace("\r\n", "\n")).rstrip().split("\n"):
        runs = []
        last = line.rstrip("\r").rpartition("\r")[2].expandtabs()
        for n, part in enumerate(SGR.split(last)):
            if n % 2:
                style = style.after(part)
            elif part:
                runs.append(Run(part, style))
        yield runs


def draw(text: str, path: Path) -> None:
    """Draw the window into a PNG file."""
    screen = list(rows(text))
    columns = max(COLUMNS, *(sum(len(run.text) for run in row) for row in screen))
    size = (WIDTH - 2 * PADDING) / columns / 0.602  # how wide DejaVu Sans Mono is for its size
    line = size * 1.4
    height = BAR + 2 * PADDING + line * len(screen) - (line - size)
    canvas = Canvas(WIDTH, height)
    letter = canvas.width("0", size)
    canvas.box((0, 0), (WIDTH, height), PAPER, radius=12, outline=EDGE, stroke=1.5)
    canvas.box((1.5, 1.5), (WIDTH - 1.5, BAR), TITLE, radius=10.5)
    canvas.box((1.5, BAR - 12), (WIDTH - 1.5, BAR), TITLE)
    for n, colour in enumerate(BUTTONS):
        canvas.disc((PADDING + 5 + 21 * n, BAR / 2), 6.5, colour)
    for n, row in enumerate(_highlighted(screen)):
        column, baseline = 0, BAR + PADDING + size * 0.82 + line * n
        for run in row:
            face: Face = "DejaVuSansMono-Bold" if run.style.bold else "DejaVuSansMono"
            at = (PADDING + column * letter, baseline)
            canvas.text(at, run.text, size, run.style.colour or INK, face=face)
            column += len(run.text)
    canvas.save_png(path, colours=64)


def _highlighted(screen: Iterable[list[Run]]) -> Iterator[list[Run]]:
    """Yield the rows, with those of commands in their own style."""
    continued = False
    for row in screen:
        text = "".join(run.text for run in row)
        prompt = "$ " if text.startswith("$ ") else ""
        if prompt or continued:
            command = text.removeprefix(prompt)
            yield [Run(prompt, Style(PROMPT, bold=True)), Run(command, Style(COMMAND, bold=True))]
        else:
            yield row
        continued = bool(prompt or continued) and text.endswith("\\")


if __name__ == "__main__":
    draw(Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2]))
