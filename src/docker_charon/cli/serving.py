"""The command that serves a registry until it is told to stop: serve."""

from __future__ import annotations

import signal
import time
from typing import NoReturn

import typer

from docker_charon.cli import arguments, terminal
from docker_charon.cli.help import Command
from docker_charon.cli.options import (
    AllowedSigners,
    AllowHost,
    Host,
    Payloads,
    Port,
    Storage,
    VolumeDirs,
)


class Terminated(SystemExit):
    """The process was asked to end by SIGTERM."""


def terminate(*_: object) -> NoReturn:
    """End the process, as a handler of SIGTERM."""
    raise Terminated(128 + signal.SIGTERM)


def serve_command(
    payloads: Payloads = None,
    storage: Storage = None,
    host: Host = "127.0.0.1",
    port: Port = 5000,
    allow_host: AllowHost = None,
    allowed_signers: AllowedSigners = None,
    volume_dir: VolumeDirs = None,
) -> None:
    """Run a small registry: read-only from payloads, or read-write from a directory.

    When the registry is ready, its address is printed. It runs until Ctrl-C or SIGTERM, and the
    exit status is then 0.
    """
    from docker_charon.server import serve

    if allowed_signers is not None:
        terminal.show_info_messages()
    sources = [arguments.path_of(payload, volume_dir) for payload in payloads or ()]
    with (
        terminal.exit_on_error(),
        serve(
            sources,
            storage=storage,
            host=host,
            port=port,
            allow_hosts=allow_host or (),
            allowed_signers=allowed_signers,
        ) as server,
    ):
        try:
            terminal.print_data(server.address)
            mode = "read-only" if storage is None else f"read-write, in {storage}"
            terminal.say(f"serving on http://{server.address}, {mode}; stop it with Ctrl-C")
            while True:
                time.sleep(3600)
        except (KeyboardInterrupt, Terminated):
            terminal.say("the server has stopped")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        "serve",
        cls=Command,
        short_help="Run a small registry from payloads or a directory.",
        epilog="""\
Examples:
  docker-charon serve payload.zip update.zip
  docker-charon serve --storage ./registry""",
    )(serve_command)
