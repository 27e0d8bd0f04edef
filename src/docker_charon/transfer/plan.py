"""The plan of a transfer: what travels and what is already there, as pure functions of values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field

from docker_charon.errors import InvalidManifest, InvalidReference
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.host import split_registry
from docker_charon.oci.image import NamedImage, PayloadImage
from docker_charon.oci.manifest import Manifest
from docker_charon.payload.format.contents import Contents
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class RepositoryBlob:
    """A blob of one repository, which has it or needs it.

    Two of them are equal if the repository and the digest are: descriptors of the same content may
    differ in their media type or their annotations.
    """

    repository: str
    blob: Descriptor = field(compare=False)
    digest: Digest = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.blob.digest)

    @classmethod
    def of(cls, image: PayloadImage) -> list[RepositoryBlob]:
        """Return the blobs that an image's repository needs before its manifests can be put."""
        return [cls(image.reference.repository, blob) for blob in image.blobs]


def blobs_at_destination(
    already: Iterable[NamedImage],
    delivered: Mapping[Digest, Iterable[str]] | None,
    absent: Collection[RepositoryBlob],
) -> dict[Digest, tuple[str, ...]]:
    """Return all blobs that the destination has, with the repositories that have each.

    The parameters are those of `plan_make`.
    """
    repositories: dict[Digest, dict[str, None]] = {}
    for image in already:
        for needed in RepositoryBlob.of(image):
            if _is_at_source(needed, absent):
                repositories.setdefault(needed.digest, {})[needed.repository] = None
    for digest, names in (delivered or {}).items():
        repositories.setdefault(digest, {}).update(dict.fromkeys(names))
    return {digest: tuple(names) for digest, names in repositories.items()}


def _is_at_source(needed: RepositoryBlob, absent: Collection[RepositoryBlob]) -> bool:
    return not (needed.blob.is_non_distributable and needed in absent)


def plan_make(
    wanted: Iterable[NamedImage],
    already: Iterable[NamedImage] = (),
    delivered: Mapping[Digest, Iterable[str]] | None = None,
    absent: Collection[RepositoryBlob] = frozenset(),
    registries: Collection[str] = frozenset(),
) -> Contents:
    """Decide what a payload carries. The time is linear in the number of manifests and blobs.

    The destination has the blobs of the images in ``already``, and those in ``delivered``, which
    gives the destination's repositories for each. ``absent`` are the non-distributable layers that
    the source does not have. ``registries`` may stand in front of repositories; the payload says
    those that do.

    Raises `InvalidManifest` when two manifests give different sizes for one blob, and
    `InvalidReference` when two different images would get the same tag.
    """
    already = tuple(already)
    repositories = blobs_at_destination(already, delivered, absent)
    images = tuple({image.name: image for image in wanted}.values())
    _check_tags(images)
    manifests: dict[Digest, Manifest] = {}
    sizes: dict[Digest, int] = {}
    carried: dict[Digest, RepositoryBlob] = {}
    at_destination: dict[Digest, tuple[str, ...]] = {}
    for image in images:
        for manifest in image.manifests:
            manifests.setdefault(manifest.digest, manifest)
        for needed in RepositoryBlob.of(image):
            digest, size = needed.digest, needed.blob.size
            if sizes.setdefault(digest, size) != size:
                raise InvalidManifest(
                    f"{image.name} gives the size {size} for {digest}, and another image gives "
                    f"{sizes[digest]}"
                )
            if digest in repositories:
                at_destination[digest] = repositories[digest]
            elif _is_at_source(needed, absent):
                carried.setdefault(digest, needed)
    transferred = {image.reference for image in already}
    return Contents(
        images=images,
        skipped=frozenset(image.name for image in images if image.reference in transferred),
        manifests=tuple(manifests.values()),
        blobs={source.blob: source.repository for source in carried.values()},
        at_destination=at_destination,
        non_distributable=frozenset(sizes.keys() - at_destination.keys() - carried.keys()),
        registries=used_registries(registries, images, at_destination.values()),
    )


def used_registries(
    registries: Collection[str],
    images: Iterable[PayloadImage],
    repositories: Iterable[Iterable[str]],
) -> frozenset[str]:
    """Return those of ``registries`` that stand in front of repositories, those of images too."""
    names = repositories_of(images, repositories) if registries else ()
    return frozenset(split_registry(name, registries)[0] for name in names) - {""}


def repositories_of(
    images: Iterable[PayloadImage], others: Iterable[Iterable[str]] = ()
) -> set[str]:
    """Return the repositories of images, and ``others``, each once."""
    return {image.reference.repository for image in images}.union(*others)


def _check_tags(images: Iterable[NamedImage]) -> None:
    """Refuse two different images for one tag: it would point to either of them by chance."""
    pair = different_images_of_one_tag(images)
    if pair is not None:
        first, second = pair
        raise InvalidReference(
            f"{first.name} and {second.name} are different images for the same tag"
        )


def different_images_of_one_tag(
    images: Iterable[PayloadImage],
) -> tuple[PayloadImage, PayloadImage] | None:
    """Return the first two different images with one tag or digest; ``None`` if there are none.

    Images whose manifests are not known are passed over.
    """
    owners: dict[tuple[str, str], tuple[PayloadImage, bytes]] = {}
    for image in images:
        if image.image is not None:
            key = image.reference.repository, image.reference.target
            content = image.image.root.content
            owner, owners_content = owners.setdefault(key, (image, content))
            if owners_content != content:
                return owner, image
    return None


@dataclass(frozen=True, slots=True)
class Mount:
    """A blob that ``target`` gets from the repository ``source`` of the same registry."""

    target: RepositoryBlob
    source: str


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a registry needs before the manifests of the images can be put.

    Every blob is uploaded to one repository at most. The ``mounts`` follow the ``uploads``, since
    their source may be the target of an upload. ``missing`` has, for each image that cannot be
    completed, its name and the blobs that neither the payload nor the registry has. ``holders``
    are the repositories that had a blob before the push.
    """

    uploads: tuple[RepositoryBlob, ...]
    mounts: tuple[Mount, ...]
    missing: Mapping[str, tuple[Descriptor, ...]]
    holders: Mapping[Digest, Collection[str]] = field(default_factory=dict)


def needed_blobs(images: Iterable[PayloadImage]) -> list[RepositoryBlob]:
    """Return the blobs that the images' repositories need, each once for each repository."""
    return list(dict.fromkeys(needed for image in images for needed in RepositoryBlob.of(image)))


def plan_push(
    images: Sequence[PayloadImage],
    carried: frozenset[Digest],
    holders: Mapping[Digest, Collection[str]],
    non_distributable: frozenset[Digest] = frozenset(),
    unknown: Collection[RepositoryBlob] = frozenset(),
) -> PushPlan:
    """Decide which blobs are uploaded and which are mounted.

    ``carried`` are the blobs of the payload, ``holders`` the repositories that have a blob already,
    and ``non_distributable`` the layers that a registry may lack. An image that needs any other
    blob is left out, and nothing is uploaded for it. ``unknown`` are the blobs about which the
    registry gave no answer: where nobody else has one, it is taken for present.
    """
    available = carried | non_distributable
    missing: dict[str, tuple[Descriptor, ...]] = {}
    complete = []
    for image in images:
        unavailable = tuple(
            blob
            for blob in image.blobs
            if blob.digest not in available
            and not holders.get(blob.digest)
            and RepositoryBlob(image.reference.repository, blob) not in unknown
        )
        if unavailable:
            missing[image.name] = unavailable
        else:
            complete.append(image)
    uploads: dict[Digest, RepositoryBlob] = {}
    mounts: list[Mount] = []
    for needed in needed_blobs(complete):
        sources = holders.get(needed.digest, ())
        if needed.repository in sources:
            continue
        if sources:
            mounts.append(Mount(needed, next(iter(sources))))
        elif needed.digest in uploads:
            mounts.append(Mount(needed, uploads[needed.digest].repository))
        elif needed.digest in carried:
            uploads[needed.digest] = needed
    return PushPlan(tuple(uploads.values()), tuple(mounts), missing, holders)
