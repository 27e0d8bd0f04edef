"""The README's pictures: their script runs, and what they count is what they show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="the pictures need the dev extra")
pytest.importorskip("matplotlib", reason="the pictures need the dev extra")

sys.path.append(str(Path(__file__).parents[2] / "images"))

import draw
import methods
import terminal


def test_every_picture_is_drawn_and_small(tmp_path: Path) -> None:
    draw.draw(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "logo.jpg",
        "screenshot.png",
        "with_docker_charon.png",
        "with_docker_save_load.png",
    ]
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 80_000, path.name


def test_the_totals_are_the_marks_in_the_picture() -> None:
    assert methods.SAVE_LOAD.totals()[:2] == [(6, "written"), (6, "read")]
    assert methods.CHARON.totals()[:2] == [(1, "written"), (1, "read")]


def on_screen(text: str) -> list[str]:
    return ["".join(run.text for run in row) for row in terminal.rows(text)]


def test_a_line_written_over_shows_its_last_state() -> None:
    assert on_screen("a bar:  10%\ra bar: 100%\r\ndone\r\n") == ["a bar: 100%", "done"]


def test_colours_last_until_they_are_reset_and_other_sequences_are_dropped() -> None:
    red, usual = terminal.Style(terminal.COLOURS[1]), terminal.Style()
    assert list(terminal.rows("\x1b[31mwrong\n\x1b[Kstill\x1b[0m right")) == [
        [terminal.Run("wrong", red)],
        [terminal.Run("still", red), terminal.Run(" right", usual)],
    ]


def test_a_colour_out_of_256_is_no_other_colour_and_no_bold() -> None:
    assert list(terminal.rows("\x1b[38;5;31mteal")) == [[terminal.Run("teal", terminal.Style())]]
