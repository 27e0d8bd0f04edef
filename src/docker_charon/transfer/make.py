"""Making a payload: from a registry to one zip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import IO

from docker_charon.errors import DockerCharonError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import parse_references
from docker_charon.payload.format import payload_entries
from docker_charon.payload.reader import open_payload
from docker_charon.payload.signature import sign as sign_text
from docker_charon.payload.volumes import checked_size, parse_size
from docker_charon.payload.writer import payload_size, write_payload
from docker_charon.progress import Progress
from docker_charon.registry.blobs import BlobStream
from docker_charon.registry.certificates import CertificateArgument
from docker_charon.registry.client import RegistryClient, open_registry
from docker_charon.registry.session import Access
from docker_charon.transfer.plan import RepositoryBlob, plan_make
from docker_charon.transfer.report import log_choices, log_make, make_summary
from docker_charon.transfer.resolve import Resolver
from docker_charon.workers import Workers

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
    volume_size: int | str | None = None,
    sign: str | os.PathLike[str] | None = None,
    cacert: str | os.PathLike[str] | None = None,
    cert: CertificateArgument | None = None,
    anonymous: bool = False,
    dry_run: bool = False,
    jobs: int = 4,
    progress: bool | None = None,
) -> None:
    """Create a payload, a single zip file, from Docker images of one registry.

    Args:
        registry: The registry to pull the images from: ``host`` or ``host:port``.
        zip_file: The file to write: a path, or a file object opened for writing bytes, which stays
            open and does not need to seek. A path gets the whole payload or stays unchanged. An
            interrupted call leaves what it fetched in ``PATH.partial``, and the next call uses it.
        docker_images_to_transfer: The images, without the name of the registry:
            ``repository[:tag][@digest]``.
        docker_images_already_transferred: Images that the air-gapped registry has. Blobs that they
            share with the other images are left out. An image in both lists is not carried, but
            the push checks that it is there. Their tags are looked up in ``registry`` now.
        secure: ``False`` for a registry on plain HTTP.
        username: The user of a registry that requires a login.
        password: The password of that user. Without both, the logins of Docker or Podman are used.
        payloads_already_transferred: Payloads that were pushed to the air-gapped registry, or
            inventories of it (see `make_inventory`): paths, or file objects that can seek. Blobs
            that they list are left out, even if a tag in ``registry`` has moved since.
        platforms: The platforms to carry, each ``os/architecture[/variant]``. One platform is
            carried as its own image, several as a new index of these platforms. ``None`` carries
            every platform.
        include_referrers: Also carry signatures, SBOMs and other artifacts that refer to the
            images.
        volume_size: Write the payload in volumes of this size, ``PATH.001``, ``PATH.002``, ... with
            the list ``PATH.volumes.json``: a number of bytes, or text as ``"4G"``, ``"4.7GB"`` or
            ``"700MiB"``. 4 GiB is one byte less, which FAT32 can hold.
        sign: Sign the payload with this key: the file of a private SSH key, or of a public one
            whose private one an agent has. ``ssh-keygen`` (OpenSSH) asks for a passphrase if the
            key has one.
        cacert: A PEM file of certificates to trust in addition to the usual ones.
        cert: A client certificate: one PEM file that also holds its key, or a pair of the
            certificate's file and the key's. Without it, the one in Docker's or Podman's
            ``certs.d`` folder of the registry is used.
        anonymous: ``True`` does not log in, even if Docker or Podman have stored a login.
        dry_run: Only log what would be carried, at level ``INFO``. No blob is fetched and nothing
            is written.
        jobs: The number of blobs or manifests that are fetched at the same time.
        progress: ``None`` shows a bar if standard error is a terminal. ``True`` also writes lines
            if it is not a terminal. ``False`` shows nothing.

    Raises:
        InvalidReference: The name of an image or of the registry is not valid.
        InvalidPlatform: The name of a platform is not valid.
        ManifestNotFound: The registry does not have an image, or not for a platform.
        RegistryError: The registry cannot be reached, refuses, or sends wrong content.
        PayloadError: ``zip_file`` cannot be written, or an earlier payload cannot be read.
        DockerCharonError: Any other failure; all errors above are subclasses of it.
    """
    to_transfer = parse_references(docker_images_to_transfer, "docker_images_to_transfer")
    already_transferred = parse_references(
        docker_images_already_transferred, "docker_images_already_transferred"
    )
    if not to_transfer:
        raise DockerCharonError("there is no image to transfer")
    chosen_platforms = _parse_platforms(platforms)
    checked_volume_size = _parse_volume_size(volume_size)
    workers = Workers(jobs)
    delivered = _delivered_blobs(payloads_already_transferred)
    access = Access(secure, username, password, cacert, cert, anonymous)
    with open_registry(registry, access, jobs) as client:
        resolver = Resolver(client, workers, chosen_platforms)
        images = resolver.images(to_transfer, include_referrers=include_referrers)
        skipped = resolver.images(already_transferred, skip_missing_platforms=True)
        absent = _absent_layers(client, workers, [*images, *skipped])
        contents = plan_make(images, skipped, delivered, absent)
        log_choices(contents, chosen_platforms)
        signer = None if sign is None else partial(sign_text, key=sign)
        entries = list(payload_entries(contents, signer))
        if dry_run:
            log_make(contents, payload_size(entries), checked_volume_size)
            return

        def fetch(blob: Descriptor, repository: str) -> BlobStream:
            return client.get_blob(repository, blob)

        sizes = {blob.digest: blob.size for blob in contents.blobs}
        needed = {image.name: [blob.digest for blob in image.blobs] for image in contents.images}
        with Progress("Making", sizes, needed, progress) as shown_progress:
            write_payload(
                zip_file, entries, fetch, shown_progress, workers, volume_size=checked_volume_size
            )
            shown_progress.sum_up(make_summary(contents))


def _parse_platforms(platforms: Iterable[str] | None) -> list[Platform]:
    """Parse platforms, each once; none for ``None``."""
    if platforms is None:
        return []
    if isinstance(platforms, (str, bytes)) or hasattr(platforms, "read"):
        raise TypeError("platforms is a list of str, not a single str or a file")
    names = list(platforms)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("platforms is a list of str")
    if not names:
        raise DockerCharonError("there is no platform to transfer", hint="None means all of them")
    return list(dict.fromkeys(map(Platform.parse, names)))


def _parse_volume_size(size: int | str | None) -> int | None:
    """Return the size of volumes in bytes; ``None`` for a single file."""
    if size is None or isinstance(size, str):
        return None if size is None else parse_size(size)
    if type(size) is not int:
        raise TypeError(f"volume_size is an int or a str, not {type(size).__name__}")
    return checked_size(size)


def _delivered_blobs(payloads: Iterable[_PayloadFile]) -> dict[Digest, dict[str, None]]:
    """Return the blobs that earlier payloads brought, each with its repositories."""
    if isinstance(payloads, (str, bytes, os.PathLike)) or hasattr(payloads, "read"):
        raise TypeError("payloads_already_transferred is a list of payloads, not a single one")
    repositories: dict[Digest, dict[str, None]] = {}
    for file in payloads:
        with open_payload(file) as payload:
            for digest, repository in payload.delivered():
                repositories.setdefault(digest, {})[repository] = None
    return repositories


def _absent_layers(
    client: RegistryClient, workers: Workers, images: Iterable[NamedImage]
) -> set[RepositoryBlob]:
    """Return the non-distributable layers that the registry does not have.

    OCI image-spec 1.1, "Non-Distributable Layers": a registry may lack layers that have ``urls``.
    """
    layers = dict.fromkeys(
        needed
        for image in images
        for needed in RepositoryBlob.of(image)
        if needed.blob.is_non_distributable
    )
    sizes = workers.map(lambda layer: client.head_blob(layer.repository, layer.digest), layers)
    return {layer for layer, size in zip(layers, sizes, strict=True) if size is None}
