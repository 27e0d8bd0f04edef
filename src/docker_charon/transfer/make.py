"""Making a payload: from a registry to one zip."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import IO

from docker_charon.errors import DockerCharonError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import parse_references
from docker_charon.payload.contents import Contents
from docker_charon.payload.format import payload_entries
from docker_charon.payload.reader import open_payload
from docker_charon.payload.writer import payload_size, write_payload
from docker_charon.progress import Progress, counted, shown_size
from docker_charon.registry.blobs import BlobStream
from docker_charon.registry.client import RegistryClient, open_registry
from docker_charon.registry.session import Access
from docker_charon.transfer.plan import plan_make
from docker_charon.transfer.resolve import Resolution
from docker_charon.workers import Workers

_log = logging.getLogger(__name__)
_PayloadFile = str | os.PathLike[str] | IO[bytes]


def make_payload(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    docker_images_to_transfer: Iterable[str],
    docker_images_already_transferred: Iterable[str] = (),
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    payloads_already_transferred: Iterable[str | os.PathLike[str] | IO[bytes]] = (),
    platforms: Iterable[str] | None = None,
    include_referrers: bool = False,
    cacert: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    jobs: int = 4,
    progress: bool | None = None,
) -> None:
    """Create a payload, a single zip file, from a list of Docker images of one registry.

    Args:
        registry: The registry to pull the images from, ``host`` or ``host:port``.
        zip_file: Where to write: a path, or a file object opened for bytes, which is left open
            and need not be able to seek. A path gets the whole payload or stays as it was; what
            an interrupted call fetched is in ``PATH.partial``, and the next one goes on from it.
        docker_images_to_transfer: The images, without the name of the registry:
            ``repository[:tag][@digest]``.
        docker_images_already_transferred: Images that the air-gapped registry has; what they
            share with the others is left out. An image in both lists is declared only. They are
            what their tags mean now, at the source.
        secure: ``False`` for a registry on plain HTTP.
        username: For a registry that requires a login.
        password: For a registry that requires a login. Without both, what Docker or Podman are
            logged in with is used.
        payloads_already_transferred: Payloads that the air-gapped registry has got, or inventories
            of it (see `make_inventory`), as paths or file objects that can seek: what they say
            that is there is left out, whatever has become of their images at the source.
        platforms: Carry these only, each ``os/architecture[/variant]``. One is carried as an image
            of its own, several as an index of just these; ``None`` is every platform.
        include_referrers: Carry signatures, SBOMs and other artifacts that refer to the images.
        cacert: A file of certificates (PEM) to trust besides the usual ones.
        dry_run: Only find out what would be done, and log it at level ``INFO``: no blob is
            transferred and nothing is written.
        jobs: How many blobs, or manifests, are fetched side by side.
        progress: ``None`` shows a bar if standard error is a terminal; ``True`` also writes lines
            elsewhere, and ``False`` shows nothing.

    Raises:
        InvalidReference: An image or the registry has a name that cannot be one.
        InvalidPlatform: A platform has a name that cannot be one.
        ManifestNotFound: The registry does not have an image, or not for a platform.
        RegistryError: The registry cannot be reached, refuses, or sends something else.
        PayloadError: ``zip_file`` cannot be written, or an earlier payload cannot be read.
        DockerCharonError: Any other failure; the base of those above.
    """
    wanted = parse_references(docker_images_to_transfer, "docker_images_to_transfer")
    already = parse_references(
        docker_images_already_transferred, "docker_images_already_transferred"
    )
    if not wanted:
        raise DockerCharonError("there is no image to transfer")
    chosen = _platforms(platforms)
    workers = Workers(jobs)
    delivered = _delivered(payloads_already_transferred)
    with open_registry(registry, Access(secure, username, password, cacert), jobs) as client:
        resolution = Resolution(client, workers, chosen)
        images = resolution.images(wanted.values())
        there = resolution.images(already.values(), as_far_as_there=True)
        referrers = resolution.referrers(images) if include_referrers else {}
        named = [
            NamedImage(name, reference, images[reference], tuple(referrers.get(reference, ())))
            for name, reference in wanted.items()
        ]
        declared = [
            NamedImage(name, reference, there[reference])
            for name, reference in already.items()
            if reference in there
        ]
        absent = _absent(client, workers, [*named, *declared])
        plan = plan_make(named, declared, delivered, absent)
        _tell_choices(plan, chosen)
        if dry_run:
            _tell(plan)
            return

        def fetch(blob: Descriptor, repository: str) -> BlobStream:
            return client.get_blob(repository, blob)

        waiting = {one.name: [b.digest for b in one.blobs] for one in plan.images}
        sizes: dict[str, int] = {blob.digest: blob.size for blob in plan.blobs}
        with Progress("Making", sizes, waiting, progress) as watch:
            write_payload(zip_file, payload_entries(plan), fetch, watch, workers)
            watch.sum_up(
                f"{counted(len(plan.images), 'image')}: {shown_size(plan.carried_size)} carried, "
                f"{shown_size(plan.saved_size)} saved"
            )


def _platforms(texts: Iterable[str] | None) -> list[Platform]:
    """Parse platforms, each once."""
    if isinstance(texts, (str, bytes)) or hasattr(texts, "read"):
        raise TypeError("platforms is a list of str, neither a single one nor a file")
    texts = None if texts is None else list(texts)
    if not all(isinstance(text, str) for text in texts or ()):
        raise TypeError("platforms is a list of str")
    chosen = [Platform.parse(text) for text in texts or ()]
    if texts is not None and not chosen:
        raise DockerCharonError("there is no platform to transfer", hint="None is all of them")
    return list(dict.fromkeys(chosen))


def _delivered(payloads: Iterable[_PayloadFile]) -> dict[Digest, dict[str, None]]:
    """Return what the destination has once earlier payloads are there: blobs and repositories."""
    if isinstance(payloads, (str, bytes, os.PathLike)) or hasattr(payloads, "read"):
        raise TypeError("payloads_already_transferred is a list of payloads, not a single one")
    found: dict[Digest, dict[str, None]] = {}
    for file in payloads:
        with open_payload(file) as payload:
            for digest, repository in payload.delivered():
                found.setdefault(digest, {})[repository] = None
    return found


def _absent(
    client: RegistryClient, workers: Workers, images: Iterable[NamedImage]
) -> frozenset[tuple[str, Digest]]:
    """Return the foreign layers that a repository does not have: not everyone may pass them on.

    OCI image-spec 1.1, "Non-Distributable Layers": they have ``urls``.
    """
    places = dict.fromkeys(
        (named.reference.repository, blob.digest)
        for named in images
        for blob in named.blobs
        if blob.is_non_distributable
    )
    sizes = workers.map(lambda place: client.head_blob(*place), places)
    return frozenset(place for place, size in zip(places, sizes, strict=True) if size is None)


def _tell_choices(plan: Contents, chosen: list[Platform]) -> None:
    """Log what may surprise: platforms that few need, new digests, layers that are left out."""
    for named in plan.images:
        if named.is_filtered or (len(chosen) > 1 and named.image.root.is_index):
            _log.info("%s is carried as %s", named.name, named.image.root.digest)
    if not chosen:
        _hint_at_platforms(plan)
    for named in plan.images:
        for blob in named.blobs:
            if blob.digest in plan.non_distributable:
                _log.warning(
                    "%s: the layer %s is left out, as the registry does not have it; it is to be "
                    "had from %s",
                    named.name,
                    blob.digest,
                    blob.urls[0],
                )


def _hint_at_platforms(plan: Contents) -> None:
    """Say once that there are images of several platforms, and what can be done about it."""
    several = {
        named.name: dict.fromkeys(
            str(child.platform)
            for manifest in named.image.manifests
            for child in manifest.manifests
            if child.platform is not None and child.platform.is_known
        )
        for named in plan.images
        if named.name not in plan.skipped
    }
    several = {name: platforms for name, platforms in several.items() if len(platforms) > 1}
    if not several:
        return
    below = {b.digest for named in plan.images if named.name in several for b in named.image.blobs}
    size = sum(blob.size for blob in plan.blobs if blob.digest in below)
    platforms = list(dict.fromkeys(p for each in several.values() for p in each))
    name = next(iter(several))
    _log.info(
        "%s carried for %d platforms (%s), with %s of blobs; --platform %s (platforms=) would "
        "carry one",
        f"{name} is" if len(several) == 1 else f"{len(several)} images are",
        len(platforms),
        ", ".join(platforms),
        shown_size(size),
        platforms[0],
    )


def _tell(plan: Contents) -> None:
    """Log what would travel."""
    for named in plan.images:
        how = "was already transferred" if named.name in plan.skipped else "would be carried"
        _log.info("%s, %s, %s", named.name, named.image.root.digest, how)
        for referrer in named.referrers:
            _log.info("%s, %s, refers to it", named.name, referrer.manifest.digest)
    for blob, repository in plan.blobs.items():
        _log.info("fetch %s from %s, %s bytes", blob.digest, repository, f"{blob.size:,}")
    _log.info(
        "%d manifests and %d blobs would travel, in a payload of %s bytes; the destination has %d "
        "other blobs",
        len(plan.manifests),
        len(plan.blobs),
        f"{payload_size(payload_entries(plan)):,}",
        len(plan.at_destination),
    )
