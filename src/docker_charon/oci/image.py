"""An image: a manifest with all manifests and blobs below it, its name, and its referrers."""

from __future__ import annotations

from collections.abc import Callable

from docker_charon.errors import InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.value import dataclass

MAX_CONFIG_SIZE = 8 * 1024 * 1024
"""Bytes of a config that is read to find its platform."""


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and all manifests below it: each once, children before their index."""

    manifests: tuple[Manifest, ...]

    @classmethod
    def collect(cls, root: Manifest, child: Callable[[Descriptor], Manifest]) -> Image:
        """Collect the manifests below ``root``, children first.

        ``child`` returns the manifest of a descriptor; it is called once for each digest, and its
        errors are passed on. Raises `InvalidManifest` if two manifests give one blob different
        sizes.
        """
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
        """The manifest that the image's name refers to."""
        return self.manifests[-1]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every config and layer, each digest once."""
        unique = {blob.digest: blob for manifest in self.manifests for blob in manifest.blobs}
        return tuple(unique.values())


@dataclass(frozen=True, slots=True)
class Referrer:
    """An artifact that refers to another manifest.

    Its manifest names the other one as its ``subject`` (OCI image-spec 1.1, manifest). If ``tag``
    is set, it is found under that tag instead, by cosign's convention.
    """

    image: Image
    tag: str | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest that refers to the other one."""
        return self.image.root


@dataclass(frozen=True, slots=True)
class PayloadImage:
    """An image of a payload: its name as the user gave it and as a reference, and its referrers.

    ``image`` is ``None`` if its manifests are not known.
    """

    name: str
    reference: Reference
    image: Image | None
    referrers: tuple[Referrer, ...] = ()

    @property
    def known_graphs(self) -> tuple[Image, ...]:
        """The image, if it is known, and its referrers."""
        image = () if self.image is None else (self.image,)
        return (*image, *(referrer.image for referrer in self.referrers))

    @property
    def graphs(self) -> tuple[Image, ...]:
        """The graphs of ``known_graphs`` that are transferred."""
        return self.known_graphs

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Every manifest of ``graphs``, each once, children first."""
        return tuple({m.digest: m for graph in self.graphs for m in graph.manifests}.values())

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every config and layer of ``graphs``, each once."""
        return tuple({b.digest: b for graph in self.graphs for b in graph.blobs}.values())


@dataclass(frozen=True, slots=True)
class NamedImage(PayloadImage):
    """An image that is transferred with its referrers."""

    image: Image

    @property
    def root(self) -> Manifest:
        """The manifest that the name stands for."""
        return self.image.root

    @property
    def is_filtered(self) -> bool:
        """Whether its digest differs from the one in its name, because platforms were left out."""
        digest = self.reference.digest
        return digest is not None and not self.root.has_digest(digest)


@dataclass(frozen=True, slots=True)
class SkippedImage(PayloadImage):
    """An image that the destination is expected to have; only its referrers are transferred.

    ``image`` is what the name referred to at the source; ``None`` in payloads of docker-charon 0.1
    and 0.4, which do not record it.
    """

    @property
    def graphs(self) -> tuple[Image, ...]:
        """The referrers."""
        return tuple(referrer.image for referrer in self.referrers)


def config_platform(manifest: Manifest, read: Callable[[Descriptor], bytes]) -> Platform | None:
    """Return the platform in an image's config (OCI image-spec 1.1, config).

    ``read`` returns the bytes of a blob; its errors are passed on. The result is ``None`` for an
    index, for an artifact, and for a config that has no platform or is not JSON. Raises
    `InvalidManifest` for a config of more than `MAX_CONFIG_SIZE` bytes, which is not read.
    """
    config = manifest.config
    if config is None or config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        return None
    if config.size > MAX_CONFIG_SIZE:
        raise InvalidManifest(
            f"its config {config.digest} has {config.size:,} bytes: too many to look for its "
            "platform"
        )
    from docker_charon.oci.config import ImageConfig  # only a choice of platforms needs it

    return ImageConfig.parse(read(config)).platform
