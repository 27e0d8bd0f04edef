"""Resolving: from the names of images to their manifests, each fetched once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from docker_charon.errors import (
    DockerCharonError,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import argument
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage, config_platform
from docker_charon.oci.manifest import MANIFEST_TYPES, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.limits import Memory
from docker_charon.transfer.failed_images import FailedImages
from docker_charon.transfer.results import Results
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers

_T = TypeVar("_T")
_REFUSED = (400, 403, 404, 405)
"""How registries answer to a digest where they know only tags."""


class Resolver:
    """Finds the images of one or several registries by their names.

    ``failed`` are the images that cannot be transferred, and ``keep_going`` is described there
    (see `FailedImages`). With ``platforms``, an image is only what these need of it: the manifest
    of a single platform, or a new index of several.
    """

    def __init__(
        self,
        sources: Sources,
        workers: Workers,
        platforms: Sequence[Platform] = (),
        *,
        keep_going: bool | None = None,
    ) -> None:
        self.failed = FailedImages(sources, keep_going=keep_going)
        self.sources = sources
        self._workers = workers
        self.platforms = platforms
        self._roots: dict[Reference, Manifest] = {}
        self._manifests: dict[Digest, Manifest] = {}
        self._fetched: Results[tuple[str, str], Manifest] = Results()
        """The manifests by repository, and by the tag or digest that was asked for."""
        self._image_platforms: Results[Digest, Platform | None] = Results()
        self._memory = Memory()

    def images(
        self, references: Mapping[str, Reference], *, already_transferred: bool = False
    ) -> list[NamedImage]:
        """Return the images for ``references`` by name, in that order.

        Of images that were ``already_transferred``, platforms that an image does not have are left
        out, and images without any. Images that cannot be transferred are left out as well: they
        are in ``failed``.
        """
        unique = list(dict.fromkeys(references.values()))
        self.failed.expect(references, already_transferred=already_transferred)
        new = [reference for reference in unique if reference not in self._roots]
        self._roots.update(self._of_each(self._root, new))
        roots = {ref: self._roots[ref] for ref in unique if ref in self._roots}
        if self.platforms:

            def select(reference: Reference) -> Manifest | None:
                return self._select_platforms(
                    reference, roots[reference], skip_missing=already_transferred
                )

            selected = self._of_each(select, roots)
            roots = {ref: root for ref, root in selected.items() if root is not None}
        self._fetch_below(roots)
        images = self._of_each(lambda ref: Image.collect(roots[ref], self._child(ref)), roots)
        return [
            NamedImage(name, reference, images[reference])
            for name, reference in references.items()
            if reference in images
        ]

    def source_digest(self, reference: Reference) -> Digest:
        """Return the digest that the registry has for an image, before platforms are chosen."""
        return reference.digest or self._roots[reference].digest

    def image(self, name: str, reference: Reference) -> NamedImage:
        """Return one image, for every platform, with one request after the other."""
        root = self._root(reference)
        return NamedImage(name, reference, Image.collect(root, self._child(reference)))

    def with_referrers(self, images: Iterable[NamedImage]) -> list[NamedImage]:
        """Return images with what refers to them; raises as `ReferrerFinder.find` does.

        Images whose referrers cannot be read are left out if the run goes on without them.
        """
        from docker_charon.transfer.referrers import ReferrerFinder  # only some runs need it

        images = list(images)
        finder = ReferrerFinder(
            self.sources,
            self._workers,
            lambda repository: self._child(Reference(repository, None, None)),
            self.failed if self.failed.keep_going else None,
        )
        referrers = finder.find({image.reference: image.image for image in images})
        return [
            replace(image, referrers=referrers[image.reference])
            for image in images
            if image.reference in referrers
        ]

    def _of_each(
        self, function: Callable[[Reference], _T], references: Iterable[Reference]
    ) -> dict[Reference, _T]:
        """Return the results for references, without those that fail."""
        references = list(references)
        results = self._workers.map(
            lambda reference: self.attempt(reference, lambda: (function(reference),)), references
        )
        pairs = zip(references, results, strict=True)
        return {reference: result[0] for reference, result in pairs if result is not None}

    def attempt(self, reference: Reference, task: Callable[[], _T]) -> _T | None:
        """Return the result of a task for one image; ``None`` if it is one of ``failed`` then.

        Raises an error that would concern the other images as well.
        """
        try:
            return task()
        except DockerCharonError as error:
            self.failed.add(reference, error)
            return None

    def _get_manifest(self, repository: str, reference: str) -> Manifest:
        """Fetch a manifest, unless its registry has failed."""
        self.failed.check_registry(repository)
        return self.sources.get_manifest(repository, reference)

    def _root(self, reference: Reference) -> Manifest:
        repository, source = reference.repository, reference.source
        try:
            return self._fetched.of(
                (repository, source), lambda: self._keep(self._get_manifest(repository, source))
            )
        except RegistryError as error:
            if isinstance(error, ManifestNotFound):
                self.failed.add_missing(reference)
            if error.status not in _REFUSED or reference.digest is None or reference.tag is None:
                raise
            return self._keep(self._by_tag(reference, reference.tag, reference.digest, error))

    def _by_tag(
        self, reference: Reference, tag: str, digest: Digest, error: RegistryError
    ) -> Manifest:
        """Return an image by its tag: caches may know a tag, and not yet its digest."""
        try:
            manifest = self._get_manifest(reference.repository, tag)
        except RegistryError:
            raise error from None
        if not manifest.has_digest(digest):
            registry, repository = self.sources.locate(reference.repository)
            raise ManifestNotFound(
                f"{registry} has no {replace(reference, repository=repository)}: its tag {tag} is "
                f"{manifest.digest}",
                hint="leave out the digest to carry what the tag names now",
                status=404,
            )
        return Manifest.parse(manifest.content, manifest.media_type, digest)

    def _child(self, parent: Reference) -> Callable[[Descriptor], Manifest]:
        """Return a function that fetches manifests below ``parent``, from its repository."""
        repository = parent.repository

        def fetch(descriptor: Descriptor) -> Manifest:
            manifest = self._manifests.get(descriptor.digest)
            if manifest is None:
                manifest = fetch_new(descriptor)
            if manifest.descriptor.size != descriptor.size:
                return Manifest.of(descriptor, manifest.content)  # which raises the right error
            return manifest

        def fetch_new(descriptor: Descriptor) -> Manifest:
            digest = descriptor.digest
            if descriptor.media_type and descriptor.media_type not in MANIFEST_TYPES:
                registry, name = self.sources.locate(repository)
                raise InvalidManifest(
                    f"{name}@{digest} on {registry}: its media type is "
                    f"{descriptor.media_type[:100]!r}"
                )

            def ask() -> Manifest:
                content = self._get_manifest(repository, digest).content
                return self._keep(Manifest.of(descriptor, content))

            try:
                return self._fetched.of((repository, digest), ask)
            except ManifestNotFound:
                raise self._part_not_found(parent, descriptor) from None

        return fetch

    def _keep(self, manifest: Manifest) -> Manifest:
        """Keep a manifest for all images; raise `TooLarge` if they would take too much memory."""
        known = self._manifests.setdefault(manifest.digest, manifest)
        if known is manifest:
            self._memory.take_manifest(manifest)
        return known

    def _part_not_found(self, parent: Reference, part: Descriptor) -> ManifestNotFound:
        platform = part.platform
        purpose = f" for {platform}" if platform is not None and platform.is_known else ""
        registry, repository = self.sources.locate(parent.repository)
        return ManifestNotFound(
            f"{registry} lacks a part of {replace(parent, repository=repository)}: the manifest "
            f"{part.digest}{purpose}",
            hint="choose platforms that it has with "
            f"{argument('--platform OS/ARCH', 'platforms=')}",
            status=404,
        )

    def _fetch_below(self, roots: Mapping[Reference, Manifest]) -> None:
        """Fetch all manifests below the roots, level by level.

        A manifest that cannot be fetched is left out: its index is fetched again for each image.
        """
        level = list(roots.items())
        seen = {root.digest for root in roots.values()}
        while level:
            children: dict[Digest, tuple[Reference, Descriptor]] = {}
            for parent, manifest in level:
                for descriptor in manifest.manifests:
                    if descriptor.digest not in seen:
                        children.setdefault(descriptor.digest, (parent, descriptor))
            seen.update(children)
            fetched = self._workers.map(self._fetch_child, children.values())
            level = [child for child in fetched if child is not None]

    def _fetch_child(
        self, child: tuple[Reference, Descriptor]
    ) -> tuple[Reference, Manifest] | None:
        parent, descriptor = child
        try:
            return parent, self._child(parent)(descriptor)
        except DockerCharonError as error:
            if not self.failed.goes_on_after(error, parent.repository):
                raise
            return None

    def _select_platforms(
        self, reference: Reference, root: Manifest, *, skip_missing: bool
    ) -> Manifest | None:
        """Return what the platforms need of an image; ``None`` if it has nothing for them."""
        # Only some runs need it.
        from docker_charon.transfer.platforms import choose, filter_index, not_offered, offers

        repository, name = reference.repository, str(reference)
        child = self._child(reference)
        if not root.is_index:
            platform = self._platform_of(repository, root)
            if platform is None:  # an artifact has no platform
                return root
            if any(wanted.distance(platform) is not None for wanted in self.platforms):
                return root
            if skip_missing:
                return None
            raise not_offered(name, self.platforms[0], [platform])
        offered = offers(root, child, lambda d: self._platform_of(repository, child(d)))
        chosen = choose(offered, self.platforms, name, skip_missing=skip_missing)
        if not chosen:
            return None
        if len(self.platforms) == len(chosen) == 1:
            return child(chosen[0].descriptor)
        for index in filter_index(root, {offer.descriptor.digest for offer in chosen}, child):
            root = self._keep(index)
        return root

    def _platform_of(self, repository: str, manifest: Manifest) -> Platform | None:
        """Return the platform that the config of an image names; an artifact has none."""
        try:
            return self._image_platforms.of(
                manifest.digest,
                lambda: config_platform(
                    manifest, lambda config: self.sources.read_blob(repository, config)
                ),
            )
        except InvalidManifest as error:
            registry, name = self.sources.locate(repository)
            raise InvalidManifest(f"{name}@{manifest.digest} on {registry}: {error}") from None
