"""The terminal: data goes to standard output, messages for people go to standard error."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import NoReturn

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

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The signals besides Ctrl-C (SIGINT) that ask the process to end."""


class Terminated(SystemExit):
    """A signal that is not Ctrl-C asked the process to end; ``status`` is its exit status."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(self.status)


def prepare() -> None:
    """Show warnings as lines on standard error, and end in order after SIGTERM and SIGHUP."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _terminate)
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning


def show_info_messages() -> None:
    """Show INFO messages as lines on standard error too."""
    from docker_charon.cli import log  # help does not need it

    log.show_information()


def _terminate(number: int, _: object) -> NoReturn:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)  # often both are sent, one after the other
    raise Terminated(number)


def ignore_signals() -> None:
    """Ignore signals from now on: the process is ending, and its exit status is settled.

    Python gives a handler of its own back to the system before it ends, and leaves alone what is
    ignored.
    """
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


def wait_for_signal() -> NoReturn:
    """Do nothing until the handler of a signal raises an exception.

    The system may deliver a signal to another thread, or just before this thread begins to wait.
    Neither would end a sleep. The byte that Python writes for each signal ends this wait.
    """
    import socket  # help does not need it

    receiver, sender = socket.socketpair()  # on Windows it cannot be a pipe
    with receiver, sender:
        sender.setblocking(False)
        previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            while True:
                receiver.recv(1024)
        finally:
            signal.set_wakeup_fd(previous)


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error into one line on standard error and an exit status.

    A name or a platform that is not valid comes from the user: it is wrong usage. Logged warnings
    are shown as lines too.
    """
    from docker_charon.cli import log  # help does not need it

    log.show_warnings()
    try:
        with naming_options():
            yield
    except (DockerCharonError, KeyboardInterrupt, Terminated) as error:
        message, status = "interrupted", INTERRUPTED
        if isinstance(error, DockerCharonError):
            is_usage = isinstance(error, (InvalidReference, InvalidPlatform))
            message, status = str(error), WRONG_USAGE if is_usage else FAILED
        elif isinstance(error, Terminated):
            status = error.status
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
        fail(f"cannot write to standard output: {error.strerror}", 1)


def columns() -> int | None:
    """Return the width of the terminal that standard output is, or ``None`` if it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


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
    ignore_signals()
    say(message)
    sys.exit(status)


def close() -> None:
    """Forget a dead standard error: Python would fail to flush it, and exit with status 120."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")
