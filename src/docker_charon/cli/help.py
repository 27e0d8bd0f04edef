"""The help of a command: plain text, with options in groups and examples on lines of their own."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

IMAGES = "Images"
FILE = "File"
ALREADY_THERE = "What the air-gapped registry has"
REGISTRY = "Registry"
RUN = "General"
_ORDER = (IMAGES, FILE, ALREADY_THERE, REGISTRY, RUN)

_WIDEST = 120
"""Columns of a terminal that the help uses."""
_NARROW = 70
"""Columns of a terminal in which a text stands below the name that it explains."""
_LONGEST_NAME = 30
"""Characters of a name that has its text beside it."""
_OPTION_AND_VALUE = r"( --?[a-z][a-z-]*) (?=[^-\\\s])"
_GLUE = "\N{NO-BREAK SPACE}"

COMMON = """\
A first delivery, and an update that carries only what is new:
  docker-charon make-payload -r registry.example.com -f payload.zip my-image:1.4
  docker-charon push-payload -r registry.lan -f payload.zip
  docker-charon make-payload -r registry.example.com -f update.zip \\
      --already-transferred-payload payload.zip my-image:1.8

Environment:
  DOCKER_CHARON_USERNAME   instead of -u
  DOCKER_CHARON_PASSWORD   instead of -p
  DOCKER_CONFIG            the directory of Docker's stored logins
  REGISTRY_AUTH_FILE       the file of Podman's stored logins
  DOCKER_AUTH_CONFIG       stored logins themselves, as JSON
  HTTPS_PROXY, HTTP_PROXY  the proxies for HTTPS and for HTTP
  ALL_PROXY                the proxy for both, if these are not set
  NO_PROXY                 the hosts that are reached without a proxy
  REQUESTS_CA_BUNDLE       certificates to trust instead of the usual ones
  TMPDIR                   where pipes are stored and layers rebuilt

Exit status: 0 done, 1 failed, 2 wrong usage, 3 some images left out, \
130, 143 and 129 interrupted (by Ctrl-C, SIGTERM and SIGHUP)."""
"""What the help of the program says below its commands."""


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST}
"""What the program and its commands have in common."""


class Command(TyperCommand):
    """A command whose help shows the options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write each group with its arguments and options."""
        groups: dict[str, list[tuple[str, str]]] = {panel: [] for panel in _ORDER}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                row = (parameter.metavar.strip("[]."), parameter.help)
            else:
                row = parameter.get_help_record(ctx)
            if row is not None:
                groups[getattr(parameter, "rich_help_panel", None) or RUN].append(row)
        for panel, rows in groups.items():
            if rows:
                with formatter.section(panel):
                    write_rows(rows, formatter)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the command is typed."""
        _write_usage(self, ctx, formatter)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what it does."""
        _write_text(self.help, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples and keep their line breaks."""
        _write_lines(self.epilog, formatter)


class Group(TyperGroup):
    """The program itself, whose help lists the commands."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the program is typed."""
        _write_usage(self, ctx, formatter)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what it does."""
        _write_text(self.help, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the text and keep its line breaks."""
        _write_lines(self.epilog, formatter)


def write_rows(rows: Sequence[tuple[str, str]], formatter: Any) -> None:
    """Write names, each with a text beside it, or below it in a narrow terminal."""
    names = [name for name, _ in rows]
    column = 2 + min(max(map(len, names)), _LONGEST_NAME) + 2 if _columns() >= _NARROW else 6
    for name, text in rows:
        lines = _wrapped(text, " " * column)
        if len(name) + 4 <= column:
            lines[0] = f"  {name}".ljust(column) + lines[0].lstrip()
        else:
            lines.insert(0, f"  {name}")
        for line in lines:
            formatter.write(f"{line}\n")


def _write_text(text: str | None, formatter: Any) -> None:
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        formatter.write_paragraph()
        for line in _wrapped(" ".join(paragraph.split()), "  "):
            formatter.write(f"{line}\n")


def _write_usage(command: Any, context: Any, formatter: Any) -> None:
    pieces = " ".join(command.collect_usage_pieces(context))
    for line in _wrapped(f"Usage: {context.command_path} {pieces}", "", "  "):
        formatter.write(f"{line}\n")


def _write_lines(text: str | None, formatter: Any) -> None:
    """Write text that has its own line breaks, and more of them if the terminal is narrow."""
    if text:
        formatter.write_paragraph()
        for line in text.splitlines():
            for part in _wrapped_line(line):
                formatter.write(f"{part}\n")


def _wrapped_line(line: str) -> list[str]:
    """Break a line between words, so that a command can still be copied.

    In a table, which has several spaces between its columns, the second column goes below.
    """
    if len(line) <= _columns():
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    name, spaces, explanation = line.strip().partition("  ")
    if spaces:
        return [*_wrapped(name, indent), *_wrapped(explanation.strip(), f"{indent}    ")]
    if not indent:
        return _wrapped(line, "")
    # An option stays with its value where there is room for both.
    glued = re.sub(_OPTION_AND_VALUE, f"\\1{_GLUE}", line.strip())
    for text in (glued, line.strip()):
        parts = _wrapped(text, indent, f"{indent}    ", room=len(" \\"))
        if max(map(len, parts)) <= _columns():
            break
    parts = [part.replace(_GLUE, " ") for part in parts]
    ended = [part if part.endswith("\\") else f"{part} \\" for part in parts[:-1]]
    return [*ended, parts[-1]]


def _wrapped(text: str, indent: str, further: str | None = None, room: int = 0) -> list[str]:
    """Return lines that fit, with ``room`` columns left; no word is broken."""
    return textwrap.wrap(
        text,
        max(20, min(_columns(), _WIDEST) - room),
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns() -> int:
    return shutil.get_terminal_size().columns
