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

_LOGGERS = ("docker_charon", "docker_charon.transfer.report_file")


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
    """Start with the loggers of a new process, and take back what a command does to them."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    loggers[0].setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, (level, handlers) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers[:] = handlers


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
    ):
        try:
            program.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Done(status, stdout.getvalue(), stderr.getvalue())
