"""The program `docker-charon`: it handles signals from its first moment to its last."""

from __future__ import annotations

import sys

from docker_charon.cli import garbage, signals, terminal


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
