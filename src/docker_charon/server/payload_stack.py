"""A stack of payloads as a store to be read: a full one and its deltas make the whole."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from docker_charon.errors import DockerCharonError
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage, SkippedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.random_access import Extent
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.server.catalog import Catalog
from docker_charon.server.manifest import StoredManifest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _CarriedBlob:
    """A blob in one of the payloads; its digest is the client's to check, as ever."""

    payload: Payload
    digest: Digest

    @property
    def size(self) -> int:
        return self.payload.size(self.digest)

    @contextlib.contextmanager
    def extent(self) -> Iterator[Extent | None]:
        yield self.payload.extent(self.digest)

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        return self.payload.chunks(self.digest, start)


class PayloadStack:
    """The images of several payloads, none of which is changed.

    The tags of a later one go before those of an earlier one. An image that a payload has only
    by name, because the other side has it already, is served where no other one carries it.
    Blobs may be in any of them; what is missing from all is said in the log, and is not found.
    """

    def __init__(self, payloads: Iterable[Payload]) -> None:
        self.catalog = Catalog()
        self._manifests: dict[Digest, bytes] = {}
        self._blobs: dict[Digest, _CarriedBlob] = {}
        named: dict[str, tuple[Reference, Image | None]] = {}
        every = tuple(payloads)
        for payload in every:
            for digest in payload.carried:
                self._blobs[digest] = _CarriedBlob(payload, digest)
            for skipped in payload.skipped:
                self._keep(skipped.reference, skipped.image)
                self._keep_referrers(skipped)
                if skipped.image is not None or skipped.name not in named:
                    named[skipped.name] = skipped.reference, skipped.image
        for payload in every:
            for carried in payload.images:
                self._keep(carried.reference, carried.image)
                self._keep_referrers(carried)
                # Last, and not where it was: another name may stand for the same tag.
                named.pop(carried.name, None)
                named[carried.name] = carried.reference, carried.image
        for name, (reference, image) in named.items():
            self._show(name, reference, image)

    def content(self, manifest: StoredManifest) -> bytes:
        """Return a manifest's bytes."""
        return self._manifests[manifest.digest]

    def blob(self, digest: Digest) -> _CarriedBlob | None:
        """Return a blob that one of the payloads carries."""
        return self._blobs.get(digest)

    def _keep(self, reference: Reference, image: Image | None) -> None:
        """Have every manifest of an image found by its digest, and by its subject if it has one."""
        for manifest in image.manifests if image else ():
            self._manifests[manifest.digest] = manifest.content
            self.catalog.add(reference.repository, _stored(manifest))

    def _keep_referrers(self, one: NamedImage | SkippedImage) -> None:
        """Have what refers to an image found by its subject, or by its tag."""
        for referrer in one.referrers:
            self._keep(one.reference, referrer.image)
            self.catalog.add(one.reference.repository, _stored(referrer.manifest), referrer.tag)

    def _show(self, name: str, reference: Reference, image: Image | None) -> None:
        """Tag an image, and say what it lacks."""
        if image is None:
            _log.warning("%s is in none of the payloads: give the one that carries it too", name)
            return
        self.catalog.add(reference.repository, _stored(image.root), reference.tag, reference.digest)
        lacking = [
            blob
            for blob in image.blobs
            if not blob.is_non_distributable and blob.digest not in self._blobs
        ]
        if lacking:
            _log.warning(
                "%s is incomplete: %d of its blobs are in none of the payloads, the first of them "
                "%s; give the payload that this one builds on too",
                name,
                len(lacking),
                lacking[0].digest,
            )


def _stored(manifest: Manifest) -> StoredManifest:
    return StoredManifest.parse(manifest.content, manifest.media_type, manifest.digest.algorithm)


@contextlib.contextmanager
def open_stack(
    payloads: Iterable[str | os.PathLike[str] | IO[bytes]],
) -> Iterator[PayloadStack]:
    """Open payloads, the first one first; what is wrong with an image in one goes to the log.

    Raises `PayloadError` for what is no payload at all.
    """

    def report(error: DockerCharonError) -> None:
        _log.warning("%s", error)

    with contextlib.ExitStack() as stack:
        yield PayloadStack(
            [stack.enter_context(open_payload(payload, report)) for payload in payloads]
        )
