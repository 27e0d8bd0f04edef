"""The options and arguments of the commands: their names, their help texts and their groups.

The modules of the commands do without ``from __future__ import annotations``: it makes strings of
the annotations, and typer would compile each of them when the program starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docker_charon.cli.arguments import not_empty, path_only
from docker_charon.cli.help import ALREADY_THERE, FILE, IMAGES, REGISTRY, RUN
from docker_charon.workers import MOST_JOBS

Registry = Annotated[
    str,
    typer.Option(
        "--registry",
        "-r",
        metavar="HOST",
        help="The registry: host or host:port.  [default: Docker Hub]",
        show_default=False,
        rich_help_panel=REGISTRY,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", "-i", help="Use plain HTTP instead of HTTPS.", rich_help_panel=REGISTRY
    ),
]
Username = Annotated[
    str | None,
    typer.Option(
        "--username",
        "-u",
        metavar="USER",
        envvar="DOCKER_CHARON_USERNAME",
        help="The user name to log in with.",
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
        help="The password. Other users of this machine can see the options of a command, so "
        "prefer the environment variable or --password-stdin.",
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
        callback=path_only,
        help="A file with certificates to trust (PEM, or one in DER), for example of a private "
        "authority, in addition to the usual ones.",
        rich_help_panel=REGISTRY,
    ),
]
Cert = Annotated[
    str | None,
    typer.Option(
        "--cert",
        metavar="FILE",
        callback=path_only,
        help="A client certificate (PEM), for a registry that wants one.  [default: the one in "
        "certs.d of Docker or Podman]",
        rich_help_panel=REGISTRY,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE",
        callback=path_only,
        help="The key (PEM) of the client certificate, if --cert does not hold it.",
        rich_help_panel=REGISTRY,
    ),
]
Anonymous = Annotated[
    bool,
    typer.Option(
        "--anonymous",
        help="Do not log in, even if there is a stored login.",
        rich_help_panel=REGISTRY,
    ),
]
PayloadArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[PATH]",
        callback=not_empty,
        help="The payload to read: a file, or the directory that it was unzipped to. - is "
        "standard input, which is the default.",
        rich_help_panel=FILE,
    ),
]
PayloadFile = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        callback=not_empty,
        help="Another way to name PATH.",
        rich_help_panel=FILE,
    ),
]
RetryFor = Annotated[
    float,
    typer.Option(
        "--retry-for",
        metavar="SECONDS",
        min=0,
        help="How long to wait for a registry that stops answering or asks for a wait; 0 does not "
        "wait.",
        rich_help_panel=REGISTRY,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        max=MOST_JOBS,
        help="How many blobs to process at once.",
        rich_help_panel=RUN,
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going",
        help="Leave out images that cannot be read, each with a warning, and make the payload of "
        "the others. The exit status is then 3.",
        rich_help_panel=IMAGES,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be transferred and how many bytes, but write nothing.",
        rich_help_panel=RUN,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Show only errors and warnings.", rich_help_panel=RUN),
]


Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[IMAGES]...",
        rich_help_panel=IMAGES,
        help="The images to transfer, as separate words or separated by commas: relative to "
        "--registry, or each with its registry in front. The tag may be a choice of tags, in "
        "quotes: 'my-image:1.8.*', or a range of versions: 'my-image:>=1.8,<2'.",
    ),
]
ImagesFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--images-from",
        metavar="FILE",
        callback=not_empty,
        help="Also transfer the images that this file names: a list with one name a line, a "
        "Compose file, manifests for Kubernetes, or the output of docker, kubectl or helm. "
        "- is standard input. Can be repeated.",
        rich_help_panel=IMAGES,
    ),
]
TargetFile = Annotated[
    str,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        callback=not_empty,
        help="The payload to write; - is standard output.",
        rich_help_panel=FILE,
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        help="Transfer only this platform of each image, for example linux/amd64. Can be "
        "repeated, or be a list separated by commas.  [default: all platforms]",
        rich_help_panel=IMAGES,
    ),
]
Newest = Annotated[
    int | None,
    typer.Option(
        "--newest",
        metavar="N",
        min=1,
        help="Of each choice of tags, transfer only the N highest versions. Pre-releases and "
        "variants such as -alpine count only if the choice spells them out.",
        rich_help_panel=IMAGES,
    ),
]
IncludeReferrers = Annotated[
    bool,
    typer.Option(
        "--include-referrers",
        help="Also transfer the signatures, SBOMs and attestations of the images.",
        rich_help_panel=IMAGES,
    ),
]
VolumeSize = Annotated[
    str | None,
    typer.Option(
        "--volume-size",
        metavar="SIZE",
        help="Write the payload in volumes of this size, for example 4G, 4.7GB or 700MiB: "
        "PATH.001, PATH.002 and so on, and their list PATH.volumes.json.",
        rich_help_panel=FILE,
    ),
]
Sign = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        callback=path_only,
        help="Sign the payload with this SSH key: the file of a private key, or of a public key "
        "that an agent has.",
        rich_help_panel=FILE,
    ),
]
AllowedSigners = Annotated[
    str | None,
    typer.Option(
        "--allowed-signers",
        metavar="FILE",
        callback=path_only,
        help="Accept only payloads that are signed by a person in this file, as described in "
        "ssh-keygen(1).",
        rich_help_panel=FILE,
    ),
]
VolumeDirs = Annotated[
    list[Path] | None,
    typer.Option(
        "--volume-dir",
        metavar="DIR",
        help="Another directory with volumes of the payload. Can be repeated.",
        rich_help_panel=FILE,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        "-s",
        help="Push nothing if the registry lacks anything that the payload expects there. "
        "Without this option, incomplete images are left out with a warning.",
        rich_help_panel=ALREADY_THERE,
    ),
]
SkipReferrers = Annotated[
    bool,
    typer.Option(
        "--skip-referrers",
        help="Leave out the signatures, SBOMs and attestations in the payload.",
        rich_help_panel=IMAGES,
    ),
]
EarlierPayloads = Annotated[
    list[str] | None,
    typer.Option(
        "--already-transferred-payload",
        metavar="FILE",
        callback=not_empty,
        help="An earlier payload, to also rebuild the layers that are carried as their difference "
        "to older ones. Can be repeated.",
        rich_help_panel=FILE,
    ),
]
AsJSON = Annotated[
    bool,
    typer.Option("--json", help="Print a JSON object instead of a table.", rich_help_panel=RUN),
]
InventoryImages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[IMAGES]...",
        rich_help_panel=IMAGES,
        help="The images to list, as separate words or separated by commas; with several "
        "registries, each with its registry in front. The tag may be a choice of tags.  [default: "
        "every tag of every repository]",
    ),
]
InventoryFile = Annotated[
    str,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        callback=not_empty,
        help="The inventory to write; - is standard output.",
        rich_help_panel=FILE,
    ),
]
Payloads = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PAYLOADS]...",
        callback=not_empty,
        rich_help_panel=FILE,
        help="The payloads to serve, read-only. A full payload and its deltas together give "
        "complete images. If two payloads have the same tag, the later one wins.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        callback=not_empty,
        help="Serve this directory instead of payloads, and accept pushes into it. It is an "
        "OCI image layout; it is created if it does not exist.",
        rich_help_panel=REGISTRY,
    ),
]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The address to listen on. There is no authentication: anyone who can reach this "
        "address has access.",
        rich_help_panel=REGISTRY,
    ),
]
Port = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        max=65535,
        help="The port to listen on; 0 chooses a free one.",
        rich_help_panel=REGISTRY,
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Also answer requests that name this host; repeatable, or a list separated by commas. "
        "By "
        "default a server on a loopback address answers only to its address and localhost, so that "
        "no web site can reach it through a browser.",
        rich_help_panel=REGISTRY,
    ),
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="DIR",
        help="Keep the payloads and both registries in this directory.",
        rich_help_panel=RUN,
    ),
]
