"""A selection: what some platforms need of an index that has more of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from docker_charon.errors import ManifestNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import INDEX_TYPES, Manifest
from docker_charon.oci.platform import Platform

ATTESTED = "vnd.docker.reference.digest"
"""The annotation by which an attestation in an index names the manifest that it is about."""

Child = Callable[[Descriptor], Manifest]
"""Fetches a manifest below an index."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A manifest in an index, and what it runs on."""

    descriptor: Descriptor
    platform: Platform


def offers(
    index: Manifest, child: Child, platform_of: Callable[[Descriptor], Platform | None]
) -> list[Offer]:
    """Return what an index, and those in it, has for platforms, in its order.

    ``platform_of`` finds out what a manifest runs on of which the index does not tell.
    """
    found: list[Offer] = []
    for descriptor in index.manifests:
        if descriptor.media_type in INDEX_TYPES:
            found += offers(child(descriptor), child, platform_of)
        elif ATTESTED not in descriptor.annotations:
            platform = descriptor.platform or platform_of(descriptor)
            if platform is not None and platform.is_known:
                found.append(Offer(descriptor, platform))
    return found


def choose(offered: Sequence[Offer], platforms: Sequence[Platform], name: str) -> list[Offer]:
    """Return, for each of ``platforms``, the first that fits best, as a pull would take it.

    Raises `ManifestNotFound`, with those that there are, when there is none for one of them.
    """
    chosen = []
    for platform in platforms:
        distances = [(platform.distance(offer.platform), offer) for offer in offered]
        fitting = [(distance, offer) for distance, offer in distances if distance is not None]
        if not fitting:
            raise not_offered(name, platform, [offer.platform for offer in offered])
        chosen.append(min(fitting, key=lambda pair: pair[0])[1])
    return chosen


def not_offered(name: str, platform: Platform, offered: Sequence[Platform]) -> ManifestNotFound:
    """Return the error of an image that has no such platform."""
    there = ", ".join(dict.fromkeys(str(one) for one in offered)) or "none that is named"
    return ManifestNotFound(f"{name} has no platform {platform}", hint=f"it has {there}")


def filtered(index: Manifest, chosen: Collection[Digest], child: Child) -> Iterator[Manifest]:
    """Yield what an index becomes with only ``chosen`` and the attestations about them.

    The new index comes last, and before it those below it that become others too. An index of
    which nothing is left out stays as it is, to the byte.
    """
    document = json.loads(index.content)
    kept = []
    listed = document.get("manifests") or []  # Go writes an empty list as null
    for n, value in enumerate(listed):
        descriptor = Descriptor.parse(value, f"manifests[{n}]")
        if descriptor.media_type in INDEX_TYPES:
            *below, smaller = filtered(child(descriptor), chosen, child)
            if not smaller.manifests:
                continue
            yield from below
            if smaller.digest != descriptor.digest:
                yield smaller
                value = {**value, "digest": smaller.digest, "size": len(smaller.content)}
            kept.append(value)
        elif descriptor.digest in chosen or descriptor.annotations.get(ATTESTED) in chosen:
            kept.append(value)
    if kept == listed:
        yield index
        return
    content = json.dumps({**document, "manifests": kept}, separators=(",", ":"))
    yield Manifest.parse(content.encode(), index.media_type)
