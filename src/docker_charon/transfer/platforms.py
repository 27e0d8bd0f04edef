"""The choice of platforms: the part of an index that some platforms need."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from docker_charon.errors import DockerCharonError, InvalidManifest, ManifestNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import INDEX_TYPES, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import checked_names
from docker_charon.value import dataclass

ATTESTED = "vnd.docker.reference.digest"
"""The annotation of an attestation in an index: the digest of the manifest that it is about."""

DEEPEST = 16
"""Levels of indexes below an index; images in practice have none or one."""

Child = Callable[[Descriptor], Manifest]
"""Fetches a manifest below an index."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A manifest in an index, and its platform."""

    descriptor: Descriptor
    platform: Platform


def parse_platforms(platforms: Iterable[str]) -> list[Platform]:
    """Parse platforms, each once; raise `DockerCharonError` if there is none."""
    names = checked_names(platforms, "platforms")
    if not names:
        raise DockerCharonError("there is no platform to transfer", hint="None means all of them")
    return list(dict.fromkeys(map(Platform.parse, names)))


def offers(
    index: Manifest, child: Child, platform_of: Callable[[Descriptor], Platform | None]
) -> list[Offer]:
    """Return the manifests of an index and of its nested indexes that have a platform, in order.

    ``platform_of`` finds the platform of a manifest for which the index gives none. Each index is
    read once. Raises `InvalidManifest` if indexes are nested more than `DEEPEST` levels.
    """
    offered: list[Offer] = []
    seen = {index.digest}
    waiting = [(descriptor, 1) for descriptor in reversed(index.manifests)]
    while waiting:
        descriptor, depth = waiting.pop()
        if descriptor.media_type in INDEX_TYPES:
            if depth > DEEPEST:
                raise InvalidManifest(f"its indexes are nested more than {DEEPEST} levels")
            if descriptor.digest not in seen:
                seen.add(descriptor.digest)
                below = child(descriptor).manifests
                waiting += [(descriptor_below, depth + 1) for descriptor_below in reversed(below)]
        elif ATTESTED not in descriptor.annotations:
            platform = descriptor.platform or platform_of(descriptor)
            if platform is not None and platform.is_known:
                offered.append(Offer(descriptor, platform))
    return offered


def choose(
    offered: Sequence[Offer],
    platforms: Sequence[Platform],
    name: str,
    *,
    skip_missing: bool = False,
) -> list[Offer]:
    """Return for each platform the first of the best offers, as a pull chooses it.

    Windows runs only images for its own version, so the first of each version is chosen.
    ``skip_missing`` leaves out platforms that no offer suits. Otherwise they raise
    `ManifestNotFound`, with a list of what is offered.
    """
    chosen: list[Offer] = []
    for platform in platforms:
        distances = [(platform.distance(offer.platform), offer) for offer in offered]
        suitable = [(distance, offer) for distance, offer in distances if distance is not None]
        if suitable:
            least = min(distance for distance, _ in suitable)
            best = [offer for distance, offer in suitable if distance == least]
            versions: dict[str | None, Offer] = {}
            for offer in best:
                versions.setdefault(offer.platform.os_version, offer)
            is_windows = best[0].platform.normalized.os == "windows"
            chosen += versions.values() if is_windows else best[:1]
        elif not skip_missing:
            raise not_offered(name, platform, [offer.platform for offer in offered])
    return chosen


def not_offered(name: str, platform: Platform, offered: Sequence[Platform]) -> ManifestNotFound:
    """Return the error for an image that does not exist for a platform."""
    platforms = ", ".join(dict.fromkeys(offer.with_version for offer in offered))
    return ManifestNotFound(
        f"{name} has no platform {platform.with_version}",
        hint=f"it has {platforms or 'no named platform'}",
    )


def filter_index(
    index: Manifest,
    chosen: Collection[Digest],
    child: Child,
    filtered: dict[Digest, Manifest] | None = None,
) -> Iterator[Manifest]:
    """Yield an index with only the ``chosen`` manifests and the attestations about them.

    The nested indexes that change come first, the index itself last. An index from which nothing
    is removed stays the same, byte for byte. ``filtered`` are the nested indexes that have been
    filtered already. The depth has been checked by `offers`.
    """
    filtered = {} if filtered is None else filtered
    document = json.loads(index.content)
    kept = []
    entries = document.get("manifests") or []  # Go writes an empty list as null
    for n, entry in enumerate(entries):
        descriptor = Descriptor.parse(entry, f"manifests[{n}]")
        if descriptor.media_type in INDEX_TYPES:
            if descriptor.digest not in filtered:
                *nested, smaller = filter_index(child(descriptor), chosen, child, filtered)
                filtered[descriptor.digest] = smaller
                yield from nested
            smaller = filtered[descriptor.digest]
            if not smaller.manifests:
                continue
            if smaller.digest != descriptor.digest:
                yield smaller
                entry = {**entry, "digest": smaller.digest, "size": len(smaller.content)}
            kept.append(entry)
        elif descriptor.digest in chosen or descriptor.annotations.get(ATTESTED) in chosen:
            kept.append(entry)
    if kept == entries:
        yield index
        return
    content = json.dumps({**document, "manifests": kept}, separators=(",", ":"))
    yield Manifest.parse(content.encode(), index.media_type)
