"""What holds for any input: the right result, or one error of ours in one printable line; soon."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from docker_charon import DockerCharonError

_T = TypeVar("_T")
SECONDS = 2.0


class Hang(BaseException):
    """It takes too long; not an error that anybody could take for a broken connection."""


@contextmanager
def soon(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `Hang` in what takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def is_one_line(text: str) -> bool:
    """Whether a terminal shows it as one line, and there is something to see."""
    return bool(text.strip()) and text.isprintable()


def kept(function: Callable[[], _T]) -> _T | DockerCharonError:
    """Return what a function returns, or our error; anything else that it raises is a bug."""
    try:
        with soon():
            return function()
    except DockerCharonError as error:
        assert is_one_line(str(error)), repr(str(error))
        return error
