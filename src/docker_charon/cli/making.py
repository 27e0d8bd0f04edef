"""The command that makes a payload: make-payload."""

import sys

import typer

from docker_charon.cli import arguments, image_lists, terminal
from docker_charon.cli.delivery_options import (
    AllowedInputs,
    AlreadyTransferred,
    AlreadyTransferredPayload,
    LayerDeltas,
    Ledger,
    LockFile,
    Receipts,
    Report,
)
from docker_charon.cli.help import Command
from docker_charon.cli.options import (
    Anonymous,
    CACert,
    Cert,
    DryRun,
    Images,
    ImagesFrom,
    IncludeReferrers,
    Insecure,
    Jobs,
    KeepGoing,
    Key,
    Newest,
    Password,
    PasswordStdin,
    Platforms,
    Quiet,
    RetryFor,
    Sign,
    TargetFile,
    Username,
    VolumeSize,
)
from docker_charon.cli.source_options import InsecureRegistries, SourceRegistry


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
    keep_going: KeepGoing = False,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Read images from registries and write a payload: one zip file with all of them.

    The payload is written as PATH.partial and renamed to PATH when it is complete. If the command
    is interrupted, run it again: it checks PATH.partial and fetches only what is missing. To start
    again from the beginning, delete PATH.partial.
    """
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
    size = arguments.volume_size_of(volume_size)
    target = arguments.target_of(file, dry_run=dry_run, in_volumes=size is not None)
    arguments.not_replaced(lists, "the list of images", {"payload": target, "report": report})
    named = arguments.images_of(images or ())
    transferred = arguments.images_of(already_transferred or ())
    from docker_charon.transfer.make import make_payload  # wrong usage does not need it

    with terminal.exit_on_error():
        if dry_run or not quiet:
            terminal.show_info_messages()
        summary = make_payload(
            registry,
            target,
            [*named, *image_lists.names_in(lists)],
            transferred,
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
            keep_going=keep_going,
            dry_run=dry_run,
            jobs=jobs,
            progress=not quiet,
        )
    if summary.left_out:
        sys.exit(terminal.LEFT_OUT)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "make-payload",
        cls=Command,
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
    )(make_payload_command)
