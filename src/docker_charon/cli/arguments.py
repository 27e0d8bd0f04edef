"""The values of options: what a command makes of the words that it is given."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import typer

from docker_charon.errors import DockerCharonError

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1")  # by whatever name: it may be open for appending


def names_of(words: Iterable[str]) -> list[str]:
    """Split comma lists into names."""
    return [name for word in words for name in map(str.strip, word.split(",")) if name]


def names_in(files: Iterable[str]) -> list[str]:
    """Read names from files: one a line, ``#`` begins a comment; ``-`` is standard input."""
    names: list[str] = []
    for file in files:
        if file == "-" and sys.stdin is None:
            raise typer.BadParameter("there is no list of images on standard input")
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise DockerCharonError(f"cannot read the images from {file}: {reason}") from error
        text = text.removeprefix("\ufeff")  # Windows marks text so, through pipes as well
        lines = (line.partition("#")[0] for line in text.splitlines())
        names += names_of(lines)
    return names


def only_one_stdin(users: Mapping[str, bool], hint: str) -> None:
    """Refuse to read two things from standard input; ``hint`` says what to do instead."""
    named = [name for name, reads in users.items() if reads]
    if len(named) > 1:
        raise typer.BadParameter(f"standard input cannot be {' and '.join(named)} at once: {hint}")


def password_of(password: str | None, from_stdin: bool) -> str | None:
    """Return the password; ``from_stdin`` reads it from standard input.

    From a terminal it is one line. Otherwise it is all of standard input without its last line
    break, as ``docker login`` takes it: a service account's key has many lines.
    """
    if not from_stdin:
        return password
    text = _standard_input() if sys.stdin is not None else ""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise typer.BadParameter("there is no password on standard input")
    return text


def _standard_input() -> str:
    """Read a line from a terminal, or all of a pipe or file, whose line breaks stay as they are."""
    if sys.stdin.isatty():
        return sys.stdin.readline()
    # Windows marks text with a BOM, through pipes as well.
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def source_of(file: str) -> str | IO[bytes]:
    """Return where to read a payload from."""
    if file != "-":
        return file
    if sys.stdin is None or sys.stdin.isatty():
        raise typer.BadParameter("a payload is not read from a terminal: use -f PATH, or a pipe")
    return sys.stdin.buffer


def target_of(file: str, *, dry_run: bool = False) -> str | IO[bytes]:
    """Return where to write a payload to."""
    if file not in _STDOUT:
        return file
    if sys.stdout is None:
        raise typer.BadParameter("there is no standard output: use -f PATH")
    if sys.stdout.isatty() and not dry_run:
        raise typer.BadParameter("a payload is not written to a terminal: use -f PATH, or a pipe")
    return sys.stdout.buffer
