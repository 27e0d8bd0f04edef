"""The terminal: data on standard output, lines for people on standard error."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import NoReturn

from docker_charon.errors import DockerCharonError

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def prepare() -> None:
    """Have warnings and what the library logs shown as lines of ours."""
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning
    logger = logging.getLogger("docker_charon")
    if not logger.handlers:
        logger.addHandler(_Lines())
    logger.setLevel(logging.WARNING)


def tell_all() -> None:
    """Show what is no warning as well."""
    logging.getLogger("docker_charon").setLevel(logging.INFO)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextlib.contextmanager
def one_line_of_failure() -> Iterator[None]:
    """Make of every failure one line on standard error, and an exit status."""
    try:
        yield
    except (DockerCharonError, KeyboardInterrupt) as error:
        message = str(error) or "interrupted"
        if partial := getattr(error, "partial", None):
            message += f"; the same command goes on from {partial}"
        fail(message, INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


def print_data(text: str) -> None:
    """Write to standard output, where there is one."""
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"  # it may not know all that a platform's name has
    try:
        print(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        fail(f"cannot write to standard output: {error.strerror}", 1)


def say(message: str) -> None:
    """Write a line to standard error, where there is one."""
    if sys.stderr is None:
        return
    line = f"docker-charon: {message}"
    if "tqdm" in sys.modules:  # there may be a bar, before which the line goes
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def fail(message: str, status: int) -> NoReturn:
    """End with a line and an exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending already
    say(message)
    sys.exit(status)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")
