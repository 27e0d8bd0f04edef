"""Inspecting a payload: what it brings, and what it expects, from its metadata alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO

from docker_charon.errors import InvalidManifest, one_line
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage, SkippedImage, config_platform
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.progress import counted, shown_size


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One image of a payload; sizes are in bytes.

    ``digest`` is ``None`` for an image that an older payload skips. ``size`` is that of the whole
    image and of the ``referrers`` that are carried with it, of each of which the type is given;
    ``carried`` is that of those of their blobs and manifests that are in the payload, whoever
    shares them. ``expected`` are the repositories of the destination in which the other blobs,
    ``lacking`` of them, should be.
    """

    name: str
    digest: str | None
    skipped: bool
    platforms: tuple[str, ...]
    size: int
    carried: int
    lacking: int
    expected: tuple[str, ...]
    referrers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PayloadSummary:
    """A payload; sizes are in bytes, and content that images share counts once.

    ``size`` is that of all its images, ``carried`` of what is in the payload, and ``saved`` of what
    it leaves out because the destination has it. ``foreign`` are the digests of the layers that
    neither has, and that are to be had from the addresses in their manifests.
    """

    images: tuple[ImageSummary, ...]
    size: int
    carried: int
    saved: int
    foreign: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return it as a JSON object with these names, which stay as they are."""
        return json.dumps(asdict(self), indent=2)

    def as_table(self) -> str:
        """Return it for people: a line an image, and the sums."""
        rows = [("IMAGE", "PLATFORMS", "SIZE", "CARRIED", "EXPECTED THERE")]
        for image in self.images:
            expected = ", ".join(image.expected)
            if image.skipped:
                expected = "the image itself"
            elif image.lacking:
                expected = f"{image.lacking} blobs, in {expected}"
            platforms = ", ".join(image.platforms) or "-"
            sizes = shown_size(image.size) if image.digest else "-", shown_size(image.carried)
            rows.append((image.name, platforms, *sizes, expected or "-"))
            rows += [(f"  + {kind}", "", "", "", "") for kind in image.referrers]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        lines.append(
            f"{counted(len(self.images), 'image')} of {shown_size(self.size)}: "
            f"{shown_size(self.carried)} carried, {shown_size(self.saved)} saved"
        )
        if self.foreign:
            lines.append(f"{len(self.foreign)} foreign layers are carried by nobody")
        return "\n".join(lines)


def inspect_payload(zip_file: str | os.PathLike[str] | IO[bytes]) -> PayloadSummary:
    """Tell what a payload brings and what it expects at the destination.

    Only its metadata and manifests are read; `verify_payload` reads the rest. ``zip_file`` is a
    path, or a file object opened for bytes, which is left open.

    Raises:
        PayloadError: The payload cannot be read, or is not a whole one.
    """
    with open_payload(zip_file) as payload:
        sizes: dict[Digest, int] = {}
        carried: dict[Digest, int] = {}
        images: dict[str, ImageSummary] = {}
        every: list[NamedImage | SkippedImage] = [*payload.images, *payload.skipped]
        for one in every:
            graphs = _graphs(one)
            own, parts = _manifests(graphs), _parts(graphs)
            there = {
                digest: size
                for digest, size in parts.items()
                if digest in payload.carried or digest in own
            }
            lacking = [d for d in parts if d not in there and d not in payload.non_distributable]
            sizes |= parts
            carried |= there
            images[one.name] = _summary(payload, one, parts, there, lacking)
        total, brought = sum(sizes.values()), sum(carried.values())
        foreign = sum(size for digest, size in sizes.items() if digest in payload.non_distributable)
        return PayloadSummary(
            images=tuple(images[name] for name in payload.names),
            size=total,
            carried=brought,
            saved=total - brought - foreign,
            foreign=tuple(sorted(payload.non_distributable)),
        )


def _summary(
    payload: Payload,
    one: NamedImage | SkippedImage,
    parts: Mapping[Digest, int],
    there: Mapping[Digest, int],
    lacking: Sequence[Digest],
) -> ImageSummary:
    skipped = isinstance(one, SkippedImage)
    expected = _unique(r for d in lacking for r in payload.at_destination.get(d, ())[:1])
    return ImageSummary(
        name=one.name,
        digest=one.image.root.digest if one.image else None,
        skipped=skipped,
        platforms=_platforms(payload, one.image) if one.image else (),
        size=sum(parts.values()),
        carried=sum(there.values()),
        lacking=len(lacking),
        expected=(one.reference.repository,) if skipped else expected,
        referrers=tuple(one_line(referrer.manifest.artifact_type) for referrer in one.referrers),
    )


def _graphs(one: NamedImage | SkippedImage) -> tuple[Image, ...]:
    """Return an image, as far as it is known, and what refers to it."""
    skipped = one.image if isinstance(one, SkippedImage) else None
    return one.graphs if skipped is None else (skipped, *one.graphs)


def _manifests(graphs: Iterable[Image]) -> dict[Digest, int]:
    return {m.digest: m.descriptor.size for graph in graphs for m in graph.manifests}


def _parts(graphs: Iterable[Image]) -> dict[Digest, int]:
    """Return the size of everything in some images, by digest."""
    blobs = {blob.digest: blob.size for graph in graphs for blob in graph.blobs}
    return {**_manifests(graphs), **blobs}


def _platforms(payload: Payload, image: Image) -> tuple[str, ...]:
    """Return what an image runs on: an index says so itself, an image's config does."""
    if image.root.is_index:
        platforms = [child.platform for m in image.manifests for child in m.manifests]
        return _unique(one_line(str(p)) for p in platforms if p is not None and p.os != "unknown")
    if not image.root.config or image.root.config.digest not in payload.carried:
        return ()
    try:
        platform = config_platform(
            image.root, lambda config: b"".join(map(bytes, payload.body(config)))
        )
    except InvalidManifest:
        return ()
    return () if platform is None else (one_line(str(platform)),)


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
