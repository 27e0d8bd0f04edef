"""The reader of the images in a payload, including payloads of docker-charon 0.1 and 0.4."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from docker_charon.errors import DockerCharonError, InvalidReference, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage, Referrer, SkippedImage
from docker_charon.oci.manifest import MAX_SIZE, Manifest
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import cosign_tags
from docker_charon.payload.archives.archive import Archive, Report
from docker_charon.payload.archives.damage import damaged
from docker_charon.payload.archives.required_entry import required_content
from docker_charon.payload.format.index import cosign_name, parse_index
from docker_charon.payload.format.limits import Memory, TooLarge
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH, blob_path
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor


class ImageReader:
    """Reads the images that a descriptor lists, and each of their manifests once.

    ``memory`` counts the manifests.
    """

    def __init__(self, archive: Archive, descriptor: PayloadDescriptor, memory: Memory) -> None:
        self._archive = archive
        self._descriptor = descriptor
        self._memory = memory
        self._manifests: dict[Descriptor | str, Manifest] = {}

    def images(self, report: Report) -> Iterator[NamedImage | SkippedImage]:
        """Yield the images in their order, without those whose name or manifests are a problem.

        These problems go to ``report``. Raises `PayloadError` for a problem of all images, and
        `TooLarge` if they would take too much memory.
        """
        roots, referrer_roots, other_names = self._roots()
        for name, path in self._descriptor.manifests.items():
            try:
                reference = Reference.parse_named(name, self._descriptor.registries)
                image = self._image(name, path, roots.get(name))
                if image is not None:
                    is_filtered = name in self._descriptor.filtered
                    reference = _with_digest_of(image.root, name, reference, is_filtered)
                referrers = self._referrers(name, image, referrer_roots)
            except InvalidReference as error:
                report(PayloadError(f"{DESCRIPTOR_PATH} is malformed: {error}"))
            except TooLarge:
                raise
            except PayloadError as error:
                report(error)
            else:
                if path is not None and image is not None:
                    yield NamedImage(name, reference, image, referrers)
                else:
                    yield SkippedImage(name, reference, image, referrers)
        if not other_names <= _cosign_names(self._descriptor):
            raise _different_names()

    def _roots(self) -> tuple[dict[str, Descriptor], dict[Digest, Descriptor], set[str]]:
        """Return the roots of images by name, those of referrers by digest, and other names.

        All three may be empty.
        """
        if not self._descriptor.has_layout:
            return {}, {}, set()
        index = parse_index(required_content(self._archive, INDEX_PATH))
        images = [(name, root) for name, root in index if name in self._descriptor.manifests]
        roots = {name: root for name, root in images if name is not None}
        if len(roots) != len(images) or roots.keys() != self._descriptor.manifests.keys():
            raise _different_names()
        referrers = {root.digest: root for name, root in index if name not in roots}
        return roots, referrers, {name for name, _ in index if name is not None} - roots.keys()

    def _referrers(
        self,
        name: str,
        image: Image | None,
        roots: Mapping[Digest, Descriptor],
    ) -> tuple[Referrer, ...]:
        """Return the referrers of an image, and the referrers of these."""
        manifests = image.manifests if image else ()
        subjects = {digest for manifest in manifests for digest in manifest.digests}
        tags = {tag for subject in subjects for tag in cosign_tags(subject)}
        referrers = []
        for digest, tag in self._descriptor.referrers.get(name, ()):
            if digest not in roots:
                raise PayloadError(f"{INDEX_PATH} lacks {digest}, which refers to {name}")
            graph = self._graph(name, self._manifest(name, roots[digest]))
            if tag not in tags if tag else graph.root.subject_digest not in subjects:
                raise PayloadError(f"{DESCRIPTOR_PATH}: {digest} does not refer to {name}")
            for manifest in graph.manifests:
                subjects.update(manifest.digests)
                tags.update(tag for known in manifest.digests for tag in cosign_tags(known))
            referrers.append(Referrer(graph, tag))
        return tuple(referrers)

    def _image(self, name: str, path: str | None, root: Descriptor | None) -> Image | None:
        """Return an image with all its manifests; ``None`` if the payload does not have them."""
        if root is not None:
            if path not in (None, blob_path(root.digest)):
                raise PayloadError(f"{INDEX_PATH} and {DESCRIPTOR_PATH} disagree on {name}")
            return self._graph(name, self._manifest(name, root))
        if path is not None:
            return self._graph(name, self._parse_once(path, path, name, Manifest.parse))
        return None

    def _graph(self, name: str, root: Manifest) -> Image:
        with _naming(name):
            return Image.collect(root, lambda child: self._manifest(name, child))

    def _manifest(self, name: str, descriptor: Descriptor) -> Manifest:
        """Return the manifest that ``descriptor``, a part of the image ``name``, refers to."""
        key = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        path = blob_path(descriptor.digest)
        return self._parse_once(key, path, name, lambda data: Manifest.of(descriptor, data))

    def _parse_once(
        self, key: Descriptor | str, path: str, name: str, parse: Callable[[bytes], Manifest]
    ) -> Manifest:
        """Read and parse a manifest; once, even if several images share it."""
        if key not in self._manifests:
            with _naming(name):
                manifest = parse(required_content(self._archive, path, MAX_SIZE, name))
            self._memory.take_manifest(manifest)
            self._manifests[key] = manifest
        self._memory.take_use(self._manifests[key])
        return self._manifests[key]


def _different_names() -> PayloadError:
    return PayloadError(f"{INDEX_PATH} and {DESCRIPTOR_PATH} name different images")


def _cosign_names(descriptor: PayloadDescriptor) -> set[str]:
    """Return the names in ``index.json`` of the referrers under cosign's tags."""
    names: set[str] = set()
    for name, referrers in descriptor.referrers.items():
        with contextlib.suppress(InvalidReference):  # it is reported with its image
            image = Reference.parse_named(name, descriptor.registries)
            names.update(cosign_name(image, tag) for _, tag in referrers if tag is not None)
    return names


def _with_digest_of(
    root: Manifest, name: str, reference: Reference, is_filtered: bool
) -> Reference:
    """Return the reference to push ``root`` to; a filtered image has a digest of its own."""
    if reference.digest is None or root.has_digest(reference.digest):
        return reference
    if not is_filtered:
        raise PayloadError(f"the payload has {root.digest} as {name}")
    return replace(reference, digest=root.digest)


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn errors in a manifest into a `PayloadError` that names its image."""
    try:
        yield
    except PayloadError:
        raise
    except DockerCharonError as error:
        raise damaged(f"a manifest of {name}: {error}") from None
