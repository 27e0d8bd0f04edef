"""The options about where images arrive: their names in the registry, and how nodes find them.

They are declared as those in `options`.
"""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from docker_charon.cli.arguments import not_empty
from docker_charon.cli.help import REGISTRY, RUN

RepositoryPrefix = Annotated[
    str,
    typer.Option(
        "--repository-prefix",
        metavar="PREFIX",
        help="Push each image into a repository below this prefix: my-image:1 becomes "
        "PREFIX/my-image:1.",
        rich_help_panel=REGISTRY,
    ),
]
Maps = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="FROM=TO",
        help="Replace the beginning of names: with quay.io=mirror/quay, quay.io/team/app:1 becomes "
        "mirror/quay/team/app:1. FROM is a registry, a namespace or a repository, and docker.io "
        "for names without a registry; the longest that fits counts. Without TO, FROM is left out. "
        "Can be repeated, or be a list separated by commas.  [default: the registry is left out]",
        rich_help_panel=REGISTRY,
    ),
]
MapFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--map-file",
        metavar="FILE",
        callback=not_empty,
        help="Read FROM=TO from this file, one per line; # starts a comment. Can be repeated.",
        rich_help_panel=REGISTRY,
    ),
]
Mirrors = Annotated[
    list[str] | None,
    typer.Option(
        "--mirrors",
        metavar="KIND",
        help="After the push, write the configuration with which nodes find the images under "
        "their old names: containerd (HOST/hosts.toml), registries.conf (for Podman and CRI-O) or "
        "k3s (registries.yaml). Can be repeated, or be a list separated by commas.",
        rich_help_panel=REGISTRY,
    ),
]
MirrorsDir = Annotated[
    str,
    typer.Option(
        "--mirrors-dir",
        metavar="DIR",
        callback=not_empty,
        help="The directory for the files of --mirrors.",
        rich_help_panel=REGISTRY,
    ),
]


class Names(str, enum.Enum):
    """Which names of the images are printed."""

    DESTINATION = "destination"
    SOURCE = "source"


PrintedNames = Annotated[
    Names,
    typer.Option(
        "--names",
        help="If names change on arrival: print those that the images have in this registry, or "
        "those in the payload.",
        rich_help_panel=RUN,
    ),
]
