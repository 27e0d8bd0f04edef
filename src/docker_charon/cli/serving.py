"""The command that serves a registry until it is told to stop: serve."""

import typer

from docker_charon.cli import arguments, signals, terminal
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
from docker_charon.messages import say


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

    When the registry is ready, its address is printed. It runs until Ctrl-C, SIGTERM or SIGHUP, and
    the exit status is then 0.
    """
    from docker_charon.server import serve

    if allowed_signers is not None:
        terminal.show_info_messages()
    sources = [arguments.source_of(payload, volume_dir) for payload in payloads or ()]
    with (
        terminal.exit_on_error(),
        serve(
            sources,
            storage=storage,
            host=host,
            port=port,
            allow_hosts=arguments.names_of(allow_host or ()),
            allowed_signers=allowed_signers,
        ) as server,
    ):
        try:
            terminal.print_data(server.address)
            mode = "read-only" if storage is None else f"read-write, in {storage}"
            say(f"serving on http://{server.address}, {mode}; stop it with Ctrl-C")
            signals.wait()
        except (KeyboardInterrupt, signals.Terminated):
            say("the server has stopped")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "serve",
        cls=Command,
        epilog="""\
Examples:
  docker-charon serve payload.zip update.zip
  docker-charon serve --storage ./registry""",
    )(serve_command)
