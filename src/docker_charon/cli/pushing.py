"""The command that pushes a payload: push-payload."""

import sys

import typer

from docker_charon.cli import (
    arguments,
    repository_maps,
    result,
    terminal,
)
from docker_charon.cli.delivery_options import ReceiptFile, Report, SignReceipt
from docker_charon.cli.destination_options import (
    MapFiles,
    Maps,
    Mirrors,
    MirrorsDir,
    Names,
    PrintedNames,
    RepositoryPrefix,
)
from docker_charon.cli.help import Command
from docker_charon.cli.options import (
    AllowedSigners,
    Anonymous,
    CACert,
    Cert,
    DryRun,
    Insecure,
    Jobs,
    Key,
    Password,
    PasswordStdin,
    PayloadArgument,
    PayloadFile,
    Quiet,
    Registry,
    RetryFor,
    SkipReferrers,
    Strict,
    Username,
    VolumeDirs,
)
from docker_charon.oci.host import DOCKER_HUB

_IF_INTERRUPTED = "run the same command again: it uploads only what is missing"


def push_payload_command(
    context: typer.Context,
    payload: PayloadArgument = None,
    registry: Registry = DOCKER_HUB,
    file: PayloadFile = None,
    strict: Strict = False,
    repository_prefix: RepositoryPrefix = "",
    repository_map: Maps = None,
    map_file: MapFiles = None,
    mirrors: Mirrors = None,
    mirrors_dir: MirrorsDir = ".",
    skip_referrers: SkipReferrers = False,
    names: PrintedNames = Names.DESTINATION,
    allowed_signers: AllowedSigners = None,
    volume_dir: VolumeDirs = None,
    insecure: Insecure = False,
    username: Username = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    anonymous: Anonymous = False,
    cacert: CACert = None,
    cert: Cert = None,
    key: Key = None,
    retry_for: RetryFor = 300,
    receipt: ReceiptFile = None,
    sign: SignReceipt = None,
    report: Report = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Push the images of a payload to a registry and print their names.

    Everything is checked before the first upload, and tags are set last. If the command is
    interrupted, run it again: it uploads only what is missing.

    If the registry refuses an image, the others are pushed, and the exit status is 1. If it lacks
    what an image needs beside the payload, that image is left out, and the exit status is 3.
    """
    path = arguments.file_of(payload, file)
    arguments.only_one_stdin(
        {
            "the payload": path == "-",
            "the password": password_stdin,
            "the repository map": "-" in (map_file or ()),
        },
        "use -f PATH",
    )
    mirror_kinds = arguments.mirror_kinds_of(mirrors or ())
    if receipt and dry_run:
        raise typer.BadParameter("--dry-run writes no receipt: use --receipt without it")
    if sign and not receipt:
        raise typer.BadParameter("--sign signs the receipt: name its file with --receipt")
    written = {"report": report, "receipt": receipt}
    arguments.not_replaced(map_file or (), "the repository map", written)
    ask = terminal.ask_for_medium if terminal.can_ask() else None
    source = arguments.source_of(path, volume_dir, ask)
    from docker_charon.registry.access import Access, waiting_for  # wrong usage does not need it
    from docker_charon.transfer.push import push_payload

    with terminal.exit_on_error("" if dry_run else _IF_INTERRUPTED):
        if dry_run or not quiet:
            terminal.show_info_messages()
        pushed = push_payload(
            registry,
            source,
            Access(**arguments.access_of(context), retry=waiting_for(retry_for)),
            strict=strict,
            repository_prefix=repository_prefix,
            repository_map=repository_maps.repository_map_of(repository_map or (), map_file or ()),
            mirrors=mirror_kinds,
            mirrors_dir=mirrors_dir,
            skip_referrers=skip_referrers,
            allowed_signers=allowed_signers,
            receipt=receipt,
            sign=sign,
            report=report,
            dry_run=dry_run,
            jobs=jobs,
            progress=not quiet,
        )
    sys.exit(result.report_push(pushed, with_new_names=names is Names.DESTINATION))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "push-payload",
        cls=Command,
        epilog="""\
Examples:
  docker-charon push-payload -r localhost:5000 --insecure payload.zip
  docker-charon push-payload -r registry.lan -f update.zip --strict --dry-run
  docker-charon push-payload -r registry.lan -f week-7.zip --receipt receipt-7.zip
  docker-charon push-payload -r harbor.lan -f payload.zip --repository-prefix mirror
  docker-charon push-payload -r harbor.lan -f payload.zip \\
      --map quay.io=mirror/quay --map docker.io=mirror/hub --mirrors containerd""",
    )(push_payload_command)
