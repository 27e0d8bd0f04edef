"""The command line inside this process: as quick as a function, and as watched as one."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

from docker_charon.cli import commands as cli


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The one line of an error; fails where there is more, or no error at all."""
        assert self.status == 1, self.stderr
        assert not self.stdout
        lines = self.stderr.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("docker-charon: ")
        return lines[0]


def charon(*arguments: object, stdin: str | bytes = "") -> Done:
    """Run ``docker-charon`` with these arguments."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    with (
        contextlib.redirect_stdout(io.StringIO()) as stdout,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
        mock.patch.object(sys, "argv", ["docker-charon", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8")),
        mock.patch("signal.signal"),  # those of the tests stay as they are
    ):
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Done(status, stdout.getvalue(), stderr.getvalue())
