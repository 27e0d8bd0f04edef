"""A required entry: one that a payload must have, or that one of its images needs."""

from __future__ import annotations

import zipfile

from docker_charon.errors import PayloadError
from docker_charon.payload.archives.archive import Archive
from docker_charon.payload.archives.diagnosis import what_archive_is
from docker_charon.payload.format.limits import LONGEST_DOCUMENT


def required_entry(archive: Archive, path: str, image: str | None = None) -> zipfile.ZipInfo:
    """Return the entry with this path, which the payload needs, or the ``image`` of this name.

    Raises `PayloadError` if there is none.
    """
    info = archive.entries.get(path)
    if info is not None:
        return info
    if image is not None:
        raise PayloadError(f"the payload is incomplete: it lacks {path} of {image}")
    raise what_archive_is(archive, path)


def required_content(
    archive: Archive, path: str, longest: int = LONGEST_DOCUMENT, image: str | None = None
) -> bytes:
    """Return the content of such an entry; raise `PayloadError` if it is longer than ``longest``.

    The length is in bytes.
    """
    return archive.read(required_entry(archive, path, image), longest)
