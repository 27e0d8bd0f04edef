"""The terminal: data goes to standard output, messages for people go to standard error."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from typing import NoReturn

from docker_charon.cli import garbage, signals
from docker_charon.errors import DockerCharonError, InvalidPlatform, InvalidReference
from docker_charon.messages import naming_options, say

FAILED = 1
"""The exit status after an error."""
WRONG_USAGE = 2
"""The exit status if the command cannot be run with these options and arguments."""
LEFT_OUT = 3
"""The exit status if some images were left out, and all others are done."""
INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def prepare() -> None:
    """Show warnings as lines on standard error."""
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning


def show_info_messages() -> None:
    """Show INFO messages as lines on standard error too."""
    from docker_charon.cli import log  # help does not need it

    log.show_information()


@contextlib.contextmanager
def exit_on_error(if_interrupted: str = "") -> Iterator[None]:
    """Run the library: turn an error into one line on standard error and an exit status.

    A name or a platform that is not valid comes from the user: it is wrong usage. Logged warnings
    are shown as lines too. ``if_interrupted`` is what the user can do after an interruption.
    """
    from docker_charon.cli import log  # help does not need it

    log.show_warnings()
    garbage.resume()
    try:
        with naming_options():
            yield
    except (DockerCharonError, KeyboardInterrupt, signals.Terminated) as error:
        message, status = "interrupted", INTERRUPTED
        if isinstance(error, DockerCharonError):
            is_usage = isinstance(error, (InvalidReference, InvalidPlatform))
            message, status = str(error), WRONG_USAGE if is_usage else FAILED
        else:
            if isinstance(error, signals.Terminated):
                status = error.status
            if if_interrupted:
                message += f"; {if_interrupted}"
        if partial := getattr(error, "partial", None):
            message += f"; the same command goes on from {partial}"
        if partial_size := getattr(error, "partial_size", None):
            present, size = partial_size
            message += f", {present:,} of {size:,} bytes are there"
        fail(message, status)


def print_data(text: str) -> None:
    """Write a line to standard output, if the process has one."""
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"  # it may lack characters of the text
    try:
        print(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        fail(f"cannot write to standard output: {error.strerror}", FAILED)


def columns() -> int | None:
    """Return the width of standard output in characters; ``None`` if it is not a terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def can_ask() -> bool:
    """Return whether there is somebody who can answer a question."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_for_medium(problem: str) -> bool:
    """Ask for another medium; return whether the user pressed Enter."""
    from docker_charon.progress import paused  # help does not need it

    with paused():
        say(f"{problem}: insert its medium and press Enter, or end with Ctrl-C")
        # sys.stdin has a lock, and Python cannot exit while a thread waits for input with it.
        return bool(os.read(sys.stdin.fileno(), 4096))


def fail(message: str, status: int) -> NoReturn:
    """Write a line to standard error and end with this exit status."""
    signals.ignore()
    say(message)
    sys.exit(status)


def close() -> None:
    """Give up a standard error that cannot be written: Python would end with status 120 for it."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")
