"""The terminal: data goes to standard output, messages for people go to standard error."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import NoReturn

from docker_charon.errors import DockerCharonError, InvalidPlatform, InvalidReference

FAILED = 1
"""The exit status after an error."""
WRONG_USAGE = 2
"""The exit status if the command cannot be run with these options and arguments."""
LEFT_OUT = 3
"""The exit status if some images were left out, and all others are done."""
INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def prepare() -> None:
    """Show warnings and log messages of the library as lines on standard error."""
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning
    logger = logging.getLogger("docker_charon")
    if not logger.handlers:
        logger.addHandler(_MessageHandler())
    logger.setLevel(logging.WARNING)


def show_info_messages() -> None:
    """Also show INFO messages."""
    logging.getLogger("docker_charon").setLevel(logging.INFO)


class _MessageHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error into one line on standard error and an exit status.

    A name or a platform that is not valid comes from the user: it is wrong usage.
    """
    try:
        yield
    except (DockerCharonError, KeyboardInterrupt) as error:
        message = str(error) or "interrupted"
        if partial := getattr(error, "partial", None):
            message += f"; run the same command again to continue from {partial}"
        if isinstance(error, KeyboardInterrupt):
            fail(message, INTERRUPTED)
        is_usage = isinstance(error, (InvalidReference, InvalidPlatform))
        fail(message, WRONG_USAGE if is_usage else FAILED)


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
        fail(f"cannot write to standard output: {error.strerror}", 1)


def say(message: str) -> None:
    """Write a line to standard error, if the process has one."""
    if sys.stderr is None:
        return
    line = f"docker-charon: {message}"
    if "tqdm" in sys.modules:  # the line goes above a progress bar
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def can_ask() -> bool:
    """Return whether there is somebody who can answer a question."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_for_medium(problem: str) -> bool:
    """Ask for another medium; return whether the user pressed Enter."""
    say(f"{problem}: insert its medium and press Enter, or end with Ctrl-C")
    # sys.stdin has a lock, and Python cannot exit while a thread waits for input with it.
    return bool(os.read(sys.stdin.fileno(), 4096))


def fail(message: str, status: int) -> NoReturn:
    """Write a line to standard error and end with this exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process is ending already
    say(message)
    sys.exit(status)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")
