"""An image: the graph below one manifest, its name, and what refers to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from docker_charon.errors import InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import parse_json
from docker_charon.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference

MAX_CONFIG_SIZE = 8 * 1024 * 1024
"""Bytes of a config that is read to find its platform."""


@dataclass(frozen=True, slots=True)
class Image:
    """The graph below one manifest: every manifest once, children before their index."""

    manifests: tuple[Manifest, ...]

    @classmethod
    def collect(cls, root: Manifest, child: Callable[[Descriptor], Manifest]) -> Image:
        """Walk down from ``root``, asking ``child`` for each manifest below it once."""
        known = {root.digest: root}
        ordered: dict[Digest, Manifest] = {}
        waiting = [(root, False)]
        while waiting:
            manifest, children_done = waiting.pop()
            if children_done:
                ordered[manifest.digest] = manifest
            elif manifest.digest not in ordered:
                waiting.append((manifest, True))
                for descriptor in reversed(manifest.manifests):
                    if descriptor.digest not in known:
                        known[descriptor.digest] = child(descriptor)
                    waiting.append((known[descriptor.digest], False))
        image = cls(tuple(ordered.values()))
        sizes = {blob.digest: blob.size for blob in image.blobs}
        for blob in (blob for manifest in image.manifests for blob in manifest.blobs):
            if sizes[blob.digest] != blob.size:
                raise InvalidManifest(f"{root.digest} gives {blob.digest} two sizes")
        return image

    @property
    def root(self) -> Manifest:
        """The manifest that the image's name stands for."""
        return self.manifests[-1]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every config and layer, each digest once."""
        unique = {blob.digest: blob for manifest in self.manifests for blob in manifest.blobs}
        return tuple(unique.values())


@dataclass(frozen=True, slots=True)
class Referrer:
    """An artifact that refers to a manifest, and all that lies below it.

    It is found by the ``subject`` that its manifest names or, where ``tag`` is given, under that
    tag, as cosign does it.
    """

    image: Image
    tag: str | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest that refers to another one."""
        return self.image.root


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image under the name that the user gave it, that name's parts, and what refers to it."""

    name: str
    reference: Reference
    image: Image
    referrers: tuple[Referrer, ...] = ()

    @property
    def is_filtered(self) -> bool:
        """Whether it has another digest than its name says, as it is only a part of that."""
        digest = self.reference.digest
        return digest is not None and not self.image.root.has_digest(digest)

    @property
    def graphs(self) -> tuple[Image, ...]:
        """The image itself, and what refers to it."""
        return (self.image, *(referrer.image for referrer in self.referrers))

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Every manifest of the image and of what refers to it, each once, children first."""
        return _unique_manifests(self.graphs)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every config and layer of the image and of what refers to it, each once."""
        return _unique_blobs(self.graphs)

    def under(self, prefix: str) -> NamedImage:
        """Return it with ``prefix/`` before its repository, and with the same name."""
        return replace(self, reference=self.reference.under(prefix))


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that the destination is said to have, and what refers to it that is carried.

    ``image`` is what it was at the source; the payloads of 0.1 and 0.4 did not record it.
    """

    name: str
    reference: Reference
    image: Image | None
    referrers: tuple[Referrer, ...] = ()

    @property
    def graphs(self) -> tuple[Image, ...]:
        """What refers to it."""
        return tuple(referrer.image for referrer in self.referrers)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob of what refers to it."""
        return _unique_blobs(self.graphs)

    def under(self, prefix: str) -> SkippedImage:
        """Return it with ``prefix/`` before its repository, and with the same name."""
        return replace(self, reference=self.reference.under(prefix))


def config_platform(manifest: Manifest, read: Callable[[Descriptor], bytes]) -> Platform | None:
    """Return the platform that an image's config names (OCI image-spec 1.1, config).

    ``read`` returns the bytes of a blob. The result is ``None`` for an index, for an artifact, and
    for a config that names no platform or is not JSON. Raises `InvalidManifest` for a config of
    more than `MAX_CONFIG_SIZE` bytes, which is not read.
    """
    config = manifest.config
    if config is None or config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        return None
    if config.size > MAX_CONFIG_SIZE:
        raise InvalidManifest(
            f"its config {config.digest} has {config.size:,} bytes: too many to look for its "
            "platform"
        )
    try:
        document = parse_json(read(config))
    except ValueError:
        return None
    return Platform.of(document) if isinstance(document, dict) else None


def _unique_manifests(images: Iterable[Image]) -> tuple[Manifest, ...]:
    """Return the manifests of several images, each once, in their order."""
    return tuple({m.digest: m for image in images for m in image.manifests}.values())


def _unique_blobs(images: Iterable[Image]) -> tuple[Descriptor, ...]:
    """Return the blobs of several images, each once, in their order."""
    return tuple({blob.digest: blob for image in images for blob in image.blobs}.values())
