"""The manifests of a push: children first, then indexes, then referrers, tags last."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from docker_charon.errors import ManifestNotFound, RegistryError
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage, PayloadImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import fallback_tag, with_referrers
from docker_charon.registry.client import RegistryClient
from docker_charon.workers import Workers

_TRIES = 3  # to change a list of referrers that another client may change at the same time


def put_manifests(client: RegistryClient, images: Sequence[PayloadImage], workers: Workers) -> None:
    """Put the manifests of images and of their referrers; their blobs must be there.

    A tag is set after everything below the image, and after all its referrers: a client that finds
    the image also finds its signatures.
    """
    sender = _ManifestSender(client, workers)
    carried = [image for image in images if isinstance(image, NamedImage)]
    sender.put_children(images)
    sender.put_subjects(carried)
    sender.put_referrers(images)
    sender.set_tags(carried)


class _ManifestSender:
    """Puts manifests. It keeps the lists of referrers for a registry that does not do so."""

    def __init__(self, client: RegistryClient, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._unlisted: dict[Reference, list[Manifest]] = {}
        """Referrers that the registry does not list, by their subject."""

    def put_children(self, images: Sequence[PayloadImage]) -> None:
        """Put the manifests below images and referrers."""
        children = {
            _by_digest(image, manifest): manifest
            for image in images
            for graph in image.graphs
            for manifest in graph.manifests[:-1]
        }
        self._put_all({r: manifest for r, manifest in children.items() if not manifest.is_index})
        for reference, manifest in children.items():
            if manifest.is_index:
                self._put(reference, manifest)  # one after the other: an index may contain another

    def put_subjects(self, images: Sequence[NamedImage]) -> None:
        """Put the images that have referrers by their digest."""
        subjects = [image for image in images if image.referrers]
        self._put_all({_by_digest(image, image.root): image.root for image in subjects})

    def put_referrers(self, images: Sequence[PayloadImage]) -> None:
        """Put the referrers by digest or, as cosign does, by tag."""
        referrers = {
            Reference(image.reference.repository, referrer.tag, referrer.manifest.digest): (
                referrer.manifest
            )
            for image in images
            for referrer in image.referrers
        }

        def put(reference: Reference) -> None:
            manifest = referrers[reference]
            if reference.tag is None or self._may_replace(reference, manifest):
                self._put(reference, manifest)

        self._workers.map(put, referrers)
        self._list_referrers()

    def set_tags(self, images: Sequence[NamedImage]) -> None:
        """Put the images under their tags."""
        self._workers.map(self._set_tag, images)
        self._list_referrers()

    def _set_tag(self, image: NamedImage) -> None:
        reference, root = image.reference, image.root
        digest = self._client.head_manifest(reference.repository, reference.target, to_push=True)
        if digest != root.digest:  # a tag that is right may be immutable
            self._put(reference, root)

    def _put_all(self, manifests: Mapping[Reference, Manifest]) -> None:
        self._workers.map(lambda reference: self._put(reference, manifests[reference]), manifests)

    def _put(self, reference: Reference, manifest: Manifest) -> None:
        """Put a manifest by tag or digest; remember it if the registry must be told its subject."""
        repository = reference.repository
        is_listed = self._client.put_manifest(repository, reference.target, manifest)
        if manifest.subject is not None and not is_listed:
            subject = Reference(repository, None, manifest.subject.digest)
            self._unlisted.setdefault(subject, []).append(manifest)

    def _may_replace(self, reference: Reference, new: Manifest) -> bool:
        """Whether one of cosign's tags may be set: other signatures under it must not be lost."""
        repository, tag = reference.repository, reference.target
        try:
            present = self._client.get_manifest(repository, tag)
        except ManifestNotFound:
            return True
        if present.digest == new.digest:
            return False
        lost = {blob.digest for blob in present.blobs[1:]} - {blob.digest for blob in new.blobs}
        if lost:
            warnings.warn(
                f"{self._client.registry} has content under {repository}:{tag} that the payload "
                "lacks; the tag is left unchanged",
                UserWarning,
                stacklevel=2,
            )
        return not lost

    def _list_referrers(self) -> None:
        """Add referrers to the lists that the registry does not keep itself.

        Distribution-spec 1.1, "Pushing Manifests with Subject", for registries without the API.
        """
        unlisted, self._unlisted = self._unlisted, {}
        self._workers.map(lambda subject: self._list(subject, unlisted[subject]), unlisted)

    def _list(self, subject: Reference, referrers: Sequence[Manifest]) -> None:
        """Add referrers to the list of one subject, which other clients may change too."""
        repository, tag = subject.repository, fallback_tag(Digest(subject.target))
        for _ in range(_TRIES):
            try:
                present = self._client.get_manifest(repository, tag)
            except ManifestNotFound:
                present = None
            if present is not None and not present.is_index:
                raise RegistryError(
                    f"{self._client.registry} has an image under {repository}:{tag}, where the "
                    "list of referrers belongs",
                    hint="give that image another tag",
                )
            new_list = with_referrers(present, referrers)
            if new_list is None:
                return
            self._client.put_manifest(repository, tag, new_list)
        if with_referrers(self._client.get_manifest(repository, tag), referrers) is not None:
            raise RegistryError(
                f"{self._client.registry} does not keep what is put under {repository}:{tag}",
                hint="push again when no other client writes to that repository",
            )


def _by_digest(image: PayloadImage, manifest: Manifest) -> Reference:
    """Return how a manifest is named by its digest in an image's repository."""
    return Reference(image.reference.repository, None, manifest.digest)
