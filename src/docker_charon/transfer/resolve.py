"""Resolution: from the names of images to their manifests, each fetched once from a registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from docker_charon.errors import InvalidManifest, ManifestNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, Referrer, config_platform
from docker_charon.oci.manifest import MANIFEST_TYPES, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import cosign_tags, fallback_tag
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.platforms import choose, filtered, not_offered, offers
from docker_charon.workers import Workers

_log = logging.getLogger(__name__)

Place = tuple[str, Digest]
"""A manifest in a repository."""


class Resolution:
    """What a registry has under some names.

    With ``platforms``, an image is only what these need of it: one platform's own manifest, or an
    index of several.
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
        self, references: Iterable[Reference], *, as_far_as_there: bool = False
    ) -> dict[Reference, Image]:
        """Return the images; ``as_far_as_there`` leaves out platforms that one does not have.

        Raises `ManifestNotFound` for an image, or a platform of it, that is not there.
        """
        references = list(dict.fromkeys(references))
        new = [reference for reference in references if reference not in self._roots]
        self._roots.update(zip(new, self._workers.map(self._root, new), strict=True))
        roots = {reference: self._roots[reference] for reference in references}
        if self._platforms:

            def filtered_root(reference: Reference) -> Manifest | None:
                return self._filter(reference, roots[reference], tolerant=as_far_as_there)

            found = self._workers.map(filtered_root, references)
            roots = {r: m for r, m in zip(references, found, strict=True) if m is not None}
        return self._collect(roots)

    def image(self, reference: Reference) -> Image:
        """Return one whole image, asking for one thing after the other; as `images`."""
        return Image.collect(self._root(reference), self._child(reference.repository))

    def referrers(self, images: Mapping[Reference, Image]) -> dict[Reference, list[Referrer]]:
        """Return what refers to the images, or to anything below them, and what refers to that.

        Raises `ManifestNotFound` when one is announced and cannot be had.
        """
        found: dict[Reference, dict[tuple[Digest, str | None], Referrer]] = {}
        asked: dict[Place, list[tuple[Digest, str | None]]] = {}
        level: Mapping[Reference, Collection[Image]] = {r: [one] for r, one in images.items()}
        while level:
            subjects = {
                reference: [(reference.repository, m.digest) for one in each for m in one.manifests]
                for reference, each in level.items()
            }
            new = list(dict.fromkeys(s for each in subjects.values() for s in each))
            new = [subject for subject in new if subject not in asked]
            asked.update(zip(new, self._workers.map(self._announced, new), strict=True))
            following: dict[Reference, list[Image]] = {}
            for reference, places in subjects.items():
                known = found.setdefault(reference, {})
                for key in (key for place in places for key in asked[place]):
                    if key not in known:
                        place = Reference(reference.repository, None, key[0])
                        image = self._collect({place: self._manifests[key[0]]})[place]
                        known[key] = Referrer(image, key[1])
                        following.setdefault(reference, []).append(image)
            level = following
        return {reference: list(each.values()) for reference, each in found.items()}

    def _announced(self, place: Place) -> list[tuple[Digest, str | None]]:
        """Fetch what the registry says refers to a manifest; return digests, and cosign's tags."""
        repository, subject = place
        offered = self._client.referrers(repository, subject)
        listed = self._fallback(repository, subject) if offered is None else offered
        found: list[tuple[Digest, str | None]] = []
        for descriptor in listed:
            try:
                manifest = self._child(repository)(descriptor)
            except ManifestNotFound:
                raise ManifestNotFound(
                    f"{self._client.registry} lists {descriptor.digest} among the referrers of "
                    f"{repository}@{subject}, and does not have it",
                    hint="make the payload without referrers, or have it put there again",
                ) from None
            if manifest.subject_digest == subject:
                found.append((descriptor.digest, None))
            else:
                _log.warning(
                    "%s@%s is listed among the referrers of %s, to which it does not refer: it is "
                    "left out",
                    repository,
                    descriptor.digest,
                    subject,
                )
        for tag in cosign_tags(subject):
            try:
                manifest = self._client.get_manifest(repository, tag)
            except ManifestNotFound:
                continue
            found.append((self._manifests.setdefault(manifest.digest, manifest).digest, tag))
        return found

    def _fallback(self, repository: str, subject: Digest) -> Sequence[Descriptor]:
        try:
            index = self._client.get_manifest(repository, fallback_tag(subject))
        except ManifestNotFound:
            return ()
        return (*index.manifests, *(index.blobs if index.is_index else ()))

    def _root(self, reference: Reference) -> Manifest:
        manifest = self._client.get_manifest(reference.repository, reference.source)
        return self._manifests.setdefault(manifest.digest, manifest)

    def _child(self, repository: str) -> Callable[[Descriptor], Manifest]:
        """Return what fetches manifests below one in ``repository``."""

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

    def _collect(self, roots: Mapping[Reference, Manifest]) -> dict[Reference, Image]:
        """Fetch all that is below the images, level by level."""
        level = {root.digest: (reference.repository, root) for reference, root in roots.items()}
        seen = set(level)
        while level:
            below: dict[Digest, tuple[str, Descriptor]] = {}
            for repository, manifest in level.values():
                for descriptor in manifest.manifests:
                    if descriptor.digest not in seen:
                        below.setdefault(descriptor.digest, (repository, descriptor))
            found = self._workers.map(lambda place: self._child(place[0])(place[1]), below.values())
            level = {m.digest: (p[0], m) for p, m in zip(below.values(), found, strict=True)}
            seen.update(below)
        return {
            reference: Image.collect(root, self._child(reference.repository))
            for reference, root in roots.items()
        }

    def _filter(self, reference: Reference, root: Manifest, *, tolerant: bool) -> Manifest | None:
        """Return what an image is for the platforms; ``None`` if there is nothing for them."""
        repository, name = reference.repository, str(reference)
        child = self._child(repository)
        if not root.is_index:
            own = self._platform_of(repository, root)
            if own is None or any(wanted.distance(own) is not None for wanted in self._platforms):
                return root  # what is no image has no platform
            if tolerant:
                return None
            raise not_offered(name, self._platforms[0], [own])
        offered = offers(root, child, lambda d: self._platform_of(repository, child(d)))
        platforms = self._platforms
        if tolerant:
            platforms = [
                wanted
                for wanted in platforms
                if any(wanted.distance(offer.platform) is not None for offer in offered)
            ]
            if not platforms:
                return None
        chosen = choose(offered, platforms, name)
        if len(self._platforms) == 1:
            return child(chosen[0].descriptor)
        for manifest in filtered(root, {offer.descriptor.digest for offer in chosen}, child):
            root = self._manifests.setdefault(manifest.digest, manifest)
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
