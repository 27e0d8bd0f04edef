"""Blobs that cannot be fetched for a payload, which its caller may then make without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from docker_charon.errors import DockerCharonError
from docker_charon.oci.digest import Digest

GoesOnAfter = Callable[[DockerCharonError, str], bool]
"""Says whether other blobs are still fetched after the error of a blob in this repository."""


class UnreadableBlobs(Exception):  # not an error: the caller makes a payload without these blobs
    """Raised when blobs cannot be fetched; ``errors`` says why, by their digests."""

    def __init__(self, errors: Mapping[Digest, DockerCharonError]) -> None:
        super().__init__()
        self.errors = errors
