"""The command that shows a delivery: demo."""

import typer

from docker_charon.cli import terminal
from docker_charon.cli.help import Command
from docker_charon.cli.options import Keep


def demo_command(
    keep: Keep = None,
) -> None:
    """Show a first delivery and an update between two temporary registries, without a network."""
    from docker_charon.demo.tour import run_demo

    with terminal.exit_on_error():
        run_demo(terminal.print_data, keep)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "demo",
        cls=Command,
        epilog="""\
Example:
  docker-charon demo --keep ./tour""",
    )(demo_command)
