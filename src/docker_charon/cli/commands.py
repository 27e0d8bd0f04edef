"""The commands of the program: help lists them, and each is loaded when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, NoReturn, cast

import typer

from docker_charon.cli import terminal
from docker_charon.cli.help import COMMON, SETTINGS, Group, write_rows
from docker_charon.version import VERSION

# The base classes of the errors that typer raises; typer does not export them.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)
_UserError = cast(type[Exception], _UsageError.__base__)

_COMMANDS = {
    "make-payload": ("making", "Read images from registries and write them to a file."),
    "push-payload": ("pushing", "Push the images of a payload to a registry."),
    "verify-payload": ("inspection", "Check every byte of a payload."),
    "inspect-payload": ("inspection", "Show what a payload contains and what it needs."),
    "make-inventory": ("inventory", "Record what a registry has, for making deltas."),
    "serve": ("serving", "Serve payloads as a small registry."),
    "demo": ("demonstration", "Show a complete delivery, without a network."),
}
"""The commands in their order: the module of each, and what it does."""


class _Program(Group):
    """The program itself. It loads the command that runs, and no other."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return [*_COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load a command; return ``None`` if there is none of this name."""
        if cmd_name not in _COMMANDS:
            return None
        name, _ = _COMMANDS[cmd_name]
        app = _typer(Group)
        import_module(f"docker_charon.cli.{name}").register(app)
        return typer.main.get_group(app).commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the name of each command, and what it does."""
        with formatter.section("Commands"):
            write_rows([(name, text) for name, (_, text) in _COMMANDS.items()], formatter)


def _typer(group: type[Group]) -> typer.Typer:
    return typer.Typer(
        name="docker-charon",
        help="Transfer Docker images to an air-gapped system efficiently.",
        cls=group,
        epilog=COMMON,
        context_settings=dict(SETTINGS),
        pretty_exceptions_enable=False,  # a traceback with local variables can hold a password
        rich_markup_mode=None,
    )


app = _typer(_Program)


def _print_version(asked: bool) -> None:
    if asked:
        terminal.print_data(f"docker-charon {VERSION}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Transfer Docker images to an air-gapped system efficiently."""


def run(arguments: Sequence[str]) -> NoReturn:
    """Run the command line. Any failure, wrong usage too, is one line on standard error."""
    try:
        status = app(arguments or ["--help"], standalone_mode=False, prog_name="docker-charon")
    except _UsageError as error:
        # The error of an option without its argument does not know its command.
        words = ["docker-charon", *(word for word in arguments[:1] if not word.startswith("-"))]
        command = getattr(getattr(error, "ctx", None), "command_path", " ".join(words))
        terminal.fail(f"{_message(error).rstrip('.')}; see {command} --help", terminal.WRONG_USAGE)
    except _UserError as error:
        terminal.fail(_message(error), terminal.FAILED)
    if status == terminal.INTERRUPTED:
        raise KeyboardInterrupt  # typer caught it
    sys.exit(status)


def _message(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)()
    return " ".join(str(message).split())
