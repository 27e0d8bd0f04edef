"""An inventory: a payload without layers that says what one or several registries have."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from docker_charon.errors import (
    AuthenticationError,
    BlobNotFound,
    ConnectionFailed,
    DockerCharonError,
    InvalidReference,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.host import DOCKER_HUB, check_host, is_docker_hub
from docker_charon.oci.image import NamedImage
from docker_charon.oci.reference import Reference, check_repository, checked_names, joined
from docker_charon.payload.file_object import PayloadTarget
from docker_charon.payload.format.entries import Entry, payload_entries
from docker_charon.payload.writer import write_payload
from docker_charon.progress import Progress, ProgressArgument, check_progress
from docker_charon.registry.access import Access
from docker_charon.registry.blobs import BlobStream
from docker_charon.registry.certificates import CertificateArgument
from docker_charon.registry.client import RegistryClient, open_registry
from docker_charon.registry.listing import IncompleteListing
from docker_charon.transfer.named_files import check_payload_target
from docker_charon.transfer.naming.chosen_tags import ChosenTags
from docker_charon.transfer.naming.image_choice import ImageChoice
from docker_charon.transfer.naming.references import checked_hosts, hosts_of, source_references
from docker_charon.transfer.plan import RepositoryBlob, plan_make
from docker_charon.transfer.present_blobs import PresentBlobs
from docker_charon.transfer.resolve import Resolver
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers

_TOO_MANY_REQUESTS = 429

_T = TypeVar("_T")
_log = get_logger(__name__)


def make_inventory(
    registry: str | Iterable[str],
    zip_file: PayloadTarget,
    docker_images: Iterable[str] = (),
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    cacert: str | os.PathLike[str] | None = None,
    cert: CertificateArgument | None = None,
    anonymous: bool = False,
    insecure_registries: Iterable[str] = (),
    jobs: int = 4,
    progress: ProgressArgument = None,
) -> list[str]:
    """Write down what a registry has, as a payload without layers: a few kilobytes for each image.

    `make_payload` accepts the file in ``payloads_already_transferred``. The registry is asked for
    every blob, and an image that lacks one is not in the inventory.

    Args:
        registry: The registry: ``host`` or ``host:port``, or a list of several. With several, the
            names in the inventory begin with their registry, as in `make_payload` without one.
        zip_file: The file to write: a path, or a file object opened for writing bytes, which stays
            open.
        docker_images: The images: without the name of the registry if there is only one, with it if
            there are several; a tag may be a choice of tags, as for `make_payload`. Without any,
            every tag of every repository that this user may see; not every registry can list them.
        secure: ``False`` for registries on plain HTTP.
        username: The user of a registry that requires a login, if there is only one.
        password: The password of that user. Without both, the logins of Docker or Podman are used.
        cacert: A file of certificates (PEM, or one in DER) to trust besides the usual ones.
        cert: A client certificate: one PEM file that also holds its key, or a pair of the
            certificate's file and the key's. Without it, the one in Docker's or Podman's
            ``certs.d`` folder of the registry is used.
        anonymous: ``True`` does not log in, even if Docker or Podman have stored a login.
        insecure_registries: The registries on plain HTTP, if the others use HTTPS.
        jobs: The number of questions at the same time.
        progress: As in `make_payload`.

    Returns:
        The names of the images in the inventory; none if the registry has none. If no images are
        given, images that cannot be read or lack a blob, and repositories that this user may not
        see, are left out, each with a logged warning.

    Raises:
        InvalidReference: The name of an image or of a registry is not valid.
        ManifestNotFound: The registry does not have an image.
        BlobNotFound: The registry lacks a blob of an image.
        RegistryError: A registry cannot be reached, refuses, or sends wrong content.
        PayloadError: ``zip_file`` cannot be written.
        DockerCharonError: Any other failure; all errors above are subclasses of it.
    """
    insecure = checked_hosts(insecure_registries, "insecure_registries")
    hosts = _hosts(registry)
    if len(hosts) > 1 and (username is not None or password is not None):
        raise AuthenticationError(
            "a username and a password are those of one registry, and several are named",
            hint="log in to each one with docker login",
        )
    only = next(iter(hosts.values())) if len(hosts) == 1 else None
    wanted = source_references(
        docker_images,
        "docker_images",
        only,
        secure=secure and (only or "").lower() not in insecure,
    )
    if only is None and (others := hosts_of(wanted) - hosts.keys()):
        raise InvalidReference(
            f"images of {', '.join(host or DOCKER_HUB for host in sorted(others))} are named, "
            "which is not one of the registries",
            hint="name that registry too",
        )
    check_progress(progress)
    check_payload_target(zip_file, "inventory")
    workers = Workers(jobs)
    access = Access(secure, username, password, cacert, cert, anonymous)
    with Sources(
        only or DOCKER_HUB,
        access,
        jobs,
        hosts=hosts if only is None else ("",),
        insecure=insecure,
        opener=open_registry,
    ) as sources:
        inventory = _Inventory(sources, workers)
        images = inventory.images(wanted, progress) if wanted else inventory.every_image(progress)
        registries = () if only is not None else hosts.keys() - {""}
        contents = plan_make(images, images, absent=inventory.absent, registries=registries)
        write_inventory(zip_file, payload_entries(contents))
        return [image.name for image in images]


def _hosts(registry: str | Iterable[str]) -> dict[str, str]:
    """Return the names of registries by what stands in front of full names: ``""`` for Docker Hub.

    Raises `InvalidReference` for a name that is not valid, and `DockerCharonError` for an empty
    list.
    """
    if isinstance(registry, str):
        registry = [registry]
    names = checked_names(registry, "registry")
    for name in names:
        check_host(name)
    if not names:
        raise DockerCharonError("there is no registry to look at")
    return {"" if is_docker_hub(name) else name.lower(): name for name in names}


def write_inventory(zip_file: PayloadTarget, entries: Iterable[Entry]) -> None:
    """Write the entries of a payload without layers (see `write_payload`)."""
    write_payload(zip_file, entries, _no_blob)


def _no_blob(blob: Descriptor, repository: str, _: int) -> BlobStream:
    raise AssertionError(f"an inventory does not carry {blob.digest} of {repository}")


class _Inventory:
    """Finds the images of registries and checks that all their blobs are there.

    ``absent`` are the non-distributable layers that the registries lack.
    """

    def __init__(self, sources: Sources, workers: Workers) -> None:
        self._sources = sources
        self._workers = workers
        self._resolver = Resolver(sources, workers)
        self._present = PresentBlobs(sources, workers)
        self._left_out: list[DockerCharonError] = []
        self.absent: set[RepositoryBlob] = set()

    def every_image(self, progress: ProgressArgument) -> list[NamedImage]:
        """Return every complete image of the registries; log a warning for each of the others.

        Raises the first of these problems if nothing is left.
        """

        def image(name: str, reference: Reference) -> NamedImage | None:
            try:
                return self._image(name, reference)
            except DockerCharonError as error:
                self._leave_out(error)
                return None

        with Progress("asking", {}, {}, progress, note=self._sources.registry):
            references = self._every_reference()
        images = [i for i in self._look(references, image, progress) if i is not None]
        if self._left_out and not images:
            raise self._left_out[0]
        if not images:
            _log.warning("%s has no images that this user may see", self._sources.registry)
        return images

    def images(
        self, wanted: Mapping[str, Reference | ImageChoice], progress: ProgressArgument
    ) -> list[NamedImage]:
        """Return the images that are wanted, by name.

        One error names all of those that are missing or incomplete, as `FailedImages.check` says.
        """

        def image(name: str, reference: Reference) -> NamedImage | None:
            return self._resolver.attempt(reference, lambda: self._image(name, reference))

        chosen_tags = ChosenTags(self._sources, self._resolver.failed, self._workers)
        with Progress("asking", {}, {}, progress, note=self._sources.registry):
            references = chosen_tags.references(wanted)
        self._resolver.failed.expect(references)
        images = self._look(references, image, progress)
        self._resolver.failed.check()
        return [image for image in images if image is not None]

    def _look(
        self,
        references: Mapping[str, Reference],
        look: Callable[[str, Reference], _T],
        progress: ProgressArgument,
    ) -> list[_T]:
        """Call ``look`` for every name, and show how many are done."""
        names: dict[str, None] = dict.fromkeys(references)
        with Progress("looking", {}, names, progress, name_images=False) as shown:

            def look_at(name: str) -> _T:
                try:
                    return look(name, references[name])
                finally:
                    shown.complete(name)

            return self._workers.map(look_at, references)

    def _leave_out(self, error: DockerCharonError) -> None:
        """Log what is left out because of ``error``; raise it if the rest would fail as well."""
        if isinstance(error, ConnectionFailed) and (error.unreachable or error.permanent):
            raise error
        if isinstance(error, RegistryError) and error.status == _TOO_MANY_REQUESTS:
            raise error
        self._left_out.append(error)
        _log.warning("left out: %s", error)

    def _every_reference(self) -> dict[str, Reference]:
        """Return every tag of every repository, by name."""
        references = {}
        repositories = {
            joined(host, name): host
            for host, client in self._sources.open_all().items()
            for name in self._repositories(client)
            if self._is_valid(name)
        }
        for (repository, host), tags in zip(
            repositories.items(), self._workers.map(self._tags, repositories), strict=True
        ):
            for name in (f"{repository}:{tag}" for tag in tags):
                try:
                    references[name] = Reference.parse_named(name, {host} - {""})
                except InvalidReference as error:
                    self._leave_out(error)
        return references

    def _is_valid(self, repository: str) -> bool:
        """Whether a name in the registry's list may become a part of a URL."""
        try:
            check_repository(repository)
        except InvalidReference as error:
            self._leave_out(error)
            return False
        return True

    def _repositories(self, client: RegistryClient) -> list[str]:
        try:
            return client.repositories()
        except IncompleteListing as error:
            self._leave_out(error)
            return list(error.names)
        except ConnectionFailed:
            raise
        except RegistryError as error:
            error.hint = "name the images"
            if isinstance(error, AuthenticationError):
                error.hint = "log in as a user who may list them, or name the images"
            raise

    def _tags(self, repository: str) -> list[str]:
        try:
            return self._sources.tags(repository)
        except ManifestNotFound:
            return []  # registries may list a repository after its last image was deleted
        except IncompleteListing as error:
            self._leave_out(error)
            return list(error.names)
        except DockerCharonError as error:  # some list repositories that the user may not see
            self._leave_out(error)
            return []

    def _image(self, name: str, reference: Reference) -> NamedImage:
        """Return an image; raise `BlobNotFound` if the registry lacks a blob of it."""
        image = self._resolver.image(name, reference)
        for needed in RepositoryBlob.of(image):
            if self._present.has(needed):
                continue
            if not needed.blob.is_non_distributable:
                registry, _ = self._sources.locate(needed.repository)
                raise BlobNotFound(
                    f"{registry} lacks the blob {needed.digest} of {name}",
                    hint="push that image again",
                )
            self.absent.add(needed)
        return image
