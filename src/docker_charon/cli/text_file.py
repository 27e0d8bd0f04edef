"""A text file that an option names: in UTF-8 or UTF-16, and not larger than it should be."""

from __future__ import annotations

import sys

import typer

from docker_charon.errors import DockerCharonError
from docker_charon.special_file import open_to_read
from docker_charon.written_text import decoded

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of a file that is read."""


def shown_name(file: str) -> str:
    """Return the name of a file for messages; ``-`` is standard input."""
    return "standard input" if file == "-" else file


def lines_in(file: str, what: str) -> list[str]:
    """Return the lines of a text file without comments; ``what`` is in it, for an error."""
    return [line.partition("#")[0] for line in text_in(file, what).splitlines()]


def text_in(file: str, what: str) -> str:
    """Return the text in a file; ``what`` is in it, for an error, and ``-`` is standard input."""
    content = _content_of(file, what)
    if len(content) > LARGEST_FILE:
        raise _failure(file, what, f"it is larger than {LARGEST_FILE // 1024**2} MiB")
    try:
        text = decoded(content)
    except ValueError as error:
        raise _failure(file, what, str(error)) from error
    if "\0" in text:
        failure = _failure(file, what, "it has NUL characters")
        failure.hint = "save it as UTF-8, or as UTF-16 with a byte order mark"
        raise failure
    return text


def _content_of(file: str, what: str) -> bytes:
    if file == "-" and sys.stdin is None:
        raise typer.BadParameter(f"standard input is closed, so it cannot contain {what}")
    try:
        if file == "-":
            return sys.stdin.buffer.read(LARGEST_FILE + 1)
        with open_to_read(file) as stream:
            return stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        failure = _failure(file, what, reason)
        if "://" in file:
            failure.hint = "download it first, for example with curl -fLO"
        raise failure from error


def _failure(file: str, what: str, reason: str) -> DockerCharonError:
    return DockerCharonError(f"cannot read {what} from {shown_name(file)}: {reason}")
