"""The contents of a payload in which deltas stand for layers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from docker_charon.errors import DockerCharonError
from docker_charon.messages import get_logger
from docker_charon.oci.config import ImageConfig
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import MAX_CONFIG_SIZE, NamedImage, PayloadImage
from docker_charon.payload.file_object import PayloadSource, PayloadTarget
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.entries import LocalBlob
from docker_charon.payload.format.layer_delta import bases_of
from docker_charon.payload.partial_files.continued_blob import Fetch
from docker_charon.payload.reader import open_payload
from docker_charon.payload.unreadable_blobs import GoesOnAfter
from docker_charon.progress import ProgressArgument
from docker_charon.transfer.layer_deltas.candidates import (
    LayeredImage,
    choose_candidates,
    is_worth_comparing,
    layered_images,
    newest_of_each,
)
from docker_charon.transfer.layer_deltas.directory import delta_directory
from docker_charon.transfer.layer_deltas.making import Candidate, delta_workers, make_deltas
from docker_charon.transfer.layer_deltas.old_content import OldContent
from docker_charon.transfer.ledger import Ledger
from docker_charon.transfer.plan import used_registries
from docker_charon.value import dataclass
from docker_charon.workers import Workers

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Destination:
    """What is known of the destination.

    ``blobs`` are all blobs that it has, each with the repositories that have it. ``images`` are
    those that were named, ``payloads`` the files that were delivered, and ``ledger`` what the
    ledger says. ``registries`` may stand in front of repositories.
    """

    blobs: Mapping[Digest, tuple[str, ...]]
    images: Sequence[PayloadImage]
    payloads: Sequence[PayloadSource]
    ledger: Ledger | None
    allowed_signers: str | os.PathLike[str] | None
    registries: Collection[str] = frozenset()


@contextlib.contextmanager
def with_layer_deltas(
    zip_file: PayloadTarget,
    contents: Contents,
    destination: Destination,
    fetch: Fetch,
    workers: Workers,
    *,
    goes_on_after: GoesOnAfter | None,
    dry_run: bool,
    progress: ProgressArgument,
) -> Iterator[tuple[Contents, Mapping[str, LocalBlob]]]:
    """Yield the contents with deltas instead of layers, and the local files by entry paths.

    The files are there until the block ends, and stay there for the next run if it fails. A dry run
    only logs which layers are candidates.

    Raises `PayloadError` if the disk has not enough space for the temporary files, and what
    ``fetch`` raises for a layer that has to travel, or `UnreadableBlobs` if ``goes_on_after`` says
    so.
    """
    with contextlib.ExitStack() as stack:
        payloads = [
            stack.enter_context(open_payload(file, allowed_signers=destination.allowed_signers))
            for file in destination.payloads
        ]
        old_content = OldContent(payloads, fetch)
        old_images = [
            *_by_delivery(destination.ledger),
            *(image for payload in payloads for image in payload.all_images),
            *destination.images,
        ]
        candidates = [
            candidate
            for candidate in _find_candidates(
                contents, old_images, destination.blobs, old_content, workers
            )
            if destination.ledger is None
            or candidate.layer.digest not in destination.ledger.without_bases
        ]
        if dry_run:
            _log_candidates(candidates)
            yield contents, {}
            return
        comparers = delta_workers(workers.jobs)
        directory = stack.enter_context(delta_directory(zip_file, comparers.check))
        contents, local = make_deltas(
            *(contents, candidates, old_content, fetch, directory, comparers, progress),
            goes_on_after,
        )
        repositories = [base.repositories for _, base in bases_of(contents.deltas)]
        registries = used_registries(destination.registries, (), repositories)
        yield replace(contents, registries=contents.registries | registries), local


def _by_delivery(ledger: Ledger | None) -> list[NamedImage]:
    """Return the images of a ledger in the order in which they were delivered."""
    if ledger is None:
        return []
    return sorted(ledger.images, key=lambda image: ledger.brought.get(image.root.digest, 0))


def _find_candidates(
    contents: Contents,
    old_images: Iterable[PayloadImage],
    at_destination: Mapping[Digest, tuple[str, ...]],
    old_content: OldContent,
    workers: Workers,
) -> list[Candidate]:
    """Return the candidates among the layers that would travel, in their order in the payload.

    ``old_images`` are images that the destination has, from old to new. No layer is fetched, only
    configs of images; an image whose config cannot be read counts without it.
    """
    manifests = {manifest.digest for manifest in contents.manifests}
    travelling = {
        blob.digest: (blob, repository)
        for blob, repository in contents.blobs.items()
        if blob.digest not in manifests and is_worth_comparing(blob)
    }
    old = layered_images(old_images)
    if not old:
        return []
    new = [
        image
        for image in layered_images(contents.images)
        if any(layer.digest in travelling for layer in image.manifest.layers)
    ]
    repositories = {image.repository for image in new}
    near = [image for image in old if image.repository in repositories]
    far = [image for image in old if image.repository not in repositories]

    def with_config(image: LayeredImage) -> LayeredImage:
        config = image.manifest.config
        if config is None or config.size > MAX_CONFIG_SIZE:
            return image
        places = (image.repository, *at_destination.get(config.digest, ()))
        try:
            return replace(image, config=ImageConfig.parse(old_content.read(config, places)))
        except DockerCharonError as error:
            _log.debug("the config %s cannot be read: %s", config.digest, error)
            return image

    new = workers.map(with_config, new)
    near = workers.map(with_config, newest_of_each(near))
    chosen = choose_candidates(new, [*near, *far], travelling.keys(), at_destination.keys())
    return [
        Candidate(*travelling[digest], {old: at_destination[old.digest] for old in chosen[digest]})
        for digest in travelling
        if digest in chosen
    ]


def _log_candidates(candidates: Iterable[Candidate]) -> None:
    """Log which layers may be carried as deltas, and which old layers are considered."""
    for candidate in candidates:
        _log.info(
            "%s, %s bytes, may be carried as its difference to %s",
            candidate.layer.digest,
            f"{candidate.layer.size:,}",
            " and ".join(candidate.old_digests),
        )
