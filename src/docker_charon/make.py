"""Making a payload: from a registry to one zip."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import IO

from docker_charon.blob_stream import BlobStream
from docker_charon.descriptor import Descriptor
from docker_charon.digest import Digest
from docker_charon.errors import DockerCharonError
from docker_charon.manifest import Image, Manifest
from docker_charon.payload import payload_entries
from docker_charon.payload_writer import payload_size, write_payload
from docker_charon.plan import MakePlan, NamedImage, plan_make
from docker_charon.progress import Progress
from docker_charon.reference import Reference
from docker_charon.registry import RegistryClient
from docker_charon.workers import Workers

_log = logging.getLogger(__name__)


def make_payload(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    docker_images_to_transfer: Iterable[str],
    docker_images_already_transferred: Iterable[str] = (),
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
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
            share with the others is left out. An image in both lists is declared only.
        secure: ``False`` for a registry on plain HTTP.
        username: For a registry that requires a login.
        password: For a registry that requires a login. Without both, what Docker or Podman are
            logged in with is used.
        cacert: A file of certificates (PEM) to trust besides the usual ones.
        dry_run: Only find out what would be done, and log it at level ``INFO``: no blob is
            transferred and nothing is written.
        jobs: How many blobs, or manifests, are fetched side by side.
        progress: Show a bar on standard error; ``None`` means if that is a terminal.

    Raises:
        InvalidReference: An image or the registry has a name that cannot be one.
        ManifestNotFound: The registry does not have an image.
        RegistryError: The registry cannot be reached, refuses, or sends something else.
        PayloadError: ``zip_file`` cannot be written.
        DockerCharonError: Any other failure; the base of those above.
    """
    wanted = _references(docker_images_to_transfer, "docker_images_to_transfer")
    already = _references(docker_images_already_transferred, "docker_images_already_transferred")
    if not wanted:
        raise DockerCharonError("there is no image to transfer")
    workers = Workers(jobs)
    with RegistryClient(
        registry,
        secure=secure,
        username=username,
        password=password,
        cacert=cacert,
        connections=jobs,
    ) as client:
        client.check_api()
        images = _resolve(client, [*wanted.values(), *already.values()], workers)
        plan = plan_make(
            [NamedImage(name, reference, images[reference]) for name, reference in wanted.items()],
            [NamedImage(name, reference, images[reference]) for name, reference in already.items()],
        )
        if dry_run:
            _tell(plan)
            return

        def fetch(blob: Descriptor, repository: str) -> BlobStream:
            return client.get_blob(repository, blob)

        total = sum(blob.size for blob in plan.blobs)
        with Progress("Making the payload", total, progress) as bar:
            write_payload(zip_file, payload_entries(plan), fetch, bar.update, workers)


def _tell(plan: MakePlan) -> None:
    """Log what would travel."""
    for named in plan.images:
        how = "was already transferred" if named.name in plan.skipped else "would be carried"
        _log.info("%s, %s, %s", named.name, named.image.root.digest, how)
    for blob, repository in plan.blobs.items():
        _log.info("fetch %s from %s, %s bytes", blob.digest, repository, f"{blob.size:,}")
    _log.info(
        "%d manifests and %d blobs would travel, in a payload of %s bytes; the destination has %d "
        "other blobs",
        len(plan.manifests),
        len(plan.blobs),
        f"{payload_size(payload_entries(plan)):,}",
        len(plan.elsewhere),
    )


def _references(names: Iterable[str], parameter: str) -> dict[str, Reference]:
    """Parse names, each once, in their order."""
    if isinstance(names, (str, bytes)):
        raise TypeError(f"{parameter} is a list of names, not a single one")
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{parameter} is a list of str")
    return {name: Reference.parse(name) for name in names}


def _resolve(
    client: RegistryClient, references: Iterable[Reference], workers: Workers
) -> dict[Reference, Image]:
    """Fetch the images' manifests, level by level, each digest once."""
    manifests: dict[Digest, Manifest] = {}
    repositories: dict[Digest, str] = {}

    def fetch_root(reference: Reference) -> Manifest:
        return client.get_manifest(reference.repository, reference.source)

    def fetch_child(descriptor: Descriptor) -> Manifest:
        repository = repositories[descriptor.digest]
        return Manifest.of(descriptor, client.get_manifest(repository, descriptor.digest).content)

    references = list(dict.fromkeys(references))
    roots = dict(zip(references, workers.map(fetch_root, references), strict=True))
    for root in roots.values():
        manifests.setdefault(root.digest, root)
    level = [(reference.repository, manifests[root.digest]) for reference, root in roots.items()]
    while level:
        children: dict[Digest, Descriptor] = {}
        for repository, manifest in level:
            for descriptor in manifest.manifests:
                if descriptor.digest not in manifests:
                    children.setdefault(descriptor.digest, descriptor)
                    repositories.setdefault(descriptor.digest, repository)
        found = workers.map(fetch_child, children.values())
        manifests.update(zip(children, found, strict=True))
        level = [(repositories[manifest.digest], manifest) for manifest in found]
    return {
        reference: Image.collect(
            manifests[root.digest], lambda descriptor: manifests[descriptor.digest]
        )
        for reference, root in roots.items()
    }
