"""The commands: each passes its options to the function of the library that does the work.

A command imports that function when it runs, so that help and completion start fast.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn, cast

import typer

from docker_charon.cli import (
    arguments,
    image_lists,
    inspection,
    inventory,
    repository_maps,
    result,
    serving,
    terminal,
)
from docker_charon.cli.delivery_options import (
    AllowedInputs,
    AlreadyTransferred,
    AlreadyTransferredPayload,
    LayerDeltas,
    Ledger,
    LockFile,
    ReceiptFile,
    Receipts,
    Report,
    SignReceipt,
)
from docker_charon.cli.destination_options import (
    MapFiles,
    Maps,
    Mirrors,
    MirrorsDir,
    Names,
    PrintedNames,
    RepositoryPrefix,
)
from docker_charon.cli.help import COMMON, Command, Group
from docker_charon.cli.options import (
    AllowedSigners,
    Anonymous,
    CACert,
    Cert,
    DryRun,
    Images,
    ImagesFrom,
    IncludeReferrers,
    Insecure,
    Jobs,
    Keep,
    Key,
    Newest,
    Password,
    PasswordStdin,
    PayloadArgument,
    PayloadFile,
    Platforms,
    Quiet,
    Registry,
    RetryFor,
    Sign,
    SkipReferrers,
    Strict,
    TargetFile,
    Username,
    VolumeDirs,
    VolumeSize,
)
from docker_charon.cli.source_options import InsecureRegistries, SourceRegistry
from docker_charon.oci.host import DOCKER_HUB

# The base classes of the errors that typer raises; typer does not export them.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)
_UserError = cast(type[Exception], _UsageError.__base__)

app = typer.Typer(
    name="docker-charon",
    help="Transfer Docker images to an air-gapped system efficiently.",
    cls=Group,
    epilog=COMMON,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # a traceback with local variables can hold a password
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib import metadata  # help does not need it

        terminal.print_data(f"docker-charon {metadata.version('docker-charon')}")
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


@app.command(
    "make-payload",
    cls=Command,
    short_help="Read images from registries and write them to a file.",
    epilog="""\
Examples:
  docker-charon make-payload -r registry.example.com -f payload.zip my-image:1.4
  docker-charon make-payload -r registry.example.com -f update.zip \\
      --already-transferred-payload payload.zip --platform linux/amd64 my-image:1.8
  docker-charon make-payload -f payload.zip python:3.13-slim quay.io/team/app:2
  docker-charon make-payload -r registry.example.com -f week-7.zip \\
      --ledger site-a.zip --receipt receipt-6.zip my-image:1.8
  docker-charon make-payload -r localhost:5000 -i my-image | ssh bastion \\
      docker-charon push-payload -r registry.lan""",
)
def make_payload_command(
    context: typer.Context,
    images: Images = None,
    images_from: ImagesFrom = None,
    registry: SourceRegistry = None,
    file: TargetFile = "-",
    already_transferred: AlreadyTransferred = None,
    already_transferred_payload: AlreadyTransferredPayload = None,
    ledger: Ledger = None,
    receipt: Receipts = None,
    platform: Platforms = None,
    newest: Newest = None,
    include_referrers: IncludeReferrers = False,
    layer_deltas: LayerDeltas = False,
    volume_size: VolumeSize = None,
    sign: Sign = None,
    allowed_signers: AllowedInputs = None,
    insecure: Insecure = False,
    insecure_registry: InsecureRegistries = None,
    username: Username = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    anonymous: Anonymous = False,
    cacert: CACert = None,
    cert: Cert = None,
    key: Key = None,
    retry_for: RetryFor = 300,
    report: Report = None,
    lock: LockFile = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Read images from registries and write a payload: one zip file with all of them.

    The payload is written as PATH.partial and renamed to PATH when it is complete. If the command
    is interrupted, run it again: it checks PATH.partial and fetches only what is missing. To start
    again from the beginning, delete PATH.partial.
    """
    from docker_charon.transfer.make import make_payload

    lists = images_from or []
    arguments.only_one_stdin(
        {"the list of images": "-" in lists, "the password": password_stdin},
        "use --images-from FILE",
    )
    if not images and not lists:
        raise typer.BadParameter(
            "there are no IMAGES to transfer: name them, or use --images-from FILE"
        )
    if receipt and ledger is None:
        raise typer.BadParameter("--receipt corrects a ledger: give its file with --ledger")
    access = arguments.access_of(context)
    if registry is None and access["username"] is not None:
        raise typer.BadParameter(
            "--username and the password (or DOCKER_CHARON_USERNAME and DOCKER_CHARON_PASSWORD) "
            "are those of one registry: name it with --registry, or log in with docker login"
        )
    size = arguments.volume_size_of(volume_size)
    target = arguments.target_of(file, dry_run=dry_run, in_volumes=size is not None)
    arguments.not_the_target(target, lists)
    with terminal.exit_on_error():
        if dry_run or not quiet:
            terminal.show_info_messages()
        make_payload(
            registry,
            target,
            [*arguments.names_of(images or ()), *image_lists.names_in(lists)],
            arguments.names_of(already_transferred or ()),
            **access,
            insecure_registries=arguments.names_of(insecure_registry or ()),
            payloads_already_transferred=already_transferred_payload or (),
            ledger=ledger,
            receipts=receipt or (),
            platforms=None if platform is None else arguments.names_of(platform),
            newest=newest,
            include_referrers=include_referrers,
            layer_deltas=layer_deltas,
            volume_size=size,
            sign=sign,
            allowed_signers=allowed_signers,
            retry_for=retry_for,
            report=report,
            lock=lock,
            dry_run=dry_run,
            jobs=jobs,
            progress=not quiet,
        )


@app.command(
    "push-payload",
    cls=Command,
    short_help="Push the images of a payload to a registry.",
    epilog="""\
Examples:
  docker-charon push-payload -r localhost:5000 --insecure payload.zip
  docker-charon push-payload -r registry.lan -f update.zip --strict --dry-run
  docker-charon push-payload -r registry.lan -f week-7.zip --receipt receipt-7.zip
  docker-charon push-payload -r harbor.lan -f payload.zip --repository-prefix mirror
  docker-charon push-payload -r harbor.lan -f payload.zip \\
      --map quay.io=mirror/quay --map docker.io=mirror/hub --mirrors containerd""",
)
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
    from docker_charon.registry.access import Access, waiting_for
    from docker_charon.transfer.push import push_payload

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
    ask = terminal.ask_for_medium if terminal.can_ask() else None
    source = arguments.source_of(path, volume_dir, ask)
    with terminal.exit_on_error():
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


inspection.register(app)


inventory.register(app)
serving.register(app)


@app.command(
    "demo",
    cls=Command,
    short_help="Show a complete delivery, without a network.",
    epilog="""\
Example:
  docker-charon demo --keep ./tour""",
)
def demo_command(
    keep: Keep = None,
) -> None:
    """Show a first delivery and an update between two temporary registries, without a network."""
    from docker_charon.demo.tour import run_demo

    with terminal.exit_on_error():
        run_demo(terminal.print_data, keep)


def run(arguments: Sequence[str]) -> NoReturn:
    """Run the command line. Any failure, wrong usage too, is one line on standard error."""
    try:
        status = app(arguments or ["--help"], standalone_mode=False, prog_name="docker-charon")
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "docker-charon")
        terminal.fail(f"{_message(error).rstrip('.')}; see {command} --help", terminal.WRONG_USAGE)
    except _UserError as error:
        terminal.fail(_message(error), terminal.FAILED)
    if status == terminal.INTERRUPTED:
        raise KeyboardInterrupt  # typer caught it
    sys.exit(status)


def _message(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)()
    return " ".join(str(message).split())
