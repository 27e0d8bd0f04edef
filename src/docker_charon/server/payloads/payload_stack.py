"""A stack of payloads, served as one read-only store: for example a full one and its deltas."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

from docker_charon.errors import DockerCharonError
from docker_charon.messages import get_logger
from docker_charon.oci.digest import Digest
from docker_charon.oci.host import split_registry
from docker_charon.oci.image import Image, NamedImage, SkippedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.layer_deltas.recipe import Recipes
from docker_charon.payload.random_access import Extent
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.server.manifest import StoredManifest
from docker_charon.server.payloads.rebuilt_blob import RebuiltBlob, RebuiltBlobs, open_rebuilt_blobs
from docker_charon.server.store import Catalog

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _CarriedBlob:
    """A blob in one of the payloads. The client checks its digest, as with any registry."""

    payload: Payload
    digest: Digest

    @property
    def size(self) -> int:
        return self.payload.size(self.digest)

    def prepare(self) -> None:
        pass

    @contextlib.contextmanager
    def extent(self) -> Iterator[Extent | None]:
        yield self.payload.extent(self.digest)

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        return self.payload.chunks(self.digest, start)


class PayloadStack:
    """The images of several payloads, which are only read.

    If two payloads carry the same tag, the later payload wins. An image that a payload skips,
    because the destination has it already, is served only if no payload carries it. A blob may be
    in any of the payloads, or in ``rebuilt``; the log names the images whose blobs are missing from
    all of them, and, if these come as deltas, which bases are missing according to ``recipes``.
    Repositories are served without the registry that a payload has in front of them; the log names
    two images that then have the same tag.
    """

    def __init__(
        self,
        payloads: Sequence[Payload],
        recipes: Recipes,
        rebuilt: RebuiltBlobs | None = None,
    ) -> None:
        self.catalog = Catalog()
        self._rebuilt = rebuilt
        self._recipes = recipes
        self._manifests: dict[Digest, bytes] = {}
        self._blobs: dict[Digest, _CarriedBlob | RebuiltBlob] = {}
        if rebuilt is not None:
            self._blobs.update(rebuilt.by_digest)
        named: dict[str, tuple[Reference, Image | None]] = {}
        for payload in payloads:
            for digest in payload.carried:
                self._blobs[digest] = _CarriedBlob(payload, digest)
            for skipped in payload.skipped:
                reference = _served(skipped.reference, payload)
                self._keep(reference, skipped.image)
                self._keep_referrers(reference, skipped)
                if skipped.image is not None or skipped.name not in named:
                    named[skipped.name] = reference, skipped.image
        for payload in payloads:
            for carried in payload.images:
                reference = _served(carried.reference, payload)
                self._keep(reference, carried.image)
                self._keep_referrers(reference, carried)
                # The later payload comes last: two names may mean the same tag.
                named.pop(carried.name, None)
                named[carried.name] = reference, carried.image
        _warn_of_hidden(named)
        for name, (reference, image) in named.items():
            self._show(name, reference, image)

    def content(self, manifest: StoredManifest) -> bytes:
        """Return the bytes of a manifest."""
        return self._manifests[manifest.digest]

    def blob(self, digest: Digest) -> _CarriedBlob | RebuiltBlob | None:
        """Return a blob that one of the payloads carries, whole or as a delta."""
        return self._blobs.get(digest)

    def end(self) -> None:
        """Stop the rebuilding of blobs."""
        if self._rebuilt is not None:
            self._rebuilt.end()

    def _keep(self, reference: Reference, image: Image | None) -> None:
        """Add every manifest of an image to the catalog, without a tag."""
        for manifest in image.manifests if image else ():
            self._manifests[manifest.digest] = manifest.content
            self.catalog.add(reference.repository, _stored(manifest))

    def _keep_referrers(self, reference: Reference, image: NamedImage | SkippedImage) -> None:
        """Add the referrers of an image to the catalog, with the tags of those that have one."""
        for referrer in image.referrers:
            self._keep(reference, referrer.image)
            self.catalog.add(reference.repository, _stored(referrer.manifest), referrer.tag)

    def _show(self, name: str, reference: Reference, image: Image | None) -> None:
        """Add the tag of an image, and log which blobs are missing."""
        if image is None:
            _log.warning(
                "%s is in none of the payloads: also serve the payload that carries it", name
            )
            return
        self.catalog.add(reference.repository, _stored(image.root), reference.tag, reference.digest)
        missing = [
            blob
            for blob in image.blobs
            if not blob.is_non_distributable and blob.digest not in self._blobs
        ]
        bases = dict.fromkeys(
            base for blob in missing for base in self._recipes.missing(blob.digest)
        )
        if bases:
            _log.warning(
                "%s is incomplete: it has layers that are rebuilt from %s, and none of the "
                "payloads has that; also serve the payload that brought it",
                name,
                " and ".join([*bases][:3]),
            )
        elif any(self._recipes.has(blob.digest) for blob in missing):
            _log.warning("%s is incomplete: its layers cannot be rebuilt here", name)
        elif missing:
            _log.warning(
                "%s is incomplete: %d of its blobs are in none of the payloads, the first is %s; "
                "also serve the payload that this one builds on",
                name,
                len(missing),
                missing[0].digest,
            )


def _served(reference: Reference, payload: Payload) -> Reference:
    """Return a reference without the registry in front of its repository."""
    _, repository = split_registry(reference.repository, payload.registries)
    return replace(reference, repository=repository)


def _warn_of_hidden(named: dict[str, tuple[Reference, Image | None]]) -> None:
    """Log the images that are not served because a later one of another name has their tag.

    Two names of one registry cannot have the same tag and different images.
    """
    shown: dict[tuple[str, str], str] = {}
    for name, (reference, image) in reversed(named.items()):
        owner = shown.setdefault((reference.repository, reference.target), name)
        if image is not None and image != named[owner][1]:
            _log.warning(
                "%s is not served: %s is another image for the same tag, %s", name, owner, reference
            )


def _stored(manifest: Manifest) -> StoredManifest:
    return StoredManifest.parse(manifest.content, manifest.media_type, manifest.digest.algorithm)


@contextlib.contextmanager
def open_stack(
    payloads: Iterable[str | os.PathLike[str] | IO[bytes]],
    allowed_signers: str | os.PathLike[str] | None = None,
) -> Iterator[PayloadStack]:
    """Open payloads, the oldest first; problems with single images are logged.

    Raises `PayloadError` when one of them is not a payload, or not signed by an allowed signer.
    """

    def report(error: DockerCharonError) -> None:
        _log.warning("%s", error)

    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(open_payload(payload, report, allowed_signers=allowed_signers))
            for payload in payloads
        ]
        recipes = Recipes(opened)
        rebuilt = stack.enter_context(open_rebuilt_blobs(recipes))
        yield PayloadStack(opened, recipes, rebuilt)
