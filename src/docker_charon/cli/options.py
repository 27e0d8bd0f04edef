"""The options of the commands, each under its heading, with what help says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docker_charon.cli.help import IMAGES, LEFT_OUT, REGISTRY, RUN

Registry = Annotated[
    str,
    typer.Option(
        "--registry",
        "-r",
        metavar="HOST",
        help="The registry: host or host:port.",
        rich_help_panel=REGISTRY,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", "-i", help="Speak plain HTTP with the registry.", rich_help_panel=REGISTRY
    ),
]
Username = Annotated[
    str | None,
    typer.Option(
        "--username",
        "-u",
        metavar="USER",
        envvar="DOCKER_CHARON_USERNAME",
        help="The user to log in as.",
        rich_help_panel=REGISTRY,
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
        rich_help_panel=REGISTRY,
    ),
]
PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read the password from standard input.",
        rich_help_panel=REGISTRY,
    ),
]
CACert = Annotated[
    str | None,
    typer.Option(
        "--cacert",
        metavar="FILE",
        help="Certificates (PEM) to trust besides the usual ones, as of a private authority.",
        rich_help_panel=REGISTRY,
    ),
]
PayloadFile = Annotated[
    str,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="The payload; - is standard input.",
        rich_help_panel=RUN,
    ),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", "-j", metavar="N", help="Transfers side by side.", rich_help_panel=RUN),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only say what would travel, and how many bytes: nothing is written.",
        rich_help_panel=RUN,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing but errors and warnings.", rich_help_panel=RUN),
]


Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        rich_help_panel=IMAGES,
        help="The images to transfer, without the registry's name; also as comma lists.",
    ),
]
ImagesFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--images-from",
        metavar="FILE",
        help="Read more images from a file, one a line; # begins a comment, - is standard "
        "input. Repeatable.",
        rich_help_panel=IMAGES,
    ),
]
TargetFile = Annotated[
    str,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="The payload; - is standard output.",
        rich_help_panel=RUN,
    ),
]
AlreadyTransferred = Annotated[
    list[str] | None,
    typer.Option(
        "--already-transferred",
        "-a",
        metavar="IMAGE",
        help="An image that the air-gapped registry has: what it shares with the others is "
        "left out. It is taken for what its tag means now. Repeatable; also a comma list.",
        rich_help_panel=LEFT_OUT,
    ),
]
AlreadyTransferredPayload = Annotated[
    list[str] | None,
    typer.Option(
        "--already-transferred-payload",
        metavar="FILE",
        help="A payload that was pushed there, or an inventory of that registry: what it says "
        "that is there is left out, wherever tags have moved since. Repeatable.",
        rich_help_panel=LEFT_OUT,
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        help="Carry this platform only, as linux/amd64, of images that are for several. "
        "Repeatable. [default: all of them]",
        rich_help_panel=IMAGES,
    ),
]
IncludeReferrers = Annotated[
    bool,
    typer.Option(
        "--include-referrers",
        help="Carry the signatures, SBOMs and attestations of the images as well.",
        rich_help_panel=IMAGES,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        "-s",
        help="Push nothing if something is missing that was given as already transferred. "
        "Without it, such images are left out with a warning.",
        rich_help_panel=LEFT_OUT,
    ),
]
RepositoryPrefix = Annotated[
    str,
    typer.Option(
        "--repository-prefix",
        metavar="PREFIX",
        help="Where the images go: my-image:1 arrives as PREFIX/my-image:1.",
        rich_help_panel=REGISTRY,
    ),
]
AsJSON = Annotated[
    bool,
    typer.Option("--json", help="Print a JSON object, for programs.", rich_help_panel=RUN),
]
InventoryImages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        rich_help_panel=IMAGES,
        help="The images, without the registry's name; also as comma lists. None: every tag "
        "of every repository.",
    ),
]
InventoryFile = Annotated[
    str,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="The inventory; - is standard output.",
        rich_help_panel=RUN,
    ),
]
Payloads = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PAYLOADS",
        rich_help_panel=REGISTRY,
        help="Payloads to serve, read-only: a full one and its deltas make the whole, and of "
        "two with the same tag the later one's is served.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        help="In place of payloads, serve this directory and take pushes into it. It is an OCI "
        "image layout, and made if it is not there.",
        rich_help_panel=REGISTRY,
    ),
]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The address to listen on. There is no login: mind who is near.",
        rich_help_panel=REGISTRY,
    ),
]
Port = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, max=65535, help="The port; 0 is any free one.", rich_help_panel=REGISTRY
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Also answer requests that name this host; repeatable. By default a server on a "
        "loopback address answers only to its address and localhost, so that no web site can "
        "reach it through a browser.",
        rich_help_panel=REGISTRY,
    ),
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="DIR",
        help="Leave the payloads and both registries in this directory, to look at and serve.",
        rich_help_panel=RUN,
    ),
]
