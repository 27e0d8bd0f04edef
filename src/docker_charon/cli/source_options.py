"""The options about the registries that images come from; they are declared as in `options`."""

from __future__ import annotations

from typing import Annotated

import typer

from docker_charon.cli.help import REGISTRY

SourceRegistry = Annotated[
    str | None,
    typer.Option(
        "--registry",
        "-r",
        metavar="HOST",
        help="The registry that all images come from: host or host:port.  [default: the one in "
        "front of each name, else Docker Hub]",
        rich_help_panel=REGISTRY,
    ),
]
Registries = Annotated[
    list[str] | None,
    typer.Option(
        "--registry",
        "-r",
        metavar="HOST",
        help="The registry: host or host:port. Can be repeated, or be a list separated by commas; "
        "the images in the inventory then have their registry in front.  [default: Docker Hub]",
        rich_help_panel=REGISTRY,
    ),
]
InsecureRegistries = Annotated[
    list[str] | None,
    typer.Option(
        "--insecure-registry",
        metavar="HOST",
        help="Use plain HTTP for this registry only. Can be repeated, or be a list separated by "
        "commas.",
        rich_help_panel=REGISTRY,
    ),
]
