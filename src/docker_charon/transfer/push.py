"""Pushing a payload: from a zip into a registry."""

from __future__ import annotations

import os
import warnings
from typing import IO

from docker_charon.errors import RegistryError
from docker_charon.oci.image import PayloadImage
from docker_charon.oci.reference import checked_prefix
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.progress import Progress
from docker_charon.registry.certificates import CertificateArgument
from docker_charon.registry.client import RegistryClient, open_registry
from docker_charon.registry.session import Access
from docker_charon.transfer.blobs import BlobSender
from docker_charon.transfer.manifests import put_manifests
from docker_charon.transfer.plan import PushPlan, RepositoryBlob, plan_push
from docker_charon.transfer.report import log_push, push_summary
from docker_charon.transfer.survey import Survey
from docker_charon.workers import Workers


def push_payload_to_registry(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    strict: bool = False,
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    repository_prefix: str = "",
    allowed_signers: str | os.PathLike[str] | None = None,
    cacert: str | os.PathLike[str] | None = None,
    cert: CertificateArgument | None = None,
    anonymous: bool = False,
    dry_run: bool = False,
    jobs: int = 4,
    progress: bool | None = None,
) -> list[str]:
    """Push the images of a payload to a registry.

    The payload is checked, and the registry is asked what it has, before anything is written. Tags
    are set last, so that no tag ever points to an incomplete image.

    Args:
        registry: The registry to push to: ``host`` or ``host:port``.
        zip_file: The payload: a path, or a file object opened for reading bytes, which stays open.
            A file object that cannot seek is copied to a temporary file first. The path of a
            payload in volumes is ``PATH``, ``PATH.001`` or ``PATH.volumes.json``.
        strict: Raise an error if the registry lacks something that was given as already
            transferred when the payload was made. Otherwise the images that need it are left out,
            each with a ``UserWarning``.
        secure: ``False`` for a registry on plain HTTP.
        username: The user of a registry that requires a login.
        password: The password of that user. Without both, the logins of Docker or Podman are used.
        repository_prefix: Put before every repository: ``my-image:1`` arrives as
            ``PREFIX/my-image:1``. The returned names do not have it.
        allowed_signers: A file of allowed signers, as ssh-keygen(1) describes it. The payload must
            be signed by one of them, who is logged at level ``INFO``. This is checked first.
        cacert: A PEM file of certificates to trust in addition to the usual ones.
        cert: A client certificate: one PEM file that also holds its key, or a pair of the
            certificate's file and the key's. Without it, the one in Docker's or Podman's
            ``certs.d`` folder of the registry is used.
        anonymous: ``True`` does not log in, even if Docker or Podman have stored a login.
        dry_run: Only log what would be done, at level ``INFO``. Nothing is written.
        jobs: The number of questions, uploads or mounts at the same time.
        progress: ``None`` shows a bar if standard error is a terminal. ``True`` also writes lines
            if it is not a terminal. ``False`` shows nothing.

    Returns:
        The names of the images that the registry has now: ``docker_images_to_transfer`` of the
        payload, in that order and spelling, without the images that were left out.

    Raises:
        PayloadError: The payload cannot be read, is incomplete, or is not signed by an allowed
            signer.
        DigestMismatch: The payload is damaged.
        ManifestNotFound: With ``strict``: an image that should be there is missing or different.
        BlobNotFound: With ``strict``: a blob that should be there is missing.
        RegistryError: The registry cannot be reached, or refuses.
        DockerCharonError: Any other failure; all errors above are subclasses of it.
    """
    workers = Workers(jobs)
    prefix = checked_prefix(repository_prefix)
    access = Access(secure, username, password, cacert, cert, anonymous)
    with (
        open_payload(zip_file, allowed_signers=allowed_signers) as payload,
        open_registry(registry, access, jobs) as client,
    ):
        push = _Push(client, payload, prefix, workers)
        push.ask_registry()
        for error in push.errors.values():
            if strict:
                raise error
            warnings.warn(f"left out: {error}", UserWarning, stacklevel=2)
        if dry_run:
            log_push(push.plan, push.images)
        else:
            push.write(progress)
        return push.names


class _Push:
    """One push. Each step works on the images that no earlier step has left out."""

    def __init__(
        self, client: RegistryClient, payload: Payload, prefix: str, workers: Workers
    ) -> None:
        self._client = client
        self._payload = payload
        self._workers = workers
        self._images = [image.under(prefix) for image in payload.all_images]
        self._skipped = [image.under(prefix) for image in payload.skipped]
        self._survey = Survey(client, payload, prefix, workers)
        self.plan = PushPlan((), (), {})
        self.errors: dict[str, RegistryError] = {}
        """Why images are left out, by their names."""

    @property
    def images(self) -> list[PayloadImage]:
        """The images that are not left out: those that the payload carries, then the skipped."""
        return [image for image in self._images if image.name not in self.errors]

    @property
    def names(self) -> list[str]:
        """The names of the images that are not left out, in the order of the payload."""
        return [name for name in self._payload.names if name not in self.errors]

    def ask_registry(self) -> None:
        """Ask what the registry has, plan the rest, and find the images that it cannot get."""
        self.errors |= self._survey.missing_images(self._skipped)
        images = self.images
        self.plan = plan_push(
            images,
            self._payload.carried,
            self._survey.holders(images),
            self._payload.non_distributable,
        )
        for name, blobs in self.plan.missing.items():
            self.errors[name] = self._survey.incomplete(name, blobs)

    def write(self, progress: bool | None) -> None:
        """Send the blobs, then put the manifests and set the tags."""
        images, plan = self.images, self.plan
        sizes = {upload: upload.blob.size for upload in plan.uploads}
        sizes |= {mount.target: 0 for mount in plan.mounts}  # a mount transfers no bytes
        needed = {image.name: RepositoryBlob.of(image) for image in images}
        with Progress("Pushing", sizes, needed, progress) as shown_progress:
            sender = BlobSender(self._client, self._payload, self._workers, shown_progress)
            uploaded = sender.send(plan)
            put_manifests(self._client, images, self._workers)
            shown_progress.sum_up(push_summary(images, uploaded, self._payload.non_distributable))
