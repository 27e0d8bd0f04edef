"""What travels and what is there already: pure functions of values, no input or output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from docker_charon.errors import InvalidManifest, InvalidReference
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.contents import Contents


def plan_make(
    wanted: Iterable[NamedImage],
    already: Iterable[NamedImage] = (),
    delivered: Mapping[Digest, Iterable[str]] | None = None,
    absent: Collection[tuple[str, Digest]] = frozenset(),
) -> Contents:
    """Decide what a payload carries, in time linear in the sum of the images' parts.

    The destination has what lies below ``already``, and the blobs that ``delivered`` names, each
    with its repositories there; ``absent`` are repositories of the source and foreign layers that
    these do not have. Raises `InvalidManifest` when two manifests give one blob two sizes: one of
    them is wrong, and `InvalidReference` when two names would give one tag to two images.
    """

    def is_there(named: NamedImage, blob: Descriptor) -> bool:
        key = named.reference.repository, blob.digest
        return not (blob.is_non_distributable and key in absent)

    repositories: dict[Digest, dict[str, None]] = {}
    transferred = set()
    for named in already:
        transferred.add(named.reference)
        for blob in named.blobs:
            if is_there(named, blob):
                repositories.setdefault(blob.digest, {})[named.reference.repository] = None
    for digest, places in (delivered or {}).items():
        repositories.setdefault(digest, {}).update(dict.fromkeys(places))
    images = tuple({named.name: named for named in wanted}.values())
    _check_targets(images)
    manifests: dict[Digest, Manifest] = {}
    sizes: dict[Digest, int] = {}
    blobs: dict[Digest, tuple[Descriptor, str]] = {}
    at_destination: dict[Digest, tuple[str, ...]] = {}
    for named in images:
        for manifest in named.manifests:
            manifests.setdefault(manifest.digest, manifest)
        for blob in named.blobs:
            if sizes.setdefault(blob.digest, blob.size) != blob.size:
                raise InvalidManifest(
                    f"{named.name} gives {blob.digest} the size {blob.size}, and another image "
                    f"{sizes[blob.digest]}"
                )
            if blob.digest in repositories:
                at_destination[blob.digest] = tuple(repositories[blob.digest])
            elif is_there(named, blob):
                blobs.setdefault(blob.digest, (blob, named.reference.repository))
    return Contents(
        images=images,
        skipped=frozenset(named.name for named in images if named.reference in transferred),
        manifests=tuple(manifests.values()),
        blobs=dict(blobs.values()),
        at_destination=at_destination,
        non_distributable=frozenset(sizes.keys() - at_destination.keys() - blobs.keys()),
    )


def _check_targets(images: Iterable[NamedImage]) -> None:
    """Refuse two images for one tag: which of them it would point to in the end is chance."""
    targets: dict[tuple[str, str], NamedImage] = {}
    for named in images:
        key = (named.reference.repository, named.reference.target)
        other = targets.setdefault(key, named)
        if other.image.root.content != named.image.root.content:
            raise InvalidReference(
                f"{other.name} and {named.name} are different images for the same tag"
            )


@dataclass(frozen=True, slots=True)
class Mount:
    """A blob that a repository gets from another one of the same registry."""

    blob: Descriptor
    repository: str
    source: str


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a registry still needs before the images' manifests can be put.

    ``uploads`` go to one repository each, and ``mounts``, which may build on them, follow.
    ``missing`` are, for each name of an image that cannot be completed, its blobs that neither
    the payload nor the registry has.
    """

    uploads: tuple[tuple[Descriptor, str], ...]
    mounts: tuple[Mount, ...]
    missing: Mapping[str, tuple[Descriptor, ...]]


class Delivery(Protocol):
    """What one image brings to its repository."""

    @property
    def name(self) -> str:
        """The image's name as the user gave it."""

    @property
    def reference(self) -> Reference:
        """Where it goes."""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What the repository has to have before the manifests can be put."""


def blobs_to_ask_for(images: Iterable[Delivery]) -> list[tuple[str, Descriptor]]:
    """Return every repository and blob that the registry is to be asked for, each pair once."""
    pairs = {
        (named.reference.repository, blob.digest): blob for named in images for blob in named.blobs
    }
    return [(repository, blob) for (repository, _), blob in pairs.items()]


def plan_push(
    images: Sequence[Delivery],
    carried: frozenset[Digest],
    present: Mapping[Digest, Collection[str]],
    non_distributable: frozenset[Digest] = frozenset(),
) -> PushPlan:
    """Decide what is uploaded and what is mounted.

    ``carried`` are the digests of the payload's blobs, ``present`` the repositories that were
    found to have a blob, and ``non_distributable`` the layers that need not be there. An image with
    another blob that is in neither is left out, and nothing is uploaded for its sake.
    """
    missing: dict[str, tuple[Descriptor, ...]] = {}
    complete = []
    for named in images:
        lacking = tuple(
            blob
            for blob in named.blobs
            if blob.digest not in carried and not present.get(blob.digest)
            if blob.digest not in non_distributable
        )
        if lacking:
            missing[named.name] = lacking
        else:
            complete.append(named)
    uploads: dict[Digest, tuple[Descriptor, str]] = {}
    mounts: list[Mount] = []
    for repository, blob in blobs_to_ask_for(complete):
        holders = present.get(blob.digest, ())
        if repository in holders:
            continue
        if holders:
            mounts.append(Mount(blob, repository, next(iter(holders))))
        elif blob.digest in uploads:
            mounts.append(Mount(blob, repository, uploads[blob.digest][1]))
        elif blob.digest in carried:
            uploads[blob.digest] = (blob, repository)
    return PushPlan(tuple(uploads.values()), tuple(mounts), missing)
