"""The reader of payloads: what an open payload carries, and where its content is."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping

from docker_charon.errors import (
    PayloadError,
)
from docker_charon.messages import argument
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage, PayloadImage, SkippedImage
from docker_charon.payload.archives.archive import Archive, Report, raise_it
from docker_charon.payload.archives.carried_body import CarriedBody
from docker_charon.payload.archives.damage import damaged
from docker_charon.payload.archives.required_entry import required_content, required_entry
from docker_charon.payload.archives.source import open_archive
from docker_charon.payload.file_object import PayloadSource
from docker_charon.payload.format.delivery import Arrival, Delivery
from docker_charon.payload.format.layer_delta import LayerDelta, bases_of, count_bases
from docker_charon.payload.format.limits import Memory
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, delta_path
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor
from docker_charon.payload.image_reader import ImageReader
from docker_charon.payload.random_access import Extent
from docker_charon.payload.signature.signed_archive import read_signature, verify_signature


class Payload:
    """An open payload, whose metadata and manifests have been read and checked.

    ``names`` are all its images in the order in which the user named them; ``images`` are those
    that it carries, and ``skipped`` those that it expects at the destination. ``carried`` are the
    digests of the blobs in it. ``at_destination`` has the digests of other blobs, with the
    repositories of the destination that are expected to have them. ``non_distributable`` are the
    layers that neither side has. ``delivery`` is the place in a ledger, and ``arrival`` is what a
    receipt says; both may be ``None``. ``registries`` stand in front of names and repositories.
    ``deltas`` are the blobs that it carries as their difference to older ones. ``signer`` is the
    allowed signer who signed the payload, or ``None`` if this was not verified.

    A problem of one image goes to ``report``. The image is left out if its name or a manifest is
    the problem, and stays if a blob is. A problem of the whole payload is raised as a
    `PayloadError`.
    """

    names: tuple[str, ...]
    images: tuple[NamedImage, ...]
    skipped: tuple[SkippedImage, ...]
    carried: frozenset[Digest]
    at_destination: Mapping[Digest, tuple[str, ...]]
    non_distributable: frozenset[Digest]
    delivery: Delivery | None
    arrival: Arrival | None
    registries: frozenset[str]
    deltas: Mapping[Digest, LayerDelta]

    def __init__(
        self, archive: Archive, report: Report = raise_it, signer: str | None = None
    ) -> None:
        self.signer = signer
        self._archive = archive
        memory = Memory()
        memory.take_entries(len(archive.entries))
        descriptor = PayloadDescriptor.parse(required_content(archive, DESCRIPTOR_PATH))
        if signer is not None and not descriptor.has_layout:
            raise PayloadError(
                "a payload of docker-charon 0.4 or older cannot be signed",
                hint=f"make it again with a current one and {argument('--sign', 'sign=')}",
            )
        self.names = tuple(descriptor.manifests)
        self.delivery = descriptor.delivery
        self.arrival = descriptor.arrival
        self.registries = descriptor.registries
        self.deltas = descriptor.deltas
        locations = len(descriptor.zip_paths or ()) + len(descriptor.at_destination or ())
        locations += count_bases(self.deltas)
        locations += 0 if self.delivery is None else len(self.delivery.brought)
        locations += 0 if self.arrival is None else len(self.arrival.missing_blobs)
        memory.take_names(len(self.names), locations)
        images = list(ImageReader(archive, descriptor, memory).images(report))
        self.images = tuple(image for image in images if isinstance(image, NamedImage))
        self.skipped = tuple(image for image in images if isinstance(image, SkippedImage))
        self.non_distributable = descriptor.non_distributable & {
            blob.digest
            for image in self.all_images
            for graph in image.known_graphs
            for blob in graph.blobs
            if blob.is_non_distributable
        }
        zip_paths, self.at_destination = self._locations(descriptor)
        self._zip_paths: dict[Digest, str] = {}
        deltas: dict[Digest, LayerDelta] = {}
        for image in self.all_images:
            for blob in image.blobs:
                try:
                    self._check_blob(image.name, blob, zip_paths.get(blob.digest))
                except PayloadError as error:
                    report(error)
                    continue
                if blob.digest in zip_paths:
                    self._zip_paths[blob.digest] = zip_paths[blob.digest]
                if blob.digest in descriptor.deltas:
                    deltas[blob.digest] = descriptor.deltas[blob.digest]
        self.carried, self.deltas = frozenset(self._zip_paths), deltas

    @property
    def all_images(self) -> tuple[PayloadImage, ...]:
        """The images that are carried, and then those that are skipped."""
        return (*self.images, *self.skipped)

    @property
    def signing_key(self) -> str | None:
        """The key that the signature claims, not verified; ``None`` if there is no signature."""
        signature = read_signature(self._archive)
        return None if signature is None else signature.key

    def batches(self, digests: Iterable[Digest]) -> list[list[Digest]]:
        """Return carried blobs, whole or as deltas, in batches (see `Archive.batches`)."""
        digest_of = {self._zip_paths.get(d) or delta_path(d): d for d in digests}
        batches = self._archive.batches(self._archive.entries[path] for path in digest_of)
        return [[digest_of[info.filename] for info in batch] for batch in batches]

    @property
    def carries_nothing(self) -> bool:
        """Whether it only lists what the destination has, as an inventory does."""
        return not self.images and not self.carried and not self.deltas

    def body(self, blob: Descriptor) -> Body:
        """Return the content of a carried blob, which is verified while it is read.

        Reading it raises `DigestMismatch` if the content is damaged, and `PayloadError` if it
        cannot be read.
        """
        return CarriedBody(self._archive, blob, self._blob_entry(blob.digest))

    def extent(self, digest: Digest) -> Extent | None:
        """Return where a carried blob is in the file; ``None`` if it is compressed there."""
        return self._archive.extent(self._blob_entry(digest))

    def chunks(self, digest: Digest, start: int = 0) -> Iterator[memoryview]:
        """Yield the content of a carried blob from ``start`` on, without verification."""
        return self._archive.chunks(self._blob_entry(digest), start=start)

    def delta_chunks(self, digest: Digest) -> Iterator[memoryview]:
        """Yield the delta of one of ``deltas``; its CRC is checked at the end."""
        return self._archive.chunks(self._archive.entries[delta_path(digest)], check_crc=True)

    def size(self, digest: Digest) -> int:
        """Return the size of a carried blob in bytes."""
        return self._blob_entry(digest).file_size

    def delivered(self) -> Iterator[tuple[Digest, str]]:
        """Yield the blobs that the destination has after a push, each with a repository."""
        for image in self.all_images:
            for blob in (blob for graph in image.known_graphs for blob in graph.blobs):
                if blob.digest not in self.non_distributable:
                    yield blob.digest, image.reference.repository
        bases = [(digest, base.repositories) for digest, base in bases_of(self.deltas)]
        for digest, repositories in (*self.at_destination.items(), *bases):
            yield from ((digest, repository) for repository in repositories)

    def _blob_entry(self, digest: Digest) -> zipfile.ZipInfo:
        return self._archive.entries[self._zip_paths[digest]]

    def _locations(
        self, descriptor: PayloadDescriptor
    ) -> tuple[Mapping[Digest, str], Mapping[Digest, tuple[str, ...]]]:
        """Return the zip paths of blobs, and the repositories of the blobs at the destination."""
        if descriptor.zip_paths is not None and descriptor.at_destination is not None:
            return descriptor.zip_paths, descriptor.at_destination
        # 0.1 recorded no locations: a blob that it left out may be in any of the repositories.
        repositories = tuple(dict.fromkeys(i.reference.repository for i in self.all_images))
        digests = dict.fromkeys(blob.digest for i in self.all_images for blob in i.blobs)
        paths = {digest: f"blobs/{digest}" for digest in digests}
        return (
            {digest: path for digest, path in paths.items() if path in self._archive.entries},
            dict.fromkeys(digests, repositories),
        )

    def _check_blob(self, name: str, blob: Descriptor, path: str | None) -> None:
        """Raise `PayloadError` if a blob is neither in the zip nor expected elsewhere."""
        delta = self.deltas.get(blob.digest)
        if delta is not None:
            if path is not None or blob.digest in self.at_destination:
                raise PayloadError(f"{DESCRIPTOR_PATH} says twice where {blob.digest} is")
            size = required_entry(self._archive, delta_path(blob.digest), name).file_size
            if size != delta.size:
                raise damaged(
                    f"the delta of {blob.digest} has {size} bytes instead of {delta.size}"
                )
            return
        if path is None:
            is_left_out = blob.is_non_distributable and blob.digest in self.non_distributable
            if not is_left_out and blob.digest not in self.at_destination:
                raise PayloadError(f"the payload is incomplete: it lacks {blob.digest} of {name}")
            return
        size = required_entry(self._archive, path, name).file_size
        if size != blob.size:
            raise damaged(f"{path} has {size} bytes where the manifest of {name} says {blob.size}")


@contextlib.contextmanager
def open_payload(
    zip_file: PayloadSource,
    report: Report = raise_it,
    *,
    allowed_signers: str | os.PathLike[str] | None = None,
) -> Iterator[Payload]:
    """Open a payload and check it: nothing missing, manifests correct, blobs of the right size.

    A file object stays open; one that cannot seek is first copied to a temporary file. With
    ``allowed_signers``, the signature is verified before anything else is read. Raises
    `PayloadError` if the file is not a payload, not a complete one, or not signed by one of them.
    """
    with open_archive(zip_file, report) as archive:
        signer = None
        if allowed_signers is not None:
            signer = verify_signature(archive, allowed_signers)
        yield Payload(archive, report, signer)
