"""The command line: options in, one line out."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import IO, Annotated, NoReturn, cast

import typer

from docker_charon.errors import DockerCharonError
from docker_charon.inspection import PayloadSummary, inspect_payload
from docker_charon.make import make_payload
from docker_charon.push import push_payload_to_registry
from docker_charon.registry import DOCKER_HUB
from docker_charon.server import serve
from docker_charon.verification import verify_payload

# The parents of what typer raises for wrong usage; it does not export them.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)
_UserError = cast(type[Exception], _UsageError.__base__)

_INTERRUPTED = 130
_STDOUT = ("-", "/dev/stdout", "/dev/fd/1")  # by whatever name: it may be open for appending

app = typer.Typer(
    name="docker-charon",
    help="Transfer Docker images to an air-gapped system efficiently.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables can hold a password
    rich_markup_mode=None,
)

Registry = Annotated[
    str, typer.Option("--registry", "-r", metavar="HOST", help="The registry: host or host:port.")
]
Insecure = Annotated[
    bool, typer.Option("--insecure", "-i", help="Speak plain HTTP with the registry.")
]
Username = Annotated[
    str | None,
    typer.Option(
        "--username",
        "-u",
        metavar="USER",
        envvar="DOCKER_CHARON_USERNAME",
        help="The user to log in as.",
    ),
]
Password = Annotated[
    str | None,
    typer.Option(
        "--password",
        "-p",
        metavar="PASSWORD",
        envvar="DOCKER_CHARON_PASSWORD",
        help="The user's password. Other users of this machine can see the options of a command: "
        "prefer the variable, or --password-stdin.",
    ),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
CACert = Annotated[
    str | None,
    typer.Option(
        "--cacert",
        metavar="FILE",
        help="Certificates (PEM) to trust besides the usual ones, as of a private authority.",
    ),
]
PayloadFile = Annotated[
    str, typer.Option("--file", "-f", metavar="PATH", help="The payload; - is standard input.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Transfers side by side.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say what would travel, and how many bytes."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


@app.command("make-payload")
def make_payload_command(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES",
            help="The images to transfer, without the registry's name; also as comma lists.",
        ),
    ],
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
            "left out. Repeatable; also a comma list.",
        ),
    ] = None,
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
    target: str | IO[bytes] = file
    if file in _STDOUT:
        if sys.stdout is None:
            raise typer.BadParameter("there is no standard output: use -f PATH")
        if sys.stdout.isatty() and not dry_run:
            raise typer.BadParameter(
                "a payload is not written to a terminal: use -f PATH, or a pipe"
            )
        target = sys.stdout.buffer
    with _one_line():
        make_payload(
            registry,
            target,
            _names(images),
            _names(already_transferred or ()),
            secure=not insecure,
            username=username,
            password=_password(password, password_stdin),
            cacert=cacert,
            dry_run=_told(dry_run),
            jobs=jobs,
            progress=False if quiet else None,
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
    if file == "-" and password_stdin:
        raise typer.BadParameter("standard input cannot be payload and password: use -f PATH")
    source = _source(file)
    with _one_line():
        pushed = push_payload_to_registry(
            registry,
            source,
            strict,
            secure=not insecure,
            username=username,
            password=_password(password, password_stdin),
            cacert=cacert,
            dry_run=_told(dry_run),
            jobs=jobs,
            progress=False if quiet else None,
        )
    _print("\n".join(pushed))


@app.command("verify-payload")
def verify_payload_command(file: PayloadFile = "-", jobs: Jobs = 4, quiet: Quiet = False) -> None:
    """Check a payload from its first byte to its last, without a network.

    Says all that is wrong, one line each; the exit status is 1 if there is anything.

    For example: docker-charon verify-payload -f payload.zip
    """
    source = _source(file)
    with _one_line():
        findings = verify_payload(source, jobs=jobs, progress=False if quiet else None)
    for finding in findings:
        _say(finding)
    if findings:
        sys.exit(1)
    if not quiet:
        _say("the payload is whole")


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
    source = _source(file)
    with _one_line():
        summary = inspect_payload(source)
    _print(summary.as_json() if as_json else _table(summary))


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
    with _one_line(), serve(payloads or (), storage=storage, host=host, port=port) as server:
        try:
            _print(server.address)
            what = "read-only" if storage is None else f"read-write, in {storage}"
            _say(f"serving on http://{server.address}, {what}; Ctrl-C ends it")
            while True:
                time.sleep(3600)
        except (KeyboardInterrupt, _Terminated):
            _say("the server has ended")


def main() -> None:
    """Run the command line; wrong usage is one line on standard error, as every failure is."""
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _terminate)
    logger = logging.getLogger("docker_charon")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("docker-charon: %(message)s"))
        logger.addHandler(handler)
    try:
        arguments = sys.argv[1:] or ["--help"]
        status = app(arguments, standalone_mode=False, prog_name="docker-charon")
        if status == _INTERRUPTED:
            _fail("interrupted", _INTERRUPTED)  # typer had it
        sys.exit(status)
    except KeyboardInterrupt:
        _fail("interrupted", _INTERRUPTED)
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "docker-charon")
        _fail(f"{_message(error).rstrip('.')}; see {command} --help", 2)
    except _UserError as error:
        _fail(_message(error), 1)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Make of every failure one line on standard error, and an exit status."""
    try:
        yield
    except (DockerCharonError, KeyboardInterrupt) as error:
        message = str(error) or "interrupted"
        if partial := getattr(error, "partial", None):
            message += f"; the same command goes on from {partial}"
        _fail(message, _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


def _source(file: str) -> str | IO[bytes]:
    """Return where to read a payload from."""
    if file != "-":
        return file
    if sys.stdin is None or sys.stdin.isatty():
        raise typer.BadParameter("a payload is not read from a terminal: use -f PATH, or a pipe")
    return sys.stdin.buffer


def _told(dry_run: bool) -> bool:
    """Have what a dry run finds out shown."""
    if dry_run:
        logging.getLogger("docker_charon").setLevel(logging.INFO)
    return dry_run


def _table(summary: PayloadSummary) -> str:
    """Lay a payload's images out in columns, and add them up."""
    rows = [("IMAGE", "PLATFORMS", "SIZE", "CARRIED", "EXPECTED THERE")]
    for image in summary.images:
        expected = ", ".join(image.expected)
        if image.skipped:
            expected = "the image itself"
        elif image.lacking:
            expected = f"{image.lacking} blobs, in {expected}"
        platforms = ", ".join(image.platforms) or "-"
        sizes = _size(image.size) if image.digest else "-", _size(image.carried)
        rows.append((image.name, platforms, *sizes, expected or "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    total = f"{len(summary.images)} images of {_size(summary.size)}"
    lines.append(f"{total}: {_size(summary.carried)} carried, {_size(summary.saved)} saved")
    return "\n".join(lines)


def _size(number: float) -> str:
    """Return a number of bytes as people read it, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _names(words: Iterable[str]) -> list[str]:
    """Split comma lists into names."""
    return [name for word in words for name in map(str.strip, word.split(",")) if name]


def _password(password: str | None, password_stdin: bool) -> str | None:
    if not password_stdin:
        return password
    if sys.stdin is None or not (read := sys.stdin.readline().rstrip("\r\n")):
        raise typer.BadParameter("there is no password on standard input")
    return read


def _message(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)()
    return " ".join(str(message).split())


def _print(text: str) -> None:
    """Write to standard output, where there is one."""
    if sys.stdout is None or not text:
        return
    try:
        print(text)
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        _fail(f"cannot write to standard output: {error.strerror}", 1)


def _say(message: str) -> None:
    """Write a line to standard error, where there is one."""
    if sys.stderr is not None:
        print(f"docker-charon: {message}", file=sys.stderr)


def _fail(message: str, status: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending already
    _say(message)
    sys.exit(status)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say(f"warning: {message}")


def _terminate(*_: object) -> NoReturn:
    raise _Terminated(128 + signal.SIGTERM)


class _Terminated(SystemExit):
    """The end that SIGTERM asks for."""
