"""A receipt: an inventory of what a registry has of one payload, and of what it lacks."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.reference import Reference
from docker_charon.payload.file_object import PayloadSource
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.delivery import Arrival, Delivery, MissingImage
from docker_charon.payload.format.entries import payload_entries
from docker_charon.payload.format.layer_delta import bases_of
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.transfer.inventory import write_inventory
from docker_charon.transfer.named_files import checked_target
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.renaming.destinations import Destinations

Knows = Callable[[RepositoryBlob], bool | None]
"""Says whether a repository of the registry has a blob; ``None`` if that is not known."""


def _nothing_is_known(_: RepositoryBlob) -> bool | None:
    return None


@dataclass(slots=True)
class Receipt:
    """What is known of a registry for one payload; a push fills it in.

    ``destinations`` says where the repositories are there. ``arrived`` are the names of the images
    that the registry has, and ``reasons`` say why others are missing, by their names.
    """

    payload: Payload
    registry: str
    destinations: Destinations
    knows: Knows = _nothing_is_known
    arrived: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def contents(self) -> Contents:
        """Return it as the contents of an inventory, with the names that the payload uses.

        A carried blob that is not known to be there counts as missing: the next payload can carry
        it again. A blob that the payload counts on is missing where the registry said so.
        """
        present: dict[Digest, dict[str, None]] = {}
        missing: dict[Digest, dict[str, None]] = {}
        in_place = self._in_place()
        carried = self.payload.carried | self.payload.deltas.keys()
        for blob, places in self._places().items():
            for repository, names_there in places.items():
                states = {self.knows(RepositoryBlob(name, blob)) for name in names_there}
                if True in states or (repository, blob.digest) in in_place:
                    present.setdefault(blob.digest, {})[repository] = None
                elif states == {False} or blob.digest in carried:
                    missing.setdefault(blob.digest, {})[repository] = None
        for blob, places in self._bases().items():  # the next payload must not count on these
            for repository, names_there in places.items():
                if {self.knows(RepositoryBlob(name, blob)) for name in names_there} == {False}:
                    missing.setdefault(blob.digest, {})[repository] = None
        images = self._images(present)
        delivery = self.payload.delivery
        return Contents(
            images=images,
            skipped=frozenset(image.name for image in images),
            manifests=tuple({m.digest: m for i in images for m in i.manifests}.values()),
            blobs={},
            at_destination={digest: tuple(names) for digest, names in sorted(present.items())},
            non_distributable=frozenset(
                blob.digest for i in images for blob in i.blobs if blob.digest not in present
            ),
            delivery=delivery and Delivery(delivery.number, delivery.previous),
            arrival=Arrival(
                self.registry,
                {digest: tuple(names) for digest, names in missing.items()},
                self._missing_images(),
            ),
            registries=self.payload.registries,
        )

    def _in_place(self) -> set[tuple[str, Digest]]:
        """Return the blobs of the images that have arrived, each with its repository."""
        return {
            (image.reference.repository, blob.digest)
            for image in self._arrived_images()
            for blob in image.image.blobs
            if blob.digest not in self.payload.non_distributable
        }

    def _arrived_images(self) -> Iterator[NamedImage]:
        """Yield the images that have arrived and whose manifests are in the payload."""
        for image in self.payload.all_images:
            if image.name in self.arrived and image.image is not None:
                # The reference in a payload has another digest if platforms were left out.
                reference = Reference.parse_named(image.name, self.payload.registries)
                yield NamedImage(image.name, reference, image.image, image.referrers)

    def _places(self) -> dict[Descriptor, dict[str, tuple[str, ...]]]:
        """Return where each blob may be: repositories of the payload, with their names there.

        Blobs of non-distributable layers that the payload lacks are not looked for.
        """
        blobs: dict[Digest, Descriptor] = {}
        places: dict[Digest, dict[str, tuple[str, ...]]] = {}
        for image in self.payload.all_images:
            repository = image.reference.repository
            for blob in (blob for graph in image.known_graphs for blob in graph.blobs):
                if blob.digest not in self.payload.non_distributable:
                    blobs[blob.digest] = blob
                    there = self.destinations.repository(repository)
                    places.setdefault(blob.digest, {})[repository] = (there,)
        for digest, repositories in self.payload.at_destination.items():
            for repository in repositories if digest in blobs else ():
                candidates = self.destinations.candidates(repository)
                places[digest].setdefault(repository, candidates)
        return {blobs[digest]: repositories for digest, repositories in places.items()}

    def _bases(self) -> dict[Descriptor, dict[str, tuple[str, ...]]]:
        """Return where the bases of deltas should be, in the form of `_places`."""
        return {
            Descriptor("", digest, base.size): {
                repository: self.destinations.candidates(repository)
                for repository in base.repositories
            }
            for digest, base in bases_of(self.payload.deltas)
        }

    def _images(self, present: Mapping[Digest, object]) -> tuple[NamedImage, ...]:
        """Return the images that have arrived, with those of their referrers that have, too."""
        complete = present.keys() | self.payload.non_distributable
        return tuple(
            replace(
                image,
                referrers=tuple(
                    referrer
                    for referrer in image.referrers
                    if all(blob.digest in complete for blob in referrer.image.blobs)
                ),
            )
            for image in self._arrived_images()
        )

    def _missing_images(self) -> dict[str, MissingImage]:
        return {
            image.name: MissingImage(
                image.image.root.digest if image.image is not None else None,
                self.reasons.get(image.name, "it was not pushed"),
            )
            for image in self.payload.all_images
            if image.name not in self.arrived
        }


@contextlib.contextmanager
def writing_receipt(
    path: str | os.PathLike[str] | None,
    payload: Payload,
    registry: str,
    destinations: Destinations,
    sign: Callable[[bytes], bytes] | None = None,
) -> Iterator[Receipt]:
    """Yield a receipt to fill in, and write it to ``path`` after the block, whatever happens in it.

    Without a path nothing is written. ``sign`` signs it (see `payload_entries`). Raises
    `PayloadError` before the block if the directory of ``path`` does not exist.
    """
    receipt = Receipt(payload, registry, destinations)
    if path is None:
        yield receipt
        return
    target = checked_target(path, "receipt")
    try:
        yield receipt
    except BaseException as error:
        if isinstance(error, DockerCharonError):
            for name in payload.names:
                receipt.reasons.setdefault(name, str(error))
        with contextlib.suppress(PayloadError):  # the failure of the push is more important
            write_inventory(target, payload_entries(receipt.contents(), sign))
        raise
    write_inventory(target, payload_entries(receipt.contents(), sign))


def receipts_by_delivery(
    receipts: Iterable[PayloadSource], allowed_signers: str | os.PathLike[str] | None
) -> list[tuple[int, Payload, str]]:
    """Read receipts; return each with the number of its delivery before it and its name after it.

    They are ordered by these numbers. A receipt of a payload without a ledger comes last.
    """
    read = []
    for receipt in receipts:
        with open_payload(receipt, allowed_signers=allowed_signers) as payload:
            number = payload.delivery.number if payload.delivery is not None else sys.maxsize
            read.append((number, payload, str(getattr(receipt, "name", receipt))))
    return sorted(read, key=lambda numbered: numbered[0])
