"""Lines for people: the log of choices and dry runs, and what sums up a transfer."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from docker_charon.messages import argument, get_logger
from docker_charon.oci.image import NamedImage, PayloadImage, Referrer
from docker_charon.oci.platform import Platform
from docker_charon.payload.format.contents import Contents
from docker_charon.progress import counted, counts, shown_size
from docker_charon.transfer.plan import PushPlan

if TYPE_CHECKING:
    from docker_charon.transfer.outcome import Part
    from docker_charon.transfer.renaming.destinations import Destinations

_log = get_logger(__name__)


def log_choices(contents: Contents, platforms: Sequence[Platform]) -> set[str]:
    """Log what may surprise: new digests, several platforms, layers that are left out.

    Return the names of the images whose digests are logged.
    """
    logged = set()
    for image in contents.images:
        if image.is_filtered or (platforms and image.root.is_index):
            logged.add(image.name)
            _log.info("%s is carried as %s", image.name, image.root.digest)
    if not platforms:
        _log_platforms(contents)
    for image in contents.images:
        for blob in image.blobs:
            if blob.digest in contents.non_distributable:
                _log.warning(
                    "%s: the layer %s is left out because the registry does not have it; "
                    "download it from %s",
                    image.name,
                    blob.digest,
                    blob.urls[0],
                )
    return logged


def _log_platforms(contents: Contents) -> None:
    """Log once that images are carried for several platforms, and which option changes it."""
    platforms_by_name = {
        image.name: _platforms(image)
        for image in contents.images
        if image.name not in contents.skipped and len(_platforms(image)) > 1
    }
    if not platforms_by_name:
        return
    digests = {
        blob.digest
        for image in contents.images
        if image.name in platforms_by_name
        for blob in image.image.blobs
    }
    names = list(platforms_by_name)
    platforms = list(dict.fromkeys(p for several in platforms_by_name.values() for p in several))
    _log.info(
        "%s carried for %d platforms (%s), with %s of blobs; %s would carry one",
        f"{names[0]} is" if len(names) == 1 else f"{len(names)} images are",
        len(platforms),
        ", ".join(platforms),
        shown_size(sum(blob.size for blob in contents.blobs if blob.digest in digests)),
        argument(f"--platform {platforms[0]}", f"platforms={platforms[:1]}"),
    )


def _platforms(image: NamedImage) -> list[str]:
    """Return the platforms that the indexes of an image name, each once."""
    descriptors = (child for manifest in image.image.manifests for child in manifest.manifests)
    platforms = (descriptor.platform for descriptor in descriptors)
    return list(dict.fromkeys(str(p) for p in platforms if p is not None and p.is_known))


def log_make(
    contents: Contents,
    size: int,
    volume_size: int | None,
    logged: Collection[str] = (),
    left_out: int = 0,
) -> None:
    """Log what a payload of ``size`` bytes would carry, and in how many volumes.

    The digests of the images in ``logged`` are not logged again. ``left_out`` is the number of
    images that cannot be read.
    """
    for image in contents.images:
        is_skipped = image.name in contents.skipped
        state = "was already transferred" if is_skipped else "would be carried"
        digest = "" if image.name in logged else f", {image.root.digest}"
        _log.info("%s%s, %s", image.name, digest, state)
        for referrer in image.referrers:
            _log.info("%s, %s, refers to it", image.name, referrer.manifest.digest)
    for blob, repository in contents.blobs.items():
        _log.info("fetch %s from %s, %s bytes", blob.digest, repository, f"{blob.size:,}")
    others = len(contents.at_destination)
    _log.info(
        "%s would be carried, in a payload of %s bytes%s%s",
        counts({"manifest": len(contents.manifests), "blob": len(contents.blobs)}),
        f"{size:,}",
        f"; the destination has {counted(others, 'other blob')}" if others else "",
        _left_out(left_out),
    )
    if volume_size is not None:
        _log.info("the payload would have %s", counted(-(-size // volume_size), "volume"))


def make_summary(contents: Contents, left_out: int) -> str:
    """Return what a payload carries, and how many images are left out, as text."""
    deltas = f", {counted(len(contents.deltas), 'layer')} as deltas" if contents.deltas else ""
    return (
        f"{counted(len(contents.images), 'image')}: {shown_size(contents.carried_size)} carried, "
        f"{shown_size(contents.saved_size)} saved{deltas}{_left_out(left_out)}"
    )


def _left_out(images: int) -> str:
    return f", {counted(images, 'image')} left out" if images else ""


def log_unused_rules(destinations: Destinations, repositories: Iterable[str]) -> None:
    """Log which keys of the repository map fit none of these repositories, and what may fit."""
    for key, fitting in destinations.unused(repositories).items():
        close = difflib.get_close_matches(key, fitting, n=1)
        others = sorted({name.partition("/")[0] for name in fitting})[:5]
        _log.warning(
            "%s is mapped, but nothing in the payload is below it; %s",
            key,
            f"did you mean {close[0]}?" if close else f"names begin with {', '.join(others)}",
        )


def log_push(plan: PushPlan, parts: Mapping[Part, bool]) -> None:
    """Log what a push would write, of ``parts`` those that are not there yet (``False``)."""
    for upload in plan.uploads:
        _log.info(
            "upload %s to %s, %s bytes", upload.digest, upload.repository, f"{upload.blob.size:,}"
        )
    for mount in plan.mounts:
        target = mount.target
        _log.info("mount %s from %s to %s", target.digest, mount.source, target.repository)
    for part, is_there in parts.items():
        digest, name = part.graph.root.digest, part.image.reference
        if not is_there and part.referrer is None:
            _log.info("put %s, %s", name, digest)
        elif not is_there:
            _log.info("put %s, which refers to %s", digest, name)
    absent = [part.referrer for part, is_there in parts.items() if not is_there]
    present = [part.referrer for part, is_there in parts.items() if is_there]
    size = sum(upload.blob.size for upload in plan.uploads)
    actions = []
    if plan.uploads:
        actions.append(f"upload {counted(len(plan.uploads), 'blob')} ({size:,} bytes)")
    if plan.mounts:
        actions.append(f"mount {counted(len(plan.mounts), 'blob')}")
    if absent:
        actions.append(f"put {_kinds(absent)}")
    _log.info(
        "the push would %s%s",
        ", ".join(actions) or "write nothing",
        f"; already there: {_kinds(present)}" if present else "",
    )


def _kinds(referrers: Collection[Referrer | None]) -> str:
    """Return how many parts are images, and how many are referrers."""
    images = sum(referrer is None for referrer in referrers)
    return counts({"image": images, "referrer": len(referrers) - images})


def push_summary(
    images: Sequence[PayloadImage], left_out: int, uploaded: int, already_there: int
) -> str:
    """Return what a push has done, as text; sizes in bytes, ``left_out`` is a number of images."""
    of_images = counted(len(images) + left_out, "image")
    return (
        f"{f'{len(images)} of ' if left_out else ''}{of_images}: {shown_size(uploaded)} uploaded, "
        f"{shown_size(already_there)} there already"
    )
