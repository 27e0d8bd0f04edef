"""Resolving: from the names of images to their manifests, each fetched once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from docker_charon.errors import InvalidManifest, ManifestNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage, Referrer, config_platform
from docker_charon.oci.manifest import MANIFEST_TYPES, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import cosign_tags, fallback_tag
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.platforms import choose, filter_index, not_offered, offers
from docker_charon.workers import Workers

_log = logging.getLogger(__name__)


class Resolver:
    """Finds the images of a registry by their names.

    With ``platforms``, an image is only what these need of it: the manifest of a single platform,
    or a new index of several.
    """

    def __init__(
        self, client: RegistryClient, workers: Workers, platforms: Sequence[Platform] = ()
    ) -> None:
        self._client = client
        self._workers = workers
        self._platforms = platforms
        self._roots: dict[Reference, Manifest] = {}
        self._manifests: dict[Digest, Manifest] = {}

    def images(
        self,
        references: Mapping[str, Reference],
        *,
        include_referrers: bool = False,
        skip_missing_platforms: bool = False,
    ) -> list[NamedImage]:
        """Return the images for ``references`` by name, in that order.

        ``include_referrers`` adds what refers to the images. ``skip_missing_platforms`` leaves out
        the platforms that an image does not have, and images without any.

        Raises `ManifestNotFound` for an image, a platform or a referrer that is missing.
        """
        unique = list(dict.fromkeys(references.values()))
        new = [reference for reference in unique if reference not in self._roots]
        self._roots.update(zip(new, self._workers.map(self._root, new), strict=True))
        roots = {reference: self._roots[reference] for reference in unique}
        if self._platforms:

            def select(reference: Reference) -> Manifest | None:
                return self._select_platforms(
                    reference, roots[reference], skip_missing=skip_missing_platforms
                )

            selected = zip(unique, self._workers.map(select, unique), strict=True)
            roots = {reference: root for reference, root in selected if root is not None}
        self._fetch_below(roots)
        images = {
            reference: Image.collect(root, self._child(reference.repository))
            for reference, root in roots.items()
        }
        referrers = self._referrers(images) if include_referrers else {}
        return [
            NamedImage(name, reference, images[reference], referrers.get(reference, ()))
            for name, reference in references.items()
            if reference in images
        ]

    def image(self, name: str, reference: Reference) -> NamedImage:
        """Return one image, for every platform, with one request after the other."""
        root = self._root(reference)
        return NamedImage(name, reference, Image.collect(root, self._child(reference.repository)))

    def _referrers(
        self, images: Mapping[Reference, Image]
    ) -> dict[Reference, tuple[Referrer, ...]]:
        """Return what refers to the images or to manifests below them, and what refers to that."""
        referrers: dict[Reference, list[Referrer]] = {}  # by subject
        subjects = [s for reference, image in images.items() for s in _subjects(reference, image)]
        while new := [subject for subject in dict.fromkeys(subjects) if subject not in referrers]:
            referrers.update(zip(new, self._workers.map(self._direct_referrers, new), strict=True))
            subjects = [
                subject_below
                for subject in new
                for referrer in referrers[subject]
                for subject_below in _subjects(subject, referrer.image)
            ]

        def all_referrers(reference: Reference, image: Image) -> tuple[Referrer, ...]:
            unique: dict[tuple[Digest, str | None], Referrer] = {}
            graphs = [image]
            for graph in graphs:  # it grows meanwhile
                for subject in _subjects(reference, graph):
                    for referrer in referrers[subject]:
                        key = referrer.manifest.digest, referrer.tag
                        if key not in unique:
                            unique[key] = referrer
                            graphs.append(referrer.image)
            return tuple(unique.values())

        return {reference: all_referrers(reference, image) for reference, image in images.items()}

    def _direct_referrers(self, subject: Reference) -> list[Referrer]:
        """Fetch what refers to one manifest: what the registry lists, and cosign's tags."""
        repository, digest = subject.repository, Digest(subject.target)
        child = self._child(repository)
        descriptors = self._client.referrers(repository, digest)
        manifests: list[tuple[Manifest, str | None]] = []
        for descriptor in self._fallback(subject) if descriptors is None else descriptors:
            try:
                manifest = child(descriptor)
            except ManifestNotFound:
                raise ManifestNotFound(
                    f"{self._client.registry} lists {descriptor.digest} among the referrers of "
                    f"{subject}, and does not have it",
                    hint="make the payload without referrers, or push that referrer again",
                ) from None
            if manifest.subject_digest == digest:
                manifests.append((manifest, None))
            else:
                _log.warning(
                    "%s@%s is left out: it is listed among the referrers of %s but does not refer "
                    "to it",
                    repository,
                    descriptor.digest,
                    digest,
                )
        for tag in cosign_tags(digest):
            try:
                manifest = self._client.get_manifest(repository, tag)
            except ManifestNotFound:
                continue
            manifests.append((self._manifests.setdefault(manifest.digest, manifest), tag))
        return [Referrer(Image.collect(manifest, child), tag) for manifest, tag in manifests]

    def _fallback(self, subject: Reference) -> Sequence[Descriptor]:
        """Return the list of referrers in a registry that has no API for them."""
        try:
            index = self._client.get_manifest(
                subject.repository, fallback_tag(Digest(subject.target))
            )
        except ManifestNotFound:
            return ()
        return (*index.manifests, *(index.blobs if index.is_index else ()))

    def _root(self, reference: Reference) -> Manifest:
        manifest = self._client.get_manifest(reference.repository, reference.source)
        return self._manifests.setdefault(manifest.digest, manifest)

    def _child(self, repository: str) -> Callable[[Descriptor], Manifest]:
        """Return a function that fetches manifests below an index of ``repository``."""

        def fetch(descriptor: Descriptor) -> Manifest:
            known = self._manifests.get(descriptor.digest)
            if known is not None and known.descriptor.size == descriptor.size:
                return known
            if descriptor.media_type not in MANIFEST_TYPES:
                raise InvalidManifest(
                    f"{repository}@{descriptor.digest} on {self._client.registry}: its media "
                    f"type is {descriptor.media_type[:100]!r}"
                )
            manifest = known or self._client.get_manifest(repository, descriptor.digest)
            manifest = Manifest.of(descriptor, manifest.content)
            return self._manifests.setdefault(descriptor.digest, manifest)

        return fetch

    def _fetch_below(self, roots: Mapping[Reference, Manifest]) -> None:
        """Fetch all manifests below the roots, level by level."""
        level = [(reference.repository, root) for reference, root in roots.items()]
        seen = {root.digest for root in roots.values()}
        while level:
            children: dict[Digest, tuple[str, Descriptor]] = {}
            for repository, manifest in level:
                for descriptor in manifest.manifests:
                    if descriptor.digest not in seen:
                        children.setdefault(descriptor.digest, (repository, descriptor))
            seen.update(children)
            level = self._workers.map(
                lambda child: (child[0], self._child(child[0])(child[1])), children.values()
            )

    def _select_platforms(
        self, reference: Reference, root: Manifest, *, skip_missing: bool
    ) -> Manifest | None:
        """Return what the platforms need of an image; ``None`` if it has nothing for them."""
        repository, name = reference.repository, str(reference)
        child = self._child(repository)
        if not root.is_index:
            platform = self._platform_of(repository, root)
            if platform is None:  # an artifact has no platform
                return root
            if any(wanted.distance(platform) is not None for wanted in self._platforms):
                return root
            if skip_missing:
                return None
            raise not_offered(name, self._platforms[0], [platform])
        offered = offers(root, child, lambda d: self._platform_of(repository, child(d)))
        chosen = choose(offered, self._platforms, name, skip_missing=skip_missing)
        if not chosen:
            return None
        if len(self._platforms) == 1:
            return child(chosen[0].descriptor)
        for index in filter_index(root, {offer.descriptor.digest for offer in chosen}, child):
            root = self._manifests.setdefault(index.digest, index)
        return root

    def _platform_of(self, repository: str, manifest: Manifest) -> Platform | None:
        """Return the platform that the config of an image names; an artifact has none."""
        try:
            return config_platform(
                manifest, lambda config: self._client.read_blob(repository, config)
            )
        except InvalidManifest as error:
            raise InvalidManifest(
                f"{repository}@{manifest.digest} on {self._client.registry}: {error}"
            ) from None


def _subjects(reference: Reference, image: Image) -> list[Reference]:
    """Return the manifests of an image, by digest: each may be the subject of referrers."""
    return [Reference(reference.repository, None, m.digest) for m in image.manifests]
