"""Inspecting a payload: what it brings, and what it expects, from its metadata alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO, Any

from docker_charon.descriptor import Descriptor, Platform
from docker_charon.digest import Digest
from docker_charon.errors import one_line
from docker_charon.manifest import Image
from docker_charon.payload_reader import Payload, open_payload

_LONGEST_CONFIG = 1024 * 1024  # bytes; an image's platform stands in its config


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One image of a payload; sizes are in bytes.

    ``digest`` is ``None`` for an image that an older payload skips. ``size`` is that of the whole
    image, ``carried`` of those of its blobs and manifests that are in the payload, whoever shares
    them. ``expected`` are the repositories of the destination in which the other blobs, ``lacking``
    of them, should be.
    """

    name: str
    digest: str | None
    skipped: bool
    platforms: tuple[str, ...]
    size: int
    carried: int
    lacking: int
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PayloadSummary:
    """A payload; sizes are in bytes, and content that images share counts once.

    ``size`` is that of all its images, ``carried`` of what is in the payload, and ``saved`` of what
    it leaves out because the destination has it.
    """

    images: tuple[ImageSummary, ...]
    size: int
    carried: int
    saved: int

    def as_json(self) -> str:
        """Return it as a JSON object with these names, which stay as they are."""
        return json.dumps(asdict(self), indent=2)


def inspect_payload(zip_file: str | os.PathLike[str] | IO[bytes]) -> PayloadSummary:
    """Tell what a payload brings and what it expects at the destination.

    Only its metadata and manifests are read; `verify_payload` reads the rest. ``zip_file`` is a
    path, or a file object opened for bytes, which is left open.

    Raises:
        PayloadError: The payload cannot be read, or is not a whole one.
    """
    with open_payload(zip_file) as payload:
        images: dict[str, ImageSummary] = {}
        sizes: dict[Digest, int] = {}
        carried: dict[Digest, int] = {}
        for named in payload.images:
            parts = _parts(named.image)
            own = {manifest.digest for manifest in named.image.manifests}
            there = {d: size for d, size in parts.items() if d in own or d in payload.carried}
            lacking = [d for d in parts if d not in there]
            sizes |= parts
            carried |= there
            images[named.name] = ImageSummary(
                name=named.name,
                digest=named.image.root.digest,
                skipped=False,
                platforms=_platforms(payload, named.image),
                size=sum(parts.values()),
                carried=sum(there.values()),
                lacking=len(lacking),
                expected=_unique(r for d in lacking for r in payload.elsewhere.get(d, ())[:1]),
            )
        for skipped in payload.skipped:
            parts = _parts(skipped.image) if skipped.image else {}
            sizes |= parts
            manifests = skipped.image.manifests if skipped.image else ()
            carried |= {m.digest: m.descriptor.size for m in manifests}
            images[skipped.name] = ImageSummary(
                name=skipped.name,
                digest=skipped.image.root.digest if skipped.image else None,
                skipped=True,
                platforms=_platforms(payload, skipped.image) if skipped.image else (),
                size=sum(parts.values()),
                carried=sum(m.descriptor.size for m in manifests),
                lacking=len(parts) - len(manifests),
                expected=(skipped.reference.repository,),
            )
    total, brought = sum(sizes.values()), sum(carried.values())
    return PayloadSummary(
        images=tuple(images[name] for name in payload.names),
        size=total,
        carried=brought,
        saved=total - brought,
    )


def _parts(image: Image) -> dict[Digest, int]:
    """Return the size of everything in an image, by digest."""
    descriptors = [manifest.descriptor for manifest in image.manifests]
    return {part.digest: part.size for part in (*descriptors, *image.blobs)}


def _platforms(payload: Payload, image: Image) -> tuple[str, ...]:
    """Return what an image runs on: an index says so itself, an image's config does."""
    if image.root.is_index:
        platforms = [child.platform for m in image.manifests for child in m.manifests]
        return _unique(one_line(str(p)) for p in platforms if p is not None and p.os != "unknown")
    config = image.root.blobs[0]
    if config.digest not in payload.carried or config.size > _LONGEST_CONFIG:
        return ()
    platform = _platform_of(payload, config)
    return () if platform is None else (one_line(str(platform)),)


def _platform_of(payload: Payload, config: Descriptor) -> Platform | None:
    try:
        document: Any = json.loads(b"".join(bytes(chunk) for chunk in payload.body(config)))
        parts = [document.get(key) or "" for key in ("os", "architecture", "variant")]
    except (ValueError, AttributeError, RecursionError):
        return None
    if not all(isinstance(part, str) for part in parts) or not parts[0] or not parts[1]:
        return None  # an artifact's config says nothing of platforms
    return Platform(parts[0], parts[1], parts[2] or None)


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
