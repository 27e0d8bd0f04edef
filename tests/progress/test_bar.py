"""The bar: in a terminal, and in a notebook."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from docker_charon.messages import say
from docker_charon.progress import Progress, paused, progress
from docker_charon.progress.bar import new_bar
from docker_charon.progress.event import ProgressEvent
from docker_charon.progress.line import Status

QUESTION = "docker-charon: insert its medium\n"
HALF = Status(ProgressEvent("making", 20, 40, 3, 5, 1, 2))


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        content: Any = self.buffer
        return str(content.getvalue().decode(self.encoding))


@pytest.mark.parametrize(("encoding", "block"), [("utf-8", "█"), ("cp1252", "#"), ("ascii", "#")])
def test_every_console_can_show_it(
    encoding: str, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(encoding)
    monkeypatch.setattr("sys.stderr", terminal)
    bar = new_bar()
    bar.show(HALF)
    assert f"Making  50% |{block}" in terminal.text
    bar.close()


def test_nothing_of_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal("utf-8")
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    bar = new_bar()
    bar.show(HALF)
    terminal.write("^C")  # as a terminal does when the key is pressed
    bar.close()
    assert terminal.text.endswith(f"\r{' ' * 79}\r")


def test_it_is_not_below_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal("utf-8")
    monkeypatch.setattr("sys.stderr", terminal)
    with contextlib.closing(new_bar()) as bar:
        bar.show(HALF)
        with paused():
            say("insert its medium")
            bar.show(HALF)  # by a thread that had begun to draw it
            before, question, below = terminal.text.rpartition(QUESTION)
            assert question
            assert not before.rpartition("\r")[2].strip()
            assert not below.strip()
        bar.show(HALF)
        assert "50%" in terminal.text.rpartition("\n")[2]


class Widgets:
    """The bar of tqdm in a notebook, as far as it is used."""

    made: list[Widgets]
    shown = threading.Event()

    def __init__(self, **_: object) -> None:
        self.container = SimpleNamespace(children=[None, SimpleNamespace(max=1)])
        self.total: int | None = None
        self.n = self.initial = 0
        self.unit = self.description = self.postfix = ""
        self.is_closed = False
        self.made.append(self)

    def set_description(self, text: str, refresh: bool) -> None:
        self.description = text

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.postfix = text

    def refresh(self) -> None:
        if self.n:
            self.shown.set()

    def close(self) -> None:
        self.is_closed = True


def test_a_notebook_shows_the_bar_of_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    from tqdm import notebook

    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(notebook, "IProgress", object(), raising=False)
    monkeypatch.setattr(notebook, "tqdm", Widgets)
    monkeypatch.setattr(Widgets, "made", [], raising=False)
    monkeypatch.setattr(progress, "BAR_EVERY", 0.01)
    with Progress("making", {"blob": 40}, {}, None) as shown:
        shown.moved(20)
        assert Widgets.shown.wait(60)
    [bar] = Widgets.made
    assert (bar.n, bar.total, bar.unit, bar.description) == (20, 40, "B", "Making")
    assert bar.postfix == "0/1 blobs"
    assert bar.is_closed
