"""The largest payload that is made and opened.

A payload comes from an untrusted source and must not exhaust the memory of the machine that opens
it. All metadata is kept in memory, so its size is limited: enough for about 5,000 images with
50,000 blobs. Blobs may have any size.
"""

from __future__ import annotations

from docker_charon.errors import PayloadError
from docker_charon.oci.manifest import Manifest

MOST_ENTRIES = 100_000

LONGEST_DIRECTORY = 16 * 1024 * 1024
"""Bytes of the zip's central directory; that of a payload with 100,000 entries has 14 million."""

LONGEST_DOCUMENT = 12 * 1024 * 1024
"""Bytes of ``index.json``, with 300 an image, or ``payload_descriptor.json``, with 190 a blob."""

SPLIT = "make several payloads with fewer images each"
"""The hint for a payload that is too large."""

_MEMORY = 128 * 1024 * 1024  # bytes; the numbers below were measured
_NAME = 3000  # bytes for the name of an image
_ENTRY = 350  # for an entry of the zip
_LOCATION = 300  # for the location of a blob in the payload's descriptor
_DESCRIPTOR = 350  # for a descriptor in a manifest
_USE = 300  # for each name under which a descriptor is used: a push asks the registry for each


class TooLarge(PayloadError):
    """A payload whose metadata would take too much memory."""


class Memory:
    """The memory that is left for a payload's metadata.

    Each method raises `TooLarge` when nothing is left. Call it before the expensive work with what
    it counts, so that a payload that is too large is refused within seconds.
    """

    def __init__(self) -> None:
        self._left = _MEMORY

    def take_entries(self, count: int) -> None:
        """Count entries of the zip."""
        self._take(_ENTRY * count)

    def take_names(self, images: int, blobs: int) -> None:
        """Count names of images, and locations of blobs."""
        self._take(_NAME * images + _LOCATION * blobs)

    def take_manifest(self, manifest: Manifest) -> None:
        """Count a manifest; once, even if several images share it."""
        self._take(len(manifest.content) + _DESCRIPTOR * _descriptors(manifest))

    def take_use(self, manifest: Manifest) -> None:
        """Count the use of a manifest by one name."""
        self._take(_USE * _descriptors(manifest))

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge(
                "the payload is too large: its metadata would take more than "
                f"{_MEMORY // 1024**2} MiB of memory",
                hint=SPLIT,
            )


def _descriptors(manifest: Manifest) -> int:
    return len(manifest.manifests) + len(manifest.blobs)
