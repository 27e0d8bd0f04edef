"""A line: every error is one, whatever it is about."""

from __future__ import annotations

from docker_charon import DockerCharonError


def is_line(text: str) -> bool:
    """Whether a text can be printed, and is short enough to be read."""
    return text.isprintable() and 0 < len(text) < 2000


def check_line(error: DockerCharonError) -> None:
    """Take an error for a good end of a test, if it is a line."""
    assert is_line(str(error)), repr(error)
