"""The contents of a payload, as values: what it carries, and what it expects at the destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.payload.format.delivery import Arrival, Delivery
from docker_charon.payload.format.layer_delta import LayerDelta, bases_of
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a payload.

    ``images`` are all images of the payload in the user's order. ``skipped`` are the names of those
    that the destination is expected to have. ``manifests`` are carried for all images, skipped or
    not: each once, children before their index. ``blobs`` are carried too, each with the repository
    to fetch it from. ``at_destination`` has every blob that is left out because the destination has
    it, with the repositories there. ``non_distributable`` are the layers that neither the payload
    nor the destination has; they are downloaded from their ``urls``. ``delivery`` is the place in a
    ledger, and ``arrival`` is what a receipt says; most payloads have neither. ``registries`` are
    those that stand in front of names and repositories, in lower case; there are none if all images
    come from one registry. ``deltas`` are blobs that are carried as their difference to older ones,
    and in neither of the mappings above.
    """

    images: tuple[NamedImage, ...]
    skipped: frozenset[str]
    manifests: tuple[Manifest, ...]
    blobs: Mapping[Descriptor, str]
    at_destination: Mapping[Digest, tuple[str, ...]]
    non_distributable: frozenset[Digest] = frozenset()
    delivery: Delivery | None = None
    arrival: Arrival | None = None
    registries: frozenset[str] = frozenset()
    deltas: Mapping[Digest, LayerDelta] = field(default_factory=dict)

    @property
    def expected(self) -> dict[Digest, tuple[str, ...]]:
        """Every blob that the destination has to have, with its repositories: bases of deltas too.

        If a blob is both left out and a base, these are the repositories of ``at_destination``.
        """
        bases = {digest: base.repositories for digest, base in bases_of(self.deltas)}
        return {**bases, **self.at_destination}

    @property
    def carried_size(self) -> int:
        """The size in bytes of everything that is carried: manifests, blobs and deltas."""
        manifests = sum(len(manifest.content) for manifest in self.manifests)
        deltas = sum(delta.size for delta in self.deltas.values())
        return manifests + sum(blob.size for blob in self.blobs) + deltas

    @property
    def saved_size(self) -> int:
        """The size in bytes of the blobs that are left out because the destination has them."""
        sizes = {blob.digest: blob.size for named in self.images for blob in named.blobs}
        return sum(sizes[digest] for digest in self.at_destination)
