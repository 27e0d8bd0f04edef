"""Making an inventory: a payload without layers, which tells what a registry has."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import IO

from docker_charon.errors import (
    AuthenticationError,
    BlobNotFound,
    DigestMismatch,
    InvalidManifest,
    InvalidReference,
    ManifestNotFound,
)
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.reference import Reference, parse_references
from docker_charon.payload.format import payload_entries
from docker_charon.payload.writer import write_payload
from docker_charon.progress import Bar
from docker_charon.registry.blobs import BlobStream
from docker_charon.registry.client import RegistryClient, open_registry
from docker_charon.registry.session import Access
from docker_charon.transfer.plan import plan_make
from docker_charon.transfer.resolve import Resolution
from docker_charon.workers import Workers

_BROKEN = (ManifestNotFound, BlobNotFound, InvalidManifest, DigestMismatch)
"""What may be wrong with one image of many."""

_log = logging.getLogger(__name__)


def make_inventory(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    docker_images: Iterable[str] = (),
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    cacert: str | os.PathLike[str] | None = None,
    jobs: int = 4,
    progress: bool | None = None,
) -> list[str]:
    """Write down what a registry has, as a payload without layers: a few kilobytes an image.

    `make_payload` takes it among ``payloads_already_transferred``. Every blob is asked for: an
    image that lacks one is not in the inventory.

    Args:
        registry: The registry, ``host`` or ``host:port``.
        zip_file: Where to write: a path, or a file object opened for bytes, which is left open.
        docker_images: The images, without the name of the registry. None means every tag of every
            repository that this user may see; not every registry can list them.
        secure: ``False`` for a registry on plain HTTP.
        username: For a registry that requires a login.
        password: For a registry that requires a login. Without both, what Docker or Podman are
            logged in with is used.
        cacert: A file of certificates (PEM) to trust besides the usual ones.
        jobs: How many questions are asked side by side.
        progress: Show a bar if standard error is a terminal, unless this is ``False``.

    Returns:
        The images of the inventory. When all are asked for, one that is broken is left out, as is a
        repository that this user may not see, and a warning is logged.

    Raises:
        InvalidReference: An image or the registry has a name that cannot be one.
        ManifestNotFound: The registry does not have an image, or cannot list those that it has.
        BlobNotFound: The registry lacks a part of an image.
        RegistryError: The registry cannot be reached, refuses, or answers nonsense.
        PayloadError: ``zip_file`` cannot be written.
        DockerCharonError: Any other failure; the base of those above.
    """
    named = parse_references(docker_images, "docker_images")
    workers = Workers(jobs)
    with open_registry(registry, Access(secure, username, password, cacert), jobs) as client:
        census = _Census(client, workers)
        images = census.of(named, progress) if named else census.of_all(progress)
        plan = plan_make(images, images, absent=census.absent)
        write_payload(zip_file, payload_entries(plan), _no_blob)
        return [one.name for one in images]


def _no_blob(blob: Descriptor, repository: str) -> BlobStream:
    raise AssertionError(f"an inventory does not carry {blob.digest} of {repository}")


class _Census:
    """Counts a registry's images.

    ``absent`` are the repositories and layers that these rightly do not have.
    """

    def __init__(self, client: RegistryClient, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._resolution = Resolution(client, workers)
        self._has: dict[tuple[str, Digest], bool] = {}
        self.absent: set[tuple[str, Digest]] = set()

    def of(self, named: Mapping[str, Reference], progress: bool | None) -> list[NamedImage]:
        """Return the images of these names."""
        with Bar("Looking", len(named), progress, unit=" images") as bar:

            def look(name: str) -> NamedImage:
                image = self._image(name, named[name])
                bar.update(1)
                return image

            return self._workers.map(look, named)

    def of_all(self, progress: bool | None) -> list[NamedImage]:
        """Return every image that is whole; say which are not."""
        named = self._names()
        with Bar("Looking", len(named), progress, unit=" images") as bar:

            def look(name: str) -> NamedImage | None:
                try:
                    return self._image(name, named[name])
                except _BROKEN as error:
                    _log.warning("left out: %s", error)
                    return None
                finally:
                    bar.update(1)

            return [found for found in self._workers.map(look, named) if found is not None]

    def _names(self) -> dict[str, Reference]:
        """Return every tag of every repository."""
        try:
            repositories = self._client.repositories()
        except (ManifestNotFound, AuthenticationError) as error:
            raise type(error)(
                f"{self._client.registry} does not list its repositories",
                hint="name the images",
                status=error.status,
            ) from error
        tags = self._workers.map(self._tags, repositories)
        named = {}
        for repository, each in zip(repositories, tags, strict=True):
            for tag in each:
                try:
                    named[f"{repository}:{tag}"] = Reference.parse(f"{repository}:{tag}")
                except InvalidReference as error:
                    _log.warning("left out: %s", error)
        if not named:
            raise ManifestNotFound(f"{self._client.registry} has no images")
        return named

    def _tags(self, repository: str) -> list[str]:
        try:
            return self._client.tags(repository)
        except ManifestNotFound:
            return []  # it is still listed, and all of it has been deleted
        except AuthenticationError as error:
            _log.warning("left out: %s", error)  # some list what they do not show to everyone
            return []

    def _image(self, name: str, reference: Reference) -> NamedImage:
        image = self._resolution.image(reference)
        for blob in image.blobs:
            if self._is_there(reference.repository, blob):
                continue
            if not blob.is_non_distributable:
                raise BlobNotFound(
                    f"{self._client.registry} lacks the blob {blob.digest} of {name}",
                    hint="that image has to be brought there again",
                )
            self.absent.add((reference.repository, blob.digest))
        return NamedImage(name, reference, image)

    def _is_there(self, repository: str, blob: Descriptor) -> bool:
        key = repository, blob.digest
        if key not in self._has:
            self._has[key] = self._client.head_blob(repository, blob.digest) == blob.size
        return self._has[key]
