"""A ledger: an inventory that says what one site has after all deliveries to it so far."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from docker_charon.errors import PayloadError
from docker_charon.messages import get_logger
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.delivery import Arrival, Delivery
from docker_charon.payload.reader import Payload
from docker_charon.progress import counted
from docker_charon.transfer.naming.name_groups import NameGroup, united_registries
from docker_charon.transfer.plan import repositories_of, used_registries
from docker_charon.value import dataclass

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a site has after ``number`` deliveries; nothing before the first one.

    ``digest`` is the SHA-256 digest of the file, ``None`` if there is none yet. ``images`` are
    those that the site has, the newest under each tag, and ``blobs`` has every blob with its
    repositories, those of older images too. ``brought``, ``history`` and ``arrived`` are those of
    `Delivery`, and ``registries`` those of `Contents`. ``without_bases`` are blobs that a site
    lacks which also lacked what their delivery counted on; it is known from receipts and not in the
    file.
    """

    number: int = 0
    digest: Digest | None = None
    images: tuple[NamedImage, ...] = ()
    blobs: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)
    brought: Mapping[Digest, int] = field(default_factory=dict)
    history: tuple[Digest | None, ...] = ()
    arrived: frozenset[int] = frozenset()
    registries: frozenset[str] = frozenset()
    without_bases: frozenset[Digest] = frozenset()

    @classmethod
    def of(cls, payload: Payload, digest: Digest) -> Ledger:
        """Return the ledger in a file; an inventory is one without deliveries."""
        delivery = payload.delivery or Delivery(0, None, history=())
        return cls(
            delivery.number,
            digest,
            _named_images(payload),
            _united({}, payload.delivered()),
            delivery.brought,
            delivery.history or (),
            delivery.arrived,
            payload.registries,
        )

    def names(self, where: str) -> NameGroup:
        """Return the repositories in it; ``where`` is what messages call the ledger."""
        return NameGroup(where, repositories_of(self.images, self.blobs.values()), self.registries)

    def next_delivery(self, contents: Contents) -> Delivery:
        """Return the place in the ledger of a payload with these contents."""
        counted_on = contents.expected.keys() & self.brought.keys()
        brought = {digest: self.brought[digest] for digest in counted_on}
        return Delivery(self.number + 1, self.digest, brought)

    def after(self, contents: Contents) -> Ledger:
        """Return what the site has when a payload with these contents has arrived too."""
        number = self.number + 1
        needed = [
            (blob.digest, image.reference.repository)
            for image in contents.images
            for blob in image.blobs
            if blob.digest not in contents.non_distributable
        ]
        expected = [
            (digest, repository)
            for digest, repositories in contents.expected.items()
            for repository in repositories
        ]
        carried = [*(blob.digest for blob in contents.blobs), *contents.deltas]
        carried += [image.root.digest for image in contents.images]
        return Ledger(
            number,
            None,
            _newest([*contents.images, *self.images]),
            _united(self.blobs, [*needed, *expected]),
            {**self.brought, **dict.fromkeys(carried, number)},
            (*self.history, self.digest),
            self.arrived,
            self.registries | contents.registries,
        )

    def corrected(self, receipt: Payload, name: str) -> Ledger:
        """Return it as a receipt, a file called ``name``, says that the site is.

        What is missing there was not delivered, unless a later delivery brought it. What is there
        was delivered. If the site has nothing of what it needs from an earlier delivery, of which
        no receipt has shown anything, all of that delivery counts as not delivered.

        Raises `PayloadError` if the file is not a receipt of a delivery in this ledger.
        """
        arrival, delivery = receipt.arrival, receipt.delivery
        if arrival is None:
            raise PayloadError(
                f"{name} is not a receipt",
                hint="give payloads and inventories as already transferred instead",
            )
        number = self.number
        if delivery is not None:
            number = delivery.number
            if (
                not 1 <= number <= len(self.history)
                or self.history[number - 1] != delivery.previous
                or any(self.brought.get(image, 0) < number for image in _image_digests(receipt))
            ):
                raise PayloadError(
                    f"{name} is the receipt of a delivery {number} that is not in this ledger",
                    hint="use each receipt with the ledger of its site, or leave it out",
                )
        registries = united_registries([self.names("the ledger"), names_in(receipt, name)])
        blobs = dict(self.blobs)
        for digest, repositories in arrival.missing_blobs.items():
            if digest in blobs and self.brought.get(digest, 0) <= number:
                blobs[digest] = tuple(r for r in blobs[digest] if r not in repositories)
        present = list(receipt.delivered())
        arrived = self._arrived_deliveries(present)
        lost = {
            self.brought[digest]
            for digest in arrival.missing_blobs
            if self.brought.get(digest, sys.maxsize) <= number
        } - arrived
        gone = {
            digest
            for digest, repositories in blobs.items()
            if not repositories or self.brought.get(digest) in lost
        }
        blobs = {digest: names for digest, names in blobs.items() if digest not in gone}
        images = [
            image
            for image in self.images
            if not self._lacks(image, arrival, number)
            and not any(blob.digest in gone for blob in image.blobs)
        ]
        is_behind = any(self.brought.get(digest, 0) < number for digest in gone)
        lacking = f", and lacks {len(gone)} that the ledger says it has" if gone else ""
        _log.info(
            "%s: %s has %s of delivery %d%s",
            *(
                name,
                arrival.registry,
                counted(len({d for d, _ in present}), "blob"),
                number,
                lacking,
            ),
        )
        for delivery_number in sorted(lost - {number}):
            _log.info(
                "%s: delivery %d has not arrived at %s, or its content is gone: everything in it "
                "counts as not delivered",
                *(name, delivery_number, arrival.registry),
            )
        return replace(
            self,
            images=_newest([*images, *_named_images(receipt)]),
            blobs=_united(blobs, present),
            brought={d: n for d, n in self.brought.items() if d not in gone},
            arrived=arrived,
            registries=registries,
            without_bases=self.without_bases.union(arrival.missing_blobs if is_behind else ()),
        )

    def _arrived_deliveries(self, present: Iterable[tuple[Digest, str]]) -> frozenset[int]:
        """Return the deliveries of which receipts have shown something, with what is there now."""
        return self.arrived | {self.brought[d] for d, _ in present if d in self.brought}

    def _lacks(self, image: NamedImage, arrival: Arrival, number: int) -> bool:
        """Whether the receipt of a delivery says that an image is missing."""
        missing, digest = arrival.missing_images.get(image.name), image.root.digest
        is_newer = self.brought.get(digest, 0) > number
        return missing is not None and missing.digest == digest and not is_newer

    def contents(self) -> Contents:
        """Return it as the contents of an inventory."""
        manifests = {m.digest: m for image in self.images for m in image.manifests}
        unavailable = {
            blob.digest
            for image in self.images
            for blob in image.blobs
            if blob.digest not in self.blobs
        }
        previous = self.history[-1] if self.history else None
        return Contents(
            images=self.images,
            skipped=frozenset(image.name for image in self.images),
            manifests=tuple(manifests.values()),
            blobs={},
            at_destination=dict(sorted(self.blobs.items())),
            non_distributable=frozenset(unavailable),
            delivery=Delivery(self.number, previous, self.brought, self.history, self.arrived),
            registries=used_registries(self.registries, self.images, self.blobs.values()),
        )


def names_in(payload: Payload, where: str) -> NameGroup:
    """Return the repositories in a payload; ``where`` is what messages call it."""
    repositories = repositories_of(payload.all_images, payload.at_destination.values())
    return NameGroup(where, repositories, payload.registries)


def _named_images(payload: Payload) -> tuple[NamedImage, ...]:
    """Return the images of a file whose manifests are in it, under the names that they have."""
    return tuple(
        # The reference in the payload has another digest if platforms were left out.
        NamedImage(
            image.name,
            Reference.parse_named(image.name, payload.registries),
            image.image,
            image.referrers,
        )
        for image in payload.all_images
        if image.image is not None
    )


def _image_digests(receipt: Payload) -> set[Digest]:
    """Return the digests of the images of a delivery, those that have arrived and the others."""
    arrived = {image.image.root.digest for image in receipt.all_images if image.image is not None}
    missing = receipt.arrival.missing_images.values() if receipt.arrival is not None else ()
    return arrived | {image.digest for image in missing if image.digest is not None}


def _newest(images: Iterable[NamedImage]) -> tuple[NamedImage, ...]:
    """Return the first image under each name and under each tag, in the order of the names."""
    by_name: dict[str, NamedImage] = {}
    by_target: dict[tuple[str, str], NamedImage] = {}
    for image in images:
        target = image.reference.repository, image.reference.target
        newest = by_target.setdefault(target, image)
        if newest.image.root.digest == image.image.root.digest:
            by_name.setdefault(image.name, image)
    return tuple(by_name[name] for name in sorted(by_name))


def _united(
    blobs: Mapping[Digest, Iterable[str]], more: Iterable[tuple[Digest, str]]
) -> dict[Digest, tuple[str, ...]]:
    """Return the repositories of blobs together with more of them."""
    united = {digest: dict.fromkeys(repositories) for digest, repositories in blobs.items()}
    for digest, repository in more:
        united.setdefault(digest, {})[repository] = None
    return {digest: tuple(repositories) for digest, repositories in united.items()}
