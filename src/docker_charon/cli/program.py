"""The program `docker-charon`: it handles signals from its first moment to its last."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

from docker_charon.cli import garbage, signals, terminal


def start() -> NoReturn:
    """Run the command line as a process, and leave without taking apart what is in memory.

    Python would take as long for that as for a few requests. Its functions for the end are called.
    """
    try:
        main()
    except SystemExit as error:
        if isinstance(error.code, str):
            raise  # Python writes it to standard error
        status = error.code or 0
    else:
        status = 0
    atexit._run_exitfuncs()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.exit(status)  # and Python says what is wrong with it
    os._exit(status)


def main() -> None:
    """Run the command line and exit. A signal leads to one line and an exit status, never more."""
    try:
        try:
            signals.prepare()
            terminal.prepare()
            garbage.pause()  # until a command has loaded its modules, see `exit_on_error`
            from docker_charon.cli.commands import run  # takes a while, with all that it imports

            run(sys.argv[1:])
        finally:
            signals.ignore()
    except KeyboardInterrupt:
        terminal.fail("interrupted", terminal.INTERRUPTED)
    except signals.Terminated as error:
        terminal.fail("interrupted", error.status)
    finally:
        terminal.close()
        garbage.stop()
