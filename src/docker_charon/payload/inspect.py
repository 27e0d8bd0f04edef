"""The summary of a payload: what it carries and what it expects, from its metadata alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from docker_charon.errors import InvalidManifest
from docker_charon.messages import one_line
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, SkippedImage, config_platform
from docker_charon.payload.file_object import PayloadSource
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.payload.table import table, wrapped
from docker_charon.progress import counted, counts, shown_size


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One image of a payload; sizes are in bytes.

    ``digest`` is ``None`` for a skipped image of docker-charon 0.1 or 0.4. ``size`` is the size of
    the image with its referrers, whose artifact types are ``referrers``. ``carried`` is the size of
    those of their manifests and blobs that are in the payload, shared ones included. ``lacking`` is
    the number of blobs that are not in it, and ``expected`` are the repositories of the destination
    that should have them.
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
class DeltaSummary:
    """A layer that a payload carries as its difference to older ones; sizes are in bytes.

    ``digest`` and ``size`` are those of the layer, ``carried`` is the size of the difference, and
    ``bases`` are the digests of the older layers, which the destination is expected to have.
    """

    digest: str
    size: int
    carried: int
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PayloadSummary:
    """A payload; sizes are in bytes, and content that images share counts once.

    ``size`` is the size of all images. ``carried`` is the size of what is in the payload. ``saved``
    is how much smaller the payload is because the destination has blobs: those that are left out,
    and those to which layers are carried as differences. ``foreign`` are the digests of the
    non-distributable layers that neither has; they are downloaded from the URLs in the manifests.
    ``signing_key`` is the key that the payload claims to be signed with, and ``signer`` the allowed
    signer whose key it is; without a file of allowed signers that is not verified, and ``None``.
    ``kind`` is ``payload``, ``ledger`` or ``receipt``; an inventory is a payload that carries no
    layers. ``delivery`` is the number of the delivery in its ledger, and in a ledger that of the
    last one; ``None`` without a ledger. Of a receipt, ``registry`` is the one that it was written
    for, and ``missing_images`` (with the reasons) and ``missing_blobs`` are those of the payload
    that are not there. ``deltas`` are the layers that are carried as differences.
    """

    images: tuple[ImageSummary, ...]
    size: int
    carried: int
    saved: int
    foreign: tuple[str, ...] = ()
    signing_key: str | None = None
    signer: str | None = None
    kind: str = "payload"
    delivery: int | None = None
    registry: str | None = None
    missing_images: Mapping[str, str] = field(default_factory=dict, hash=False)
    missing_blobs: tuple[str, ...] = ()
    deltas: tuple[DeltaSummary, ...] = ()

    def as_json(self) -> str:
        """Return a JSON object whose keys are the attributes; they do not change."""
        return json.dumps(asdict(self), indent=2)

    def as_table(self, columns: int | None = None) -> str:
        """Return a table for people: one line for each image, and the totals.

        Nothing is wider than ``columns``, apart from long words; ``None`` sets no limit.
        """
        rows = [("IMAGE", "PLATFORMS", "SIZE", "CARRIED", "EXPECTED THERE")]
        for image in self.images:
            expected = ", ".join(image.expected)
            if image.skipped:
                expected = "the image itself"
            elif image.lacking:
                expected = f"{counted(image.lacking, 'blob')}, in {expected}"
            platforms = ", ".join(image.platforms) or "-"
            sizes = shown_size(image.size) if image.digest else "-", shown_size(image.carried)
            rows.append((image.name, platforms, *sizes, expected or "-"))
            rows += [(f"  + {kind}", "", "", "", "") for kind in image.referrers]
        cells = [[one_line(cell) for cell in row] for row in rows]
        lines = [
            f"{counted(len(self.images), 'image')} of {shown_size(self.size)}: "
            f"{shown_size(self.carried)} carried, {shown_size(self.saved)} saved"
        ]
        lines += [
            f"{delta.digest}: {shown_size(delta.size)} rebuilt from {shown_size(delta.carried)} "
            f"carried and {', '.join(delta.bases)}"
            for delta in self.deltas
        ]
        if self.foreign:
            layers = counted(len(self.foreign), "non-distributable layer")
            lines.append(f"{layers} left out, to be downloaded from the URLs in the manifests")
        if self.signer is not None:
            lines.append(f"signed by {self.signer} with {self.signing_key}")
        elif self.signing_key is not None:
            lines.append(f"signed (not verified) with {self.signing_key}")
        lines += self._series()
        return "\n".join([*table(cells, columns), *wrapped(lines, columns)])

    def _series(self) -> Iterator[str]:
        """Yield lines about a file that belongs to a series of deliveries."""
        if self.kind == "ledger":
            yield f"a ledger: what a site has after delivery {self.delivery}"
        elif self.kind == "receipt":
            number = "" if self.delivery is None else f" of delivery {self.delivery}"
            missing = {"image": len(self.missing_images), "blob": len(self.missing_blobs)}
            lacking = counts(missing) or "nothing"
            yield f"a receipt{number} from {self.registry}, which lacks {lacking}"
            yield from (f"missing: {name} ({why})" for name, why in self.missing_images.items())
        elif self.delivery is not None:
            yield f"delivery {self.delivery} of its ledger"


def inspect_payload(
    zip_file: PayloadSource,
    *,
    allowed_signers: str | os.PathLike[str] | None = None,
) -> PayloadSummary:
    """Return what a payload carries and what it expects at the destination.

    Only metadata and manifests are read; `verify_payload` reads everything. ``zip_file`` is a path,
    or a file object opened for bytes, which stays open. With ``allowed_signers``, a file of allowed
    signers as ssh-keygen(1) describes it, the payload must be signed by one of them.

    Raises:
        PayloadError: The payload cannot be read, is incomplete, or is not signed by one of them.
        DigestMismatch: The config of an image, which names its platform, is damaged.
    """
    with open_payload(zip_file, allowed_signers=allowed_signers) as payload:
        sizes: dict[Digest, int] = {}
        carried: dict[Digest, int] = {}
        images: dict[str, ImageSummary] = {}
        for image in payload.all_images:
            manifests = {
                manifest.digest: manifest.descriptor.size
                for graph in image.known_graphs
                for manifest in graph.manifests
            }
            blobs = {blob.digest: blob.size for graph in image.known_graphs for blob in graph.blobs}
            parts = {**manifests, **blobs}
            present = {
                digest: size
                for digest, size in parts.items()
                if digest in payload.carried or digest in manifests
            }
            present |= {d: payload.deltas[d].size for d in parts if d in payload.deltas}
            lacking = parts.keys() - present.keys() - payload.non_distributable
            sizes |= parts
            carried |= present
            skipped = isinstance(image, SkippedImage)
            expected = _unique(
                repository
                for digest in parts
                if digest in lacking
                for repository in payload.at_destination.get(digest, ())[:1]
            )
            images[image.name] = ImageSummary(
                name=image.name,
                digest=image.image.root.digest if image.image else None,
                skipped=skipped,
                platforms=_platforms(payload, image.image) if image.image else (),
                size=sum(parts.values()),
                carried=sum(present.values()),
                lacking=len(lacking),
                expected=(image.reference.repository,) if skipped else expected,
                referrers=tuple(one_line(r.manifest.artifact_type) for r in image.referrers),
            )
        total, total_carried = sum(sizes.values()), sum(carried.values())
        foreign = sum(size for digest, size in sizes.items() if digest in payload.non_distributable)
        return PayloadSummary(
            images=tuple(images[name] for name in payload.names),
            size=total,
            carried=total_carried,
            saved=total - total_carried - foreign,
            foreign=tuple(sorted(payload.non_distributable)),
            signing_key=payload.signing_key,
            signer=payload.signer,
            deltas=tuple(
                DeltaSummary(digest, sizes[digest], delta.size, tuple(delta.bases))
                for digest, delta in payload.deltas.items()
            ),
            **_series_of(payload),
        )


def _series_of(payload: Payload) -> dict[str, Any]:
    """Return the attributes of a summary that are about a series of deliveries."""
    delivery, arrival = payload.delivery, payload.arrival
    series: dict[str, Any] = {}
    if delivery is not None:
        kind = "payload" if delivery.history is None else "ledger"
        series = {"kind": kind, "delivery": delivery.number}
    if arrival is not None:
        series |= {
            "kind": "receipt",
            "registry": one_line(arrival.registry),
            "missing_images": {
                one_line(name): one_line(image.reason)
                for name, image in arrival.missing_images.items()
            },
            "missing_blobs": tuple(sorted(arrival.missing_blobs)),
        }
    return series


def _platforms(payload: Payload, image: Image) -> tuple[str, ...]:
    """Return what an image runs on: an index says so itself; else the config of the image does."""
    if image.root.is_index:
        platforms = [child.platform for m in image.manifests for child in m.manifests]
        return _unique(one_line(str(p)) for p in platforms if p is not None and p.is_known)
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
