"""The command line, run inside this process: as fast as a function, and measured by coverage."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

from docker_charon.cli import program


@dataclass(frozen=True)
class Done:
    """The result of a command: its exit status and its output."""

    status: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The error line; fails if there is no error or more than one line."""
        assert self.status == 1, self.stderr
        assert not self.stdout
        lines = self.stderr.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("docker-charon: ")
        return lines[0]


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    """Log as in a new process, and let no other test log as the command does."""
    log = logging.getLogger("docker_charon")
    reports = logging.getLogger("docker_charon.transfer.report_file")
    before = log.level, reports.level, log.handlers[:]
    log.handlers.clear()
    try:
        yield
    finally:
        log.handlers[:] = before[2]
        log.setLevel(before[0])
        reports.setLevel(before[1])


def charon(*arguments: object, stdin: str | bytes = "") -> Done:
    """Run ``docker-charon`` with these arguments."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    with (
        _own_log(),
        contextlib.redirect_stdout(io.StringIO()) as stdout,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
        mock.patch.object(sys, "argv", ["docker-charon", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8")),
        mock.patch("signal.signal"),  # the signal handlers of the tests stay in place
        mock.patch("docker_charon.cli.garbage.gc"),  # and their garbage is found
    ):
        try:
            program.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Done(status, stdout.getvalue(), stderr.getvalue())
