"""Making a payload: from a registry to one zip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO

from docker_charon.descriptor import Descriptor
from docker_charon.digest import Digest
from docker_charon.errors import DockerCharonError
from docker_charon.manifest import Image, Manifest
from docker_charon.payload import payload_entries
from docker_charon.payload_writer import write_payload
from docker_charon.plan import NamedImage, plan_make
from docker_charon.progress import Progress
from docker_charon.reference import Reference
from docker_charon.registry import BlobStream, RegistryClient


def make_payload(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    docker_images_to_transfer: Iterable[str],
    docker_images_already_transferred: Iterable[str] = (),
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    progress: bool | None = None,
) -> None:
    """Create a payload, a single zip file, from a list of Docker images of one registry.

    Args:
        registry: The registry to pull the images from, ``host`` or ``host:port``.
        zip_file: Where to write: a path, or a file object opened for bytes, which is left open
            and need not be able to seek. A path gets the whole payload or stays as it was.
        docker_images_to_transfer: The images, without the name of the registry:
            ``repository[:tag][@digest]``.
        docker_images_already_transferred: Images that the air-gapped registry has; what they
            share with the others is left out. An image in both lists is declared only.
        secure: ``False`` for a registry on plain HTTP.
        username: For a registry that requires a login.
        password: For a registry that requires a login.
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
    with RegistryClient(registry, secure=secure, username=username, password=password) as client:
        client.check_api()
        images = _Images(client)
        plan = plan_make(
            [NamedImage(name, reference, images[reference]) for name, reference in wanted.items()],
            [NamedImage(name, reference, images[reference]) for name, reference in already.items()],
        )

        def fetch(blob: Descriptor, repository: str) -> BlobStream:
            return client.get_blob(repository, blob)

        total = sum(blob.size for blob in plan.blobs)
        with Progress("Making the payload", total, progress) as bar:
            write_payload(zip_file, payload_entries(plan), fetch, bar.update)


def _references(names: Iterable[str], parameter: str) -> dict[str, Reference]:
    """Parse names, each once, in their order."""
    if isinstance(names, (str, bytes)):
        raise TypeError(f"{parameter} is a list of names, not a single one")
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{parameter} is a list of str")
    return {name: Reference.parse(name) for name in names}


class _Images:
    """The images of a registry: a tag is resolved once, a manifest fetched once."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._images: dict[Reference, Image] = {}
        self._manifests: dict[Digest, Manifest] = {}

    def __getitem__(self, reference: Reference) -> Image:
        if reference not in self._images:
            repository = reference.repository
            root = self._client.get_manifest(repository, reference.source)
            root = self._manifests.setdefault(root.digest, root)
            self._images[reference] = Image.collect(
                root, lambda descriptor: self._child(repository, descriptor)
            )
        return self._images[reference]

    def _child(self, repository: str, descriptor: Descriptor) -> Manifest:
        known = self._manifests.get(descriptor.digest)
        if known is None:
            content = self._client.get_manifest(repository, descriptor.digest).content
            known = self._manifests[descriptor.digest] = Manifest.of(descriptor, content)
        return known
