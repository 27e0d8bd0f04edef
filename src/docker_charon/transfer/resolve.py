"""Resolving: from the names of images to their manifests, each fetched once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from docker_charon.errors import (
    AuthenticationError,
    ConnectionFailed,
    DigestMismatch,
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
from docker_charon.transfer.results import Results
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers

_T = TypeVar("_T")
_REFUSED = (400, 403, 404, 405)
"""How registries answer to a digest where they know only tags."""
_MOST_HINTS = 10
"""Missing images for which the registry is asked for other names."""


class Resolver:
    """Finds the images of one or several registries by their names.

    If there are several and one fails, its images fail, and those of the others are still looked
    at. With ``platforms``, an image is only what these need of it: the manifest of a single
    platform, or a new index of several.
    """

    def __init__(
        self, sources: Sources, workers: Workers, platforms: Sequence[Platform] = ()
    ) -> None:
        self._sources = sources
        self._workers = workers
        self._platforms = platforms
        self._roots: dict[Reference, Manifest] = {}
        self._manifests: dict[Digest, Manifest] = {}
        self._fetched: Results[tuple[str, str], Manifest] = Results()
        """The manifests by repository, and by the tag or digest that was asked for."""
        self._image_platforms: Results[Digest, Platform | None] = Results()
        self._memory = Memory()
        self._failures: dict[Reference, DockerCharonError] = {}
        self._asked: dict[Reference, None] = {}
        self._missing: set[Reference] = set()
        """The images that their registry does not have at all."""
        self._already_transferred: set[Reference] = set()
        self._failed_registries: dict[str, RegistryError] = {}

    def images(
        self, references: Mapping[str, Reference], *, already_transferred: bool = False
    ) -> list[NamedImage]:
        """Return the images for ``references`` by name, in that order.

        Of images that were ``already_transferred``, platforms that an image does not have are left
        out, and images without any. Images that cannot be transferred are left out as well:
        `check` tells them.
        """
        unique = list(dict.fromkeys(references.values()))
        self._asked.update(dict.fromkeys(unique))
        if already_transferred:
            self._already_transferred.update(unique)
        new = [reference for reference in unique if reference not in self._roots]
        self._roots.update(self._of_each(self._root, new))
        roots = {ref: self._roots[ref] for ref in unique if ref in self._roots}
        if self._platforms:

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

    def check(self) -> None:
        """Raise an error that names every image that cannot be transferred, if there is one.

        It is the image's own error, or `ManifestNotFound` for several images.
        """
        failures = {ref: self._failures[ref] for ref in self._asked if ref in self._failures}
        if not failures:
            return
        registries = self._explain(failures)
        if len(set(map(id, failures.values()))) == 1 and (
            len(failures) == 1 or not self._sources.are_several
        ):
            (error, *_) = failures.values()
            raise error
        raise ManifestNotFound(
            f"{len(failures)} of {len(self._asked)} images cannot be transferred from "
            f"{', '.join(registries)}: {'; '.join(_reasons(failures))}",
            hint="correct the list of images, and run the same command again",
        )

    def source_digest(self, reference: Reference) -> Digest:
        """Return the digest that the registry has for an image, before platforms are chosen."""
        return reference.digest or self._roots[reference].digest

    def _explain(self, failures: dict[Reference, DockerCharonError]) -> list[str]:
        """Improve what the failures say, and return their registries.

        If all images of a host fail that may not be a registry, this is the reason of all of them.
        Other images that are missing get a hint with the names that the user may have meant.
        """
        asked: dict[str, list[Reference]] = {}
        for reference in self._asked:
            asked.setdefault(self._sources.locate(reference.repository)[0], []).append(reference)
        hints = 0
        for references in asked.values():
            doubt = self._sources.doubt(references[0].repository)
            if doubt is not None and failures.keys() >= set(references):
                failures.update(dict.fromkeys(references, doubt))
                continue
            for reference in references:
                if reference in failures and reference in self._missing and hints < _MOST_HINTS:
                    hints += 1
                    from docker_charon.transfer.naming.meant_names import hint_for_missing

                    client, name = self._sources.client(reference.repository)
                    error = failures[reference]
                    there = replace(reference, repository=name)
                    hint = error.hint
                    if reference in self._already_transferred:
                        option = argument(
                            "--already-transferred-payload", "payloads_already_transferred="
                        )
                        hint = f"name the payload that brought it, or an inventory, with {option}"
                    error.hint = hint_for_missing(client, there) or hint
        return [name for name, refs in asked.items() if not failures.keys().isdisjoint(refs)]

    def image(self, name: str, reference: Reference) -> NamedImage:
        """Return one image, for every platform, with one request after the other."""
        root = self._root(reference)
        return NamedImage(name, reference, Image.collect(root, self._child(reference)))

    def with_referrers(self, images: Iterable[NamedImage]) -> list[NamedImage]:
        """Return images with what refers to them; raises as `ReferrerFinder.find` does."""
        from docker_charon.transfer.referrers import ReferrerFinder  # only some runs need it

        images = list(images)
        finder = ReferrerFinder(
            self._sources,
            self._workers,
            lambda repository: self._child(Reference(repository, None, None)),
        )
        referrers = finder.find({image.reference: image.image for image in images})
        return [replace(image, referrers=referrers[image.reference]) for image in images]

    def _of_each(
        self, function: Callable[[Reference], _T], references: Iterable[Reference]
    ) -> dict[Reference, _T]:
        """Return the results for references, without those that fail: `check` reports them."""
        references = list(references)
        results = self._workers.map(
            lambda reference: self.attempt(reference, lambda: (function(reference),)), references
        )
        pairs = zip(references, results, strict=True)
        return {reference: result[0] for reference, result in pairs if result is not None}

    def attempt(self, reference: Reference, task: Callable[[], _T]) -> _T | None:
        """Return the result of a task for one image; ``None`` if it fails, which `check` reports.

        Raises an error that would concern the other images as well.
        """
        self._asked[reference] = None
        try:
            return task()
        except DockerCharonError as error:
            self.collect(reference, error)
            return None

    def collect(self, reference: Reference, error: DockerCharonError) -> None:
        """Keep the error of one image for `check`; raise it if it would concern others as well."""
        if not self._goes_on_after(error, reference):
            raise error
        self._asked[reference] = None
        self._failures.setdefault(reference, error)

    def _goes_on_after(self, error: DockerCharonError, reference: Reference) -> bool:
        """Whether other images can be looked at after an error of this one.

        If it is an error of a whole registry, and there are others, that one is not asked again.
        """
        if _is_of_one_image(error):
            return True
        if not self._sources.are_several or not isinstance(error, RegistryError):
            return False
        registry, _ = self._sources.locate(reference.repository)
        self._failed_registries.setdefault(registry, error)
        return True

    def _get_manifest(self, repository: str, reference: str) -> Manifest:
        """Fetch a manifest, unless its registry has failed."""
        registry, _ = self._sources.locate(repository)
        if registry in self._failed_registries:
            raise self._failed_registries[registry]
        return self._sources.get_manifest(repository, reference)

    def _root(self, reference: Reference) -> Manifest:
        repository, source = reference.repository, reference.source
        try:
            return self._fetched.of(
                (repository, source), lambda: self._keep(self._get_manifest(repository, source))
            )
        except RegistryError as error:
            if isinstance(error, ManifestNotFound):
                self._missing.add(reference)
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
            registry, repository = self._sources.locate(reference.repository)
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
                registry, name = self._sources.locate(repository)
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
        registry, repository = self._sources.locate(parent.repository)
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
            if not self._goes_on_after(error, parent):
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
            if any(wanted.distance(platform) is not None for wanted in self._platforms):
                return root
            if skip_missing:
                return None
            raise not_offered(name, self._platforms[0], [platform])
        offered = offers(root, child, lambda d: self._platform_of(repository, child(d)))
        chosen = choose(offered, self._platforms, name, skip_missing=skip_missing)
        if not chosen:
            return None
        if len(self._platforms) == len(chosen) == 1:
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
                    manifest, lambda config: self._sources.read_blob(repository, config)
                ),
            )
        except InvalidManifest as error:
            registry, name = self._sources.locate(repository)
            raise InvalidManifest(f"{name}@{manifest.digest} on {registry}: {error}") from None


def _is_of_one_image(error: DockerCharonError) -> bool:
    """Whether an error concerns one image, so that the others can be asked for."""
    if isinstance(error, ConnectionFailed):
        return False
    if isinstance(error, AuthenticationError):
        return not error.login_refused
    if isinstance(error, RegistryError):
        return error.status is None or (error.status < 500 and error.status not in (407, 429))
    return isinstance(error, (InvalidManifest, DigestMismatch))


def _reasons(failures: Mapping[Reference, DockerCharonError]) -> list[str]:
    """Return why images cannot be transferred, each reason as a part of one line.

    The images of a registry that fails have the same reason, which is given once.
    """
    names: dict[str, list[str]] = {}
    for reference, error in failures.items():
        reason = f"{error.message}{f' ({error.hint})' if error.hint else ''}"
        own_names = names.setdefault(reason, [])
        if not isinstance(error, ManifestNotFound):  # that names the image itself
            own_names.append(str(reference))
    return [f"{', '.join(n)}: {reason}" if n else reason for reason, n in names.items()]
