"""The summary of a payload that was made: what `make_payload` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from docker_charon.payload.format.contents import Contents
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """What a payload carries, or would carry after a dry run; sizes are in bytes.

    ``images`` are the names of all images, in the order and spelling of the call, and ``digests``
    those of their manifests or indexes by these names. ``skipped`` are the names of images that are
    not carried because they were given as already transferred. ``size`` is the size of the
    payload. ``carried`` is the size of the manifests, blobs and layer deltas in it, and ``saved``
    of the blobs that are left out because the destination has them; content that images share
    counts once. ``manifests``, ``blobs`` and ``deltas`` are how many of each are in the payload.
    ``delivery`` is the number of the delivery in its ledger, or ``None`` without a ledger.
    ``left_out`` has the images that are not in the payload because they cannot be read, each with
    the reason; there are none without ``keep_going``.
    """

    images: tuple[str, ...]
    digests: Mapping[str, str] = field(hash=False)
    skipped: tuple[str, ...]
    size: int
    carried: int
    saved: int
    manifests: int
    blobs: int
    deltas: int
    delivery: int | None
    dry_run: bool
    left_out: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(
        cls, contents: Contents, size: int, left_out: Mapping[str, str], *, dry_run: bool
    ) -> Summary:
        """Return the summary of a payload of ``size`` bytes."""
        names = tuple(image.name for image in contents.images)
        return cls(
            names,
            {image.name: image.root.digest for image in contents.images},
            tuple(name for name in names if name in contents.skipped),
            size,
            contents.carried_size,
            contents.saved_size,
            len(contents.manifests),
            len(contents.blobs),
            len(contents.deltas),
            None if contents.delivery is None else contents.delivery.number,
            dry_run,
            left_out,
        )
