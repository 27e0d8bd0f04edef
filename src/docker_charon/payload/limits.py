"""How large a payload may be: the same for whoever makes one and whoever opens one.

A payload comes from elsewhere, and must not fill the memory of the machine that opens it. All of
its metadata is kept there, so that is what is limited: some 5,000 images with 50,000 blobs. The
blobs themselves may have any size.
"""

from __future__ import annotations

from docker_charon.errors import PayloadError
from docker_charon.oci.manifest import Manifest

MOST_ENTRIES = 100_000

LONGEST_DIRECTORY = 16 * 1024 * 1024
"""Bytes of a zip's central directory; 100,000 lines of ours have 14 million."""

LONGEST_DOCUMENT = 12 * 1024 * 1024
"""Bytes of ``index.json`` or ``payload_descriptor.json``: 300 an image there, 190 a blob here."""

SPLIT = "make several payloads, of fewer images each"
"""What to do about a payload that is too large."""

_MEMORY = 128 * 1024 * 1024  # bytes; what follows was measured
_NAME = 2000  # of an image
_ENTRY = 350  # of the zip
_PLACE = 300  # of a blob, in the payload's descriptor
_DESCRIPTOR = 350
_PART = 300  # of an image: a push asks the registry for each


class TooLarge(PayloadError):
    """A payload that would take more memory than is given to one."""


class Memory:
    """The memory that a payload's metadata may still take.

    Each of the methods raises `TooLarge` when there is none left. They are told of things before
    much is done with them, so that it takes no more than a few seconds to refuse a payload.
    """

    def __init__(self) -> None:
        self._left = _MEMORY

    def take_entries(self, count: int) -> None:
        """Count the entries of the zip."""
        self._take(_ENTRY * count)

    def take_names(self, images: int, blobs: int) -> None:
        """Count the images' names, and the blobs' places."""
        self._take(_NAME * images + _PLACE * blobs)

    def take_manifest(self, manifest: Manifest) -> None:
        """Count a manifest, once for all images that share it."""
        self._take(len(manifest.content) + _DESCRIPTOR * _parts(manifest))

    def take_use(self, manifest: Manifest) -> None:
        """Count what an image refers to by a manifest, for each of its names."""
        self._take(_PART * _parts(manifest))

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge(
                "there is too much in one payload: its metadata would take more than "
                f"{_MEMORY // 1024**2} MiB of memory",
                hint=SPLIT,
            )


def _parts(manifest: Manifest) -> int:
    return len(manifest.manifests) + len(manifest.blobs)
