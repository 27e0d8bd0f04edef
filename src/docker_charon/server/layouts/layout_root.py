"""The root of a layout: the directory that it is in, checked and prepared before it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from docker_charon.errors import ServerError
from docker_charon.files import write_durably
from docker_charon.oci.document import parse_json_object
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH, LAYOUT_PATH
from docker_charon.server.layouts.directory import check_file, check_folder, read_file
from docker_charon.server.layouts.layout_index import LayoutIndex

OWN_FOLDER = ".docker-charon"
LOCK_PATH = f"{OWN_FOLDER}/lock"
UPLOADS_PATH = f"{OWN_FOLDER}/uploads"
TEMPORARY_INDEX_PATH = f"{OWN_FOLDER}/{INDEX_PATH}"

_LONGEST_MARKER = 4096  # bytes of oci-layout, which has 30


def check_root(root: Path) -> None:
    """Check that the directory is a layout, or can become one, and contains no links.

    Raises `ServerError` otherwise.
    """
    _check_usable(root)
    _check_links(root)


def _check_usable(root: Path) -> None:
    """Check that the directory is a layout, an unfinished new one, or empty."""
    marker = root / LAYOUT_PATH
    if check_file(marker):
        _check_version(marker)
    elif not root.exists():
        return
    elif unknown := {path.name for path in root.iterdir()} - {OWN_FOLDER, INDEX_PATH, "blobs"}:
        raise ServerError(
            f"{root} is not an OCI image layout: it has {min(unknown)} and no {LAYOUT_PATH}",
            hint="use a directory that is empty or does not exist",
        )


def _check_version(marker: Path) -> None:
    try:
        version = parse_json_object(read_file(marker, _LONGEST_MARKER)).get("imageLayoutVersion")
    except (ValueError, ServerError):
        version = None
    if not isinstance(version, str) or not version.startswith("1."):
        raise ServerError(f"{marker} does not say that this is an OCI image layout of version 1")


def _check_links(root: Path) -> None:
    """Raise `ServerError` when something that the server reads or writes is a link."""
    for folder in (OWN_FOLDER, UPLOADS_PATH, "blobs", "blobs/sha256", "blobs/sha512"):
        check_folder(root / folder)
    for file in (INDEX_PATH, DESCRIPTOR_PATH, TEMPORARY_INDEX_PATH, LOCK_PATH):
        check_file(root / file)


def prepare_root(root: Path) -> None:
    """Create the missing files, and delete the unfinished uploads of an earlier run."""
    marker = root / LAYOUT_PATH
    uploads = root / UPLOADS_PATH
    if uploads.exists():
        shutil.rmtree(uploads)
    uploads.mkdir()
    (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    temporary = root / TEMPORARY_INDEX_PATH
    if not (root / INDEX_PATH).exists():
        write_durably(root / INDEX_PATH, LayoutIndex().encode(), temporary)
    if not marker.exists():  # written last: a directory with this file is a layout
        content = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
        write_durably(marker, content, temporary)
