"""Pushing a payload: from a zip into a registry."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.image import NamedImage, SkippedImage
from docker_charon.oci.reference import checked_prefix
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.progress import Progress, counted, shown_size
from docker_charon.registry.client import RegistryClient, open_registry
from docker_charon.registry.session import Access
from docker_charon.transfer.manifests import put_manifests
from docker_charon.transfer.plan import Mount, PushPlan, plan_push
from docker_charon.transfer.survey import Survey
from docker_charon.workers import Workers

_log = logging.getLogger(__name__)


def push_payload_to_registry(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    strict: bool = False,
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    repository_prefix: str = "",
    cacert: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    jobs: int = 4,
    progress: bool | None = None,
) -> list[str]:
    """Push the images of a payload to a registry.

    Everything is checked before the first byte is written: the payload, and what the registry
    has of it. Tags are set last, so that none ever points to an incomplete image.

    Args:
        registry: The registry to push to, ``host`` or ``host:port``.
        zip_file: The payload: a path, or a file object opened for bytes, which is left open; one
            that cannot seek is copied into a temporary file first.
        strict: Raise when something that the payload takes for already transferred is not there.
            Otherwise a ``UserWarning`` says so, and that image is left out.
        secure: ``False`` for a registry on plain HTTP.
        username: For a registry that requires a login.
        password: For a registry that requires a login. Without both, what Docker or Podman are
            logged in with is used.
        repository_prefix: Where the images go: ``my-image:1`` arrives as ``PREFIX/my-image:1``. The
            names that are returned stay as the user gave them.
        cacert: A file of certificates (PEM) to trust besides the usual ones.
        dry_run: Only find out what would be done, and log it at level ``INFO``: no blob is
            transferred and nothing is written.
        jobs: How many questions, uploads or mounts go on side by side.
        progress: ``None`` shows a bar if standard error is a terminal; ``True`` also writes lines
            elsewhere, and ``False`` shows nothing.

    Returns:
        The images that the registry has now: ``docker_images_to_transfer`` of the payload, in its
        order and spelling, with those that were there already and without those left out.

    Raises:
        PayloadError: The payload cannot be read, or is not a whole one.
        DigestMismatch: The payload is damaged.
        ManifestNotFound: ``strict``, and an image that was to be there is missing or another.
        BlobNotFound: ``strict``, and a blob that was to be there is missing.
        RegistryError: The registry cannot be reached, or refuses.
        DockerCharonError: Any other failure; the base of those above.
    """
    workers = Workers(jobs)
    prefix = checked_prefix(repository_prefix)
    with (
        open_payload(zip_file) as payload,
        open_registry(registry, Access(secure, username, password, cacert), jobs) as client,
    ):
        survey = Survey(client, payload, prefix, workers)
        skipped = [one.under(prefix) for one in payload.skipped]
        missing = survey.missing_images(skipped)
        deliveries: list[NamedImage | SkippedImage] = [
            *(named.under(prefix) for named in payload.images),
            *(one for one in skipped if one.name not in missing),
        ]
        plan = plan_push(
            deliveries, payload.carried, survey.holders(deliveries), payload.non_distributable
        )
        for name, blobs in plan.missing.items():
            missing[name] = survey.incomplete(name, blobs)
        for error in missing.values():
            if strict:
                raise error
            warnings.warn(f"left out: {error}", UserWarning, stacklevel=2)
        complete = [one for one in deliveries if one.name not in missing]
        pushed = [name for name in payload.names if name not in missing]
        if dry_run:
            _tell(plan, complete)
            return pushed
        sizes = {blob.digest: blob.size for one in complete for blob in one.blobs}
        sent: dict[str, int] = {blob.digest: blob.size for blob, _ in plan.uploads}
        waiting = {one.name: [blob.digest for blob in one.blobs] for one in complete}
        with Progress("Pushing", sent, waiting, progress) as watch:
            _send(client, payload, plan, workers, watch)
            put_manifests(client, complete, workers)
            size = sum(sent.values())
            there = (
                sum(s for digest, s in sizes.items() if digest not in payload.non_distributable)
                - size
            )
            watch.sum_up(
                f"{counted(len(pushed), 'image')}: {shown_size(size)} uploaded, "
                f"{shown_size(there)} there already"
            )
        return pushed


def _tell(plan: PushPlan, deliveries: Sequence[NamedImage | SkippedImage]) -> None:
    """Log what would be written."""
    for blob, repository in plan.uploads:
        _log.info("upload %s to %s, %s bytes", blob.digest, repository, f"{blob.size:,}")
    for mount in plan.mounts:
        _log.info("mount %s from %s to %s", mount.blob.digest, mount.source, mount.repository)
    images = [one for one in deliveries if isinstance(one, NamedImage)]
    for named in images:
        _log.info("put %s, %s", named.reference, named.image.root.digest)
    for one in deliveries:
        for referrer in one.referrers:
            _log.info("put %s, which refers to %s", referrer.manifest.digest, one.reference)
    _log.info(
        "%d blobs, %s bytes, would be uploaded, %d mounted, and %d images put",
        len(plan.uploads),
        f"{sum(blob.size for blob, _ in plan.uploads):,}",
        len(plan.mounts),
        len(images),
    )


def _send(
    client: RegistryClient, payload: Payload, plan: PushPlan, workers: Workers, watch: Progress
) -> None:
    """Upload each blob once, the largest first; then copy inside the registry."""

    def upload(upload: tuple[Descriptor, str]) -> None:
        blob, repository = upload
        client.upload_blob(repository, blob, _Watched(payload.body(blob), workers, watch))
        watch.finished(blob.digest)

    def mount(mount: Mount) -> None:
        if client.mount_blob(mount.repository, mount.blob.digest, source=mount.source):
            return
        body: Body
        if mount.blob.digest in payload.carried:
            body = payload.body(mount.blob)
        else:
            body = _RegistryBody(client, mount.source, mount.blob)
        client.upload_blob(mount.repository, mount.blob, body)

    workers.map(upload, sorted(plan.uploads, key=lambda upload: -upload[0].size))
    workers.map(mount, plan.mounts)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A body whose reading is counted, and ends when nobody waits for it."""

    body: Body
    workers: Workers
    watch: Progress

    def __len__(self) -> int:
        return len(self.body)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        done = 0
        try:
            for chunk in self.body:
                self.workers.check()
                yield chunk
                done += len(chunk)
                self.watch.moved(len(chunk))
        finally:
            if done < len(self.body):
                self.watch.moved(-done)  # it will be read again, or never


@dataclass(frozen=True, slots=True)
class _RegistryBody:
    """A blob that only the registry has, read from a repository that holds it."""

    client: RegistryClient
    repository: str
    blob: Descriptor

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        with self.client.get_blob(self.repository, self.blob) as stream:
            yield from self.blob.verified(stream)
