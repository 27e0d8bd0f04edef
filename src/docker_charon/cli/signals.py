"""The signals that ask the process to end: each raises an exception in the main thread."""

from __future__ import annotations

import _thread
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The signals besides Ctrl-C (SIGINT) that ask the process to end."""
_PAUSE = 0.05
"""Seconds until a signal is raised again."""


class Terminated(SystemExit):
    """A signal that is not Ctrl-C asked the process to end; ``status`` is its exit status."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.status = 128 + number
        super().__init__(self.status)


def prepare() -> None:
    """End in order after SIGTERM and SIGHUP, and after each signal in whatever code it comes."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _terminate)
    sys.unraisablehook = _raise_again


def _terminate(number: int, _: object) -> NoReturn:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)  # often both are sent, one after the other
    raise Terminated(number)


def _raise_again(unraisable: UnraisableHookArgs) -> None:
    """Raise a signal's exception again that came in a finalizer, where Python would drop it."""
    error = unraisable.exc_value
    if isinstance(error, Terminated):
        number = error.number
        signal.signal(number, _terminate)
    elif isinstance(error, KeyboardInterrupt):
        number = signal.SIGINT
    else:
        sys.__unraisablehook__(unraisable)
        return

    main_thread = _thread.get_ident()  # Python runs the handlers of signals in no other

    def interrupt() -> None:
        time.sleep(_PAUSE)  # the finalizer has ended by then
        if sys.platform == "win32":
            _thread.interrupt_main(number)
        else:
            signal.pthread_kill(main_thread, number)  # this ends a system call too

    _thread.start_new_thread(interrupt, ())


def ignore() -> None:
    """Ignore signals from now on: the process is ending, and its exit status is settled.

    Python gives a handler of its own back to the system before it ends, and leaves alone what is
    ignored.
    """
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


def wait() -> NoReturn:
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
