"""The contents of a payload, as values: what it carries, and what it counts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a payload.

    ``images`` are all that were asked for, in the user's order, and ``skipped`` the names of those
    that the destination is said to have. ``manifests`` are carried for both, each once, children
    before their index. ``blobs`` are carried too, each with the repository to fetch it from;
    ``at_destination`` tells, for every other digest, the repositories of the destination that have
    it, and ``non_distributable`` are those layers that neither side has: they come from their
    ``urls``.
    """

    images: tuple[NamedImage, ...]
    skipped: frozenset[str]
    manifests: tuple[Manifest, ...]
    blobs: Mapping[Descriptor, str]
    at_destination: Mapping[Digest, tuple[str, ...]]
    non_distributable: frozenset[Digest] = frozenset()

    @property
    def carried_size(self) -> int:
        """The bytes of all that is carried: manifests and blobs."""
        return sum(len(m.content) for m in self.manifests) + sum(blob.size for blob in self.blobs)

    @property
    def saved_size(self) -> int:
        """The bytes of what the destination has already."""
        sizes = {blob.digest: blob.size for named in self.images for blob in named.blobs}
        return sum(sizes[digest] for digest in self.at_destination)
