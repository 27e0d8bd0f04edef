"""Draw the README's pictures anew: ``python images/draw.py``, with the ``dev`` extra installed."""

from __future__ import annotations

from pathlib import Path

import logo
import methods
import terminal

FOLDER = Path(__file__).parent


def draw(folder: Path) -> None:
    """Write every picture into a folder."""
    logo.draw(folder / "logo.jpg")
    methods.draw(methods.SAVE_LOAD, folder / "with_docker_save_load.png")
    methods.draw(methods.CHARON, folder / "with_docker_charon.png")
    recorded = (FOLDER / "screenshot.txt").read_text(encoding="utf-8")
    terminal.draw(recorded, folder / "screenshot.png")


if __name__ == "__main__":
    draw(FOLDER)
