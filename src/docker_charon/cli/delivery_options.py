"""The options about deliveries: what was delivered before, and what is written down about this one.

They are declared as those in `options`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from docker_charon.cli.arguments import not_empty, path_only
from docker_charon.cli.help import ALREADY_THERE, RUN

AlreadyTransferred = Annotated[
    list[str] | None,
    typer.Option(
        "--already-transferred",
        "-a",
        metavar="IMAGE",
        help="An image that the air-gapped registry already has: its layers are left out of "
        "the payload. The tag, or choice of tags, is looked up in the source registry now, and may "
        "have moved since: prefer --ledger or --already-transferred-payload. Can be repeated, or "
        "be a list separated by commas.",
        rich_help_panel=ALREADY_THERE,
    ),
]
AlreadyTransferredPayload = Annotated[
    list[str] | None,
    typer.Option(
        "--already-transferred-payload",
        metavar="FILE",
        callback=not_empty,
        help="A payload that was pushed to the air-gapped registry, or an inventory of that "
        "registry: all that it lists is left out, even if tags have moved since. - is standard "
        "input. Can be repeated.",
        rich_help_panel=ALREADY_THERE,
    ),
]
Ledger = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="FILE",
        callback=path_only,
        help="What the air-gapped registry has after all deliveries: it is left out, and the file "
        "is updated when the payload is complete. It is created if it does not exist; use one "
        "ledger for each site.",
        rich_help_panel=ALREADY_THERE,
    ),
]
Receipts = Annotated[
    list[str] | None,
    typer.Option(
        "--receipt",
        metavar="FILE",
        callback=not_empty,
        help="Correct the ledger by what push-payload --receipt has written at the site. Can be "
        "repeated.",
        rich_help_panel=ALREADY_THERE,
    ),
]
LayerDeltas = Annotated[
    bool,
    typer.Option(
        "--layer-deltas",
        help="Carry each changed layer as its difference to older layers that the air-gapped "
        "registry has, if this saves at least 20 %. The push rebuilds it byte for byte. It takes "
        "time, and 300 MB of memory for each job; both sides need docker-charon[deltas].",
        rich_help_panel=ALREADY_THERE,
    ),
]
ReceiptFile = Annotated[
    str | None,
    typer.Option(
        "--receipt",
        metavar="FILE",
        callback=path_only,
        help="Write what this registry has of the payload and what it lacks, also after a failure. "
        "make-payload --receipt corrects a ledger by it.",
        rich_help_panel=ALREADY_THERE,
    ),
]
SignReceipt = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        callback=path_only,
        help="Sign the receipt with this SSH key.",
        rich_help_panel=ALREADY_THERE,
    ),
]
AllowedInputs = Annotated[
    str | None,
    typer.Option(
        "--allowed-signers",
        metavar="FILE",
        callback=path_only,
        help="Accept only earlier payloads, ledgers and receipts that are signed by a person in "
        "this file, as described in ssh-keygen(1).",
        rich_help_panel=ALREADY_THERE,
    ),
]
LockFile = Annotated[
    str | None,
    typer.Option(
        "--lock",
        metavar="FILE",
        callback=path_only,
        help="When the payload is complete, write a list of its images here, with full names and "
        "digests. make-payload --images-from FILE makes a payload of the same images again.",
        rich_help_panel=RUN,
    ),
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE",
        callback=path_only,
        help="Write what happened to this file as JSON, also after a failure.",
        rich_help_panel=RUN,
    ),
]
