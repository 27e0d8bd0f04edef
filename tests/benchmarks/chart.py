"""The benchmark as a picture, to be read 800 pixels wide on a light or a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH = 8.0
"""Inches: at a width of 800 pixels, a font of 10 points is 14 pixels high."""
OURS, OTHERS = "#0b7285", "#adb5bd"
LINES = ("#0b7285", "#e8590c")


@dataclass(frozen=True)
class Bars:
    """Seconds of each contender, for so many bytes; less is better. The first is ours."""

    title: str
    size: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Lines:
    """Seconds over a number of something, a line for each operation."""

    title: str
    number: str
    lines: Mapping[str, Sequence[tuple[int, float]]]


Panel = Bars | Lines


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Draw the panels side by side, two in a row, into a PNG file."""
    import matplotlib as mpl  # here, because who wants no picture need not have it

    mpl.use("agg")
    from matplotlib import pyplot

    rows = (len(panels) + 1) // 2
    figure, grid = pyplot.subplots(
        rows, 2, figsize=(WIDTH, 2.8 * rows), layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)  # type: ignore[union-attr, call-arg]
    spots = list(grid.flat)
    longest = max((max(p.seconds.values()) for p in panels if isinstance(p, Bars)), default=1.0)
    for panel, axes in zip(panels, spots, strict=False):
        axes.set_title(panel.title, fontsize=11, fontweight="bold", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        if isinstance(panel, Bars):
            names, seconds = list(panel.seconds), list(panel.seconds.values())
            colours = [OURS, *(OTHERS for _ in names[1:])]
            bars = axes.barh(names, seconds, color=colours)
            axes.bar_label(bars, fmt="%.1f s", padding=4)
            axes.invert_yaxis()
            axes.spines["bottom"].set_visible(False)
            axes.tick_params(left=False, bottom=False, labelbottom=False)
            axes.set_xlim(0, longest * 1.25)  # all bars on one scale, with room for their seconds
            axes.set_xlabel(f"{panel.size / 1e6:,.0f} MB, lower is better", fontsize=9)
        else:
            for (name, points), colour in zip(panel.lines.items(), LINES, strict=False):
                axes.plot(*zip(*points, strict=True), marker="o", label=name, color=colour)
            numbers = sorted({number for points in panel.lines.values() for number, _ in points})
            axes.set_xticks(numbers, _apart(numbers), fontsize=9)
            axes.set_xlabel(panel.number)
            axes.set_ylabel("seconds")
            axes.set_ylim(bottom=0)
            axes.grid(axis="y", color="#dee2e6")
            axes.legend(frameon=False)
    for axes in spots[len(panels) :]:
        axes.set_visible(False)
    figure.savefig(path, dpi=180, facecolor="white")


def _apart(numbers: Sequence[int]) -> list[str]:
    """Return the ticks' texts; a text that would touch the one before is empty."""
    shown = [numbers[0]]
    for number in numbers[1:]:
        room = (number - shown[-1]) / (numbers[-1] - numbers[0]) * _LETTERS
        if room >= len(str(number)) + 2:
            shown.append(number)
    return [str(number) if number in shown else "" for number in numbers]


_LETTERS = 30
"""As many letters stand beside each other along an axis."""
