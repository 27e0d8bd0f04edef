"""The commands that look into a payload, without a network: verify-payload and inspect-payload."""

import sys

import typer

from docker_charon.cli import arguments, terminal
from docker_charon.cli.help import Command
from docker_charon.cli.options import (
    AllowedSigners,
    AsJSON,
    EarlierPayloads,
    Jobs,
    PayloadArgument,
    PayloadFile,
    Quiet,
    VolumeDirs,
)
from docker_charon.messages import say


def verify_payload_command(
    payload: PayloadArgument = None,
    file: PayloadFile = None,
    already_transferred_payload: EarlierPayloads = None,
    allowed_signers: AllowedSigners = None,
    volume_dir: VolumeDirs = None,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Check every byte of a payload, without a network.

    If PATH is one volume, for example payload.zip.003, only this volume is checked. Each problem is
    one line on standard error, and the exit status is 1 if there are any.
    """
    from docker_charon.payload.verify import verify_payload
    from docker_charon.payload.volumes.joined_volumes import VolumePath

    path = arguments.file_of(payload, file)
    arguments.only_one_stdin(
        {
            "the payload": path == "-",
            "an earlier payload": "-" in (already_transferred_payload or ()),
        },
        "name a file",
    )
    source = arguments.source_of(path, volume_dir)
    with terminal.exit_on_error():
        if not quiet:
            terminal.show_info_messages()
        findings = verify_payload(
            source,
            payloads_already_transferred=arguments.sources_of(already_transferred_payload),
            allowed_signers=allowed_signers,
            jobs=jobs,
            progress=not quiet,
        )
    for finding in findings:
        say(finding)
    if findings:
        sys.exit(terminal.FAILED)
    if not quiet and isinstance(source, VolumePath) and (listed := source.listed_alone()):
        say(f"{path} is complete and undamaged; to check all volumes, verify {listed}")
    elif not quiet:
        say("the payload is complete and undamaged")


def inspect_payload_command(
    payload: PayloadArgument = None,
    file: PayloadFile = None,
    as_json: AsJSON = False,
    allowed_signers: AllowedSigners = None,
    volume_dir: VolumeDirs = None,
) -> None:
    """Show which images a payload contains and what it expects the destination to have."""
    from docker_charon.payload.inspect import inspect_payload

    path = arguments.file_of(payload, file)
    source = arguments.source_of(path, volume_dir)
    with terminal.exit_on_error():
        summary = inspect_payload(source, allowed_signers=allowed_signers)
    terminal.print_data(summary.as_json() if as_json else summary.as_table(terminal.columns()))


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        "verify-payload",
        cls=Command,
        epilog="""\
Example:
  docker-charon verify-payload payload.zip""",
    )(verify_payload_command)
    app.command(
        "inspect-payload",
        cls=Command,
        epilog="""\
Examples:
  docker-charon inspect-payload payload.zip
  docker-charon inspect-payload payload.zip --json""",
    )(inspect_payload_command)
