"""The command line: options in, one line out.

What a command calls is imported when it runs: help and completion need none of it.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn, cast

import typer

from docker_charon import options, terminal
from docker_charon.credentials import DOCKER_HUB
from docker_charon.options import (
    CACert,
    DryRun,
    Insecure,
    Jobs,
    Password,
    PasswordStdin,
    PayloadFile,
    Quiet,
    Registry,
    Username,
)
from docker_charon.size import counted

# The parents of what typer raises for wrong usage; it does not export them.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)
_UserError = cast(type[Exception], _UsageError.__base__)

app = typer.Typer(
    name="docker-charon",
    help="Transfer Docker images to an air-gapped system efficiently.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables can hold a password
    rich_markup_mode=None,
)


@app.command("make-payload")
def make_payload_command(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="The images to transfer, without the registry's name; also as comma lists.",
        ),
    ] = None,
    images_from: Annotated[
        list[str] | None,
        typer.Option(
            "--images-from",
            metavar="FILE",
            help="Read more images from a file, one a line; # begins a comment, - is standard "
            "input. Repeatable.",
        ),
    ] = None,
    registry: Registry = DOCKER_HUB,
    file: Annotated[
        str,
        typer.Option("--file", "-f", metavar="PATH", help="The payload; - is standard output."),
    ] = "-",
    already_transferred: Annotated[
        list[str] | None,
        typer.Option(
            "--already-transferred",
            "-a",
            metavar="IMAGE",
            help="An image that the air-gapped registry has: what it shares with the others is "
            "left out. It is taken for what its tag means now. Repeatable; also a comma list.",
        ),
    ] = None,
    already_transferred_payload: Annotated[
        list[str] | None,
        typer.Option(
            "--already-transferred-payload",
            metavar="FILE",
            help="A payload that was pushed there, or an inventory of that registry: what it says "
            "that is there is left out, wherever tags have moved since. Repeatable.",
        ),
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            "--platform",
            metavar="OS/ARCH[/VARIANT]",
            help="Carry this platform only, as linux/amd64, of images that are for several. "
            "Repeatable. [default: all of them]",
        ),
    ] = None,
    include_referrers: Annotated[
        bool,
        typer.Option(
            "--include-referrers",
            help="Carry the signatures, SBOMs and attestations of the images as well.",
        ),
    ] = False,
    insecure: Insecure = False,
    username: Username = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    cacert: CACert = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Read images from a registry and write a payload, one zip file to carry across.

    Until it is whole, PATH grows as PATH.partial beside it. After an interruption the same command
    checks what is there and fetches the rest; delete PATH.partial to start from nothing.

    For example: docker-charon make-payload -r registry.example.com -f payload.zip
    -a my-image:1.4 my-image:1.8
    """
    from docker_charon.make import make_payload

    lists = images_from or []
    options.only_one_stdin(
        {"the list of images": "-" in lists, "the password": password_stdin},
        "use --images-from FILE",
    )
    if not images and not lists:
        raise typer.BadParameter("there are no IMAGES to transfer: name them, or --images-from")
    target = options.target_of(file, dry_run=dry_run)
    with terminal.one_line_of_failure():
        if dry_run or not quiet:
            terminal.tell_all()
        make_payload(
            registry,
            target,
            [*options.names_of(images or ()), *options.names_in(lists)],
            options.names_of(already_transferred or ()),
            secure=not insecure,
            username=username,
            password=options.password_of(password, password_stdin),
            payloads_already_transferred=already_transferred_payload or (),
            platforms=platform,
            include_referrers=include_referrers,
            cacert=cacert,
            dry_run=dry_run,
            jobs=jobs,
            progress=not quiet,
        )


@app.command("push-payload")
def push_payload_command(
    registry: Registry = DOCKER_HUB,
    file: PayloadFile = "-",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            "-s",
            help="Push nothing if something is missing that was given as already transferred. "
            "Without it, such images are left out with a warning.",
        ),
    ] = False,
    repository_prefix: Annotated[
        str,
        typer.Option(
            "--repository-prefix",
            metavar="PREFIX",
            help="Where the images go: my-image:1 arrives as PREFIX/my-image:1.",
        ),
    ] = "",
    insecure: Insecure = False,
    username: Username = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    cacert: CACert = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Push a payload to a registry; the names of the images go to standard output.

    For example: docker-charon push-payload -r localhost:5000 --insecure -f payload.zip
    """
    from docker_charon.push import push_payload_to_registry

    options.only_one_stdin(
        {"the payload": file == "-", "the password": password_stdin}, "use -f PATH"
    )
    source = options.source_of(file)
    with terminal.one_line_of_failure():
        if dry_run or not quiet:
            terminal.tell_all()
        pushed = push_payload_to_registry(
            registry,
            source,
            strict,
            secure=not insecure,
            username=username,
            password=options.password_of(password, password_stdin),
            repository_prefix=repository_prefix,
            cacert=cacert,
            dry_run=dry_run,
            jobs=jobs,
            progress=not quiet,
        )
    if pushed:
        terminal.print_data("\n".join(pushed))


@app.command("verify-payload")
def verify_payload_command(file: PayloadFile = "-", jobs: Jobs = 4, quiet: Quiet = False) -> None:
    """Check a payload from its first byte to its last, without a network.

    Says all that is wrong, one line each; the exit status is 1 if there is anything.

    For example: docker-charon verify-payload -f payload.zip
    """
    from docker_charon.verification import verify_payload

    source = options.source_of(file)
    with terminal.one_line_of_failure():
        findings = verify_payload(source, jobs=jobs, progress=not quiet)
    for finding in findings:
        terminal.say(finding)
    if findings:
        sys.exit(1)
    if not quiet:
        terminal.say("the payload is whole")


@app.command("inspect-payload")
def inspect_payload_command(
    file: PayloadFile = "-",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object, for programs.")
    ] = False,
) -> None:
    """Tell what a payload brings, and what it expects at the destination.

    For example: docker-charon inspect-payload -f payload.zip
    """
    from docker_charon.inspection import inspect_payload

    source = options.source_of(file)
    with terminal.one_line_of_failure():
        summary = inspect_payload(source)
    terminal.print_data(summary.as_json() if as_json else summary.as_table())


@app.command("make-inventory")
def make_inventory_command(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGES]",
            help="The images, without the registry's name; also as comma lists. None: every tag "
            "of every repository.",
        ),
    ] = None,
    registry: Registry = DOCKER_HUB,
    file: Annotated[
        str,
        typer.Option("--file", "-f", metavar="PATH", help="The inventory; - is standard output."),
    ] = "-",
    insecure: Insecure = False,
    username: Username = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    cacert: CACert = None,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Write down what the air-gapped registry has, to be brought to the connected side.

    An inventory is a payload without layers, of a few kilobytes an image. With it, make-payload
    --already-transferred-payload leaves out what is really there.

    For example: docker-charon make-inventory -r localhost:5000 --insecure -f inventory.zip
    """
    from docker_charon.inventory import make_inventory

    target = options.target_of(file)
    with terminal.one_line_of_failure():
        found = make_inventory(
            registry,
            target,
            options.names_of(images or ()),
            secure=not insecure,
            username=username,
            password=options.password_of(password, password_stdin),
            cacert=cacert,
            jobs=jobs,
            progress=not quiet,
        )
    if not quiet:
        terminal.say(f"{counted(len(found), 'image')} in the inventory")


@app.command("serve")
def serve_command(
    payloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PAYLOADS]...",
            help="Payloads to serve, read-only: a full one and its deltas make the whole, and of "
            "two with the same tag the later one's is served.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="DIR",
            help="In place of payloads, serve this directory and take pushes into it. It is an OCI "
            "image layout, and made if it is not there.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="The address to listen on. There is no login: mind who is near."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 is any free one.")
    ] = 5000,
) -> None:
    """Run a small registry: out of payloads, or read-write out of a directory.

    Its address goes to standard output once it is ready. Ctrl-C and SIGTERM are its normal end,
    with exit status 0.

    For example: docker-charon serve full.zip delta.zip
    """
    from docker_charon.server import serve

    with (
        terminal.one_line_of_failure(),
        serve(payloads or (), storage=storage, host=host, port=port) as server,
    ):
        try:
            terminal.print_data(server.address)
            what = "read-only" if storage is None else f"read-write, in {storage}"
            terminal.say(f"serving on http://{server.address}, {what}; Ctrl-C ends it")
            while True:
                time.sleep(3600)
        except (KeyboardInterrupt, _Terminated):
            terminal.say("the server has ended")


@app.command("demo")
def demo_command(
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            metavar="DIR",
            help="Leave the payloads and both registries in this directory, to look at and serve.",
        ),
    ] = None,
) -> None:
    """Show a first delivery and an update, between two registries of its own, with no network.

    For example: docker-charon demo
    """
    from docker_charon.demo import run_demo

    with terminal.one_line_of_failure():
        run_demo(terminal.print_data, keep)


def main() -> None:
    """Run the command line; wrong usage is one line on standard error, as every failure is."""
    terminal.prepare()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        arguments = sys.argv[1:] or ["--help"]
        status = app(arguments, standalone_mode=False, prog_name="docker-charon")
        if status == terminal.INTERRUPTED:
            terminal.fail("interrupted", terminal.INTERRUPTED)  # typer had it
        sys.exit(status)
    except KeyboardInterrupt:
        terminal.fail("interrupted", terminal.INTERRUPTED)
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "docker-charon")
        terminal.fail(f"{_message(error).rstrip('.')}; see {command} --help", 2)
    except _UserError as error:
        terminal.fail(_message(error), 1)


def _message(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)()
    return " ".join(str(message).split())


def _terminate(*_: object) -> NoReturn:
    raise _Terminated(128 + signal.SIGTERM)


class _Terminated(SystemExit):
    """The end that SIGTERM asks for."""
