"""Candidates: for each layer that would travel, the older layers that it may resemble.

They are chosen by what manifests and configs say, without looking at any layer. In the same
repository, the best old layer was made by the same command, is in the same place of its image,
counted from either end, and belongs to the image that has most in common with the new one, or else
to the newest image. If the repository has nothing, old layers of other repositories are candidates
that are in the same place and have about the same size.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from docker_charon.oci.config import ImageConfig
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import PayloadImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.platform import Platform

LEAST_SIZE = 1024 * 1024
"""Bytes of the smallest layer that may be carried as a delta."""
MOST_CANDIDATES = 3
"""The most old layers that are fetched for one new layer."""
MOST_IMAGES = 20
"""The most old images of a repository that are looked at for each platform: the newest ones."""

_SMALLEST_SHARE = 0.1
"""The size of an old layer below which it cannot help much, as a share of the new one."""
_LARGEST_RATIO = 2
"""Between the sizes of layers of different repositories."""


@dataclass(frozen=True)
class LayeredImage:
    """An image manifest of a repository, and what its config says.

    ``platform`` is the one in its index. ``age`` is higher for older images.
    """

    repository: str
    manifest: Manifest
    platform: Platform | None = None
    age: int = 0
    config: ImageConfig = field(default_factory=ImageConfig)

    def command(self, place: int) -> str:
        """Return the command that made the layer in this place, ``""`` if it is unknown."""
        commands = self.config.commands
        return commands[place] if len(commands) == len(self.manifest.layers) else ""

    def has(self, digest: Digest) -> bool:
        """Whether a layer is one of the image."""
        return digest in self._features

    def fits(self, other: LayeredImage) -> bool:
        """Whether two images are for the same platform, as far as that is known.

        They may be for different builds of Windows.
        """
        own, others = (i.platform or i.config.platform for i in (self, other))
        return own is None or others is None or replace(own, os_version=None).distance(others) == 0

    def in_common(self, other: LayeredImage) -> int:
        """Return how many layers and commands two images have in common."""
        return len(self._features & other._features)

    @cached_property
    def _features(self) -> frozenset[str]:
        return frozenset([*(layer.digest for layer in self.manifest.layers), *self.config.commands])


def layered_images(images: Iterable[PayloadImage]) -> list[LayeredImage]:
    """Return the image manifests of ``images``, which are ordered from old to new; newest first.

    Each manifest is there once for each repository.
    """
    result: dict[tuple[str, Digest], LayeredImage] = {}
    for image in reversed(list(images)):
        repository = image.reference.repository
        for graph in image.known_graphs:
            platforms = {
                child.digest: child.platform
                for manifest in graph.manifests
                for child in manifest.manifests
                if child.platform is not None and child.platform.is_known
            }
            for manifest in graph.manifests:
                if manifest.layers and not manifest.is_index:
                    platform = platforms.get(manifest.digest)
                    layered = LayeredImage(repository, manifest, platform, age=len(result))
                    result.setdefault((repository, manifest.digest), layered)
    return list(result.values())


def is_candidate(layer: Descriptor) -> bool:
    """Whether a layer may be carried as a delta, or be the base of one, by its descriptor."""
    return (
        layer.digest.algorithm == "sha256"
        and not layer.is_non_distributable
        and layer.media_type.endswith(("tar", "gzip"))
    )


def is_worth_comparing(layer: Descriptor) -> bool:
    """Whether a new layer may be carried as a delta, by its descriptor."""
    return layer.size >= LEAST_SIZE and is_candidate(layer)


def newest_of_each(images: Iterable[LayeredImage]) -> list[LayeredImage]:
    """Return the newest `MOST_IMAGES` images of each repository and platform; newest first."""
    counts: dict[tuple[str, Platform | None], int] = {}
    chosen = []
    for image in sorted(images, key=lambda image: image.age):
        key = image.repository, image.platform
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= MOST_IMAGES:
            chosen.append(image)
    return chosen


def choose_candidates(
    new_images: Sequence[LayeredImage],
    old_images: Sequence[LayeredImage],
    travelling: Collection[Digest],
    at_destination: Collection[Digest],
) -> dict[Digest, tuple[Descriptor, ...]]:
    """Return the candidates of each layer that would travel and has some, the best ones first.

    ``travelling`` and ``at_destination`` are the digests of all blobs that would be carried, and
    that the destination has.
    """
    old_layers = [
        _OldLayer(layer, place, image)
        for image in old_images
        for place, layer in enumerate(image.manifest.layers)
        if layer.digest in at_destination and is_candidate(layer)
    ]
    by_repository: dict[str, list[_OldLayer]] = {}
    for old in old_layers:
        by_repository.setdefault(old.image.repository, []).append(old)
    elsewhere = _Elsewhere(old_layers)
    ranked: dict[Digest, dict[Digest, tuple[_Rank, Descriptor]]] = {}
    for image in new_images:
        olds = by_repository.get(image.repository, [])
        for place, layer in enumerate(image.manifest.layers):
            if layer.digest not in travelling or not is_worth_comparing(layer):
                continue
            best = ranked.setdefault(layer.digest, {})
            for old in olds or elsewhere.near(layer, place):
                if not old.may_help(layer, image):
                    continue
                rank = old.rank(layer, place, image)
                known = best.get(old.layer.digest)
                if known is None or rank < known[0]:
                    best[old.layer.digest] = rank, old.layer
    return {digest: chosen for digest, best in ranked.items() if (chosen := _best(best))}


_Rank = tuple[bool, int, int, int, int, Digest]


def _best(ranked: Mapping[Digest, tuple[_Rank, Descriptor]]) -> tuple[Descriptor, ...]:
    best = heapq.nsmallest(MOST_CANDIDATES, ranked.values(), key=lambda pair: pair[0])
    return tuple(layer for _, layer in best)


@dataclass(frozen=True, slots=True)
class _OldLayer:
    layer: Descriptor
    place: int
    image: LayeredImage

    def may_help(self, layer: Descriptor, image: LayeredImage) -> bool:
        """Whether it may have content of a new layer of an image.

        A layer that the new image has as well hardly has the same files as another layer of it.
        """
        return (
            self.layer.size >= _SMALLEST_SHARE * layer.size
            and not image.has(self.layer.digest)
            and image.fits(self.image)
        )

    def rank(self, layer: Descriptor, place: int, image: LayeredImage) -> _Rank:
        """Return how well it fits a new layer in its place: less is better."""
        command = image.command(place)
        is_other_command = not command or command != self.image.command(self.place)
        ends = len(image.manifest.layers), len(self.image.manifest.layers)
        distance = min(abs(place - self.place), abs((ends[0] - place) - (ends[1] - self.place)))
        return (
            is_other_command,
            distance,
            -image.in_common(self.image),
            self.image.age,
            abs(layer.size - self.layer.size),
            self.layer.digest,
        )


class _Elsewhere:
    """The old layers of all repositories by their place, ordered by size."""

    def __init__(self, layers: Iterable[_OldLayer]) -> None:
        by_place: dict[int, dict[Digest, _OldLayer]] = {}
        for old in layers:
            by_place.setdefault(old.place, {}).setdefault(old.layer.digest, old)
        self._by_place = {
            place: sorted(olds.values(), key=lambda old: (old.layer.size, old.layer.digest))
            for place, olds in by_place.items()
        }

    def near(self, layer: Descriptor, place: int) -> Iterator[_OldLayer]:
        """Yield the old layers in this place whose sizes are the nearest ones."""
        olds = self._by_place.get(place, [])
        middle = bisect.bisect_left(olds, layer.size, key=lambda old: old.layer.size)
        for old in olds[max(0, middle - MOST_CANDIDATES) : middle + MOST_CANDIDATES]:
            sizes = sorted((old.layer.size, layer.size))
            if sizes[1] <= _LARGEST_RATIO * sizes[0]:
                yield old
