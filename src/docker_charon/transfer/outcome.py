"""The outcome of a push: which images and referrers have failed, and why."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from docker_charon.errors import (
    AuthenticationError,
    DockerCharonError,
    PushIncomplete,
    RegistryError,
)
from docker_charon.oci.image import Image, NamedImage, PayloadImage, Referrer
from docker_charon.oci.reference import Reference
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.errors import ends_all
from docker_charon.registry.retry import TRANSIENT
from docker_charon.transfer.plan import RepositoryBlob

_TOO_MANY_REQUESTS = 429
_ONE_IMAGE_ONLY = 500
"""The one status, of those that are worth another try, that may be about a single image."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a payload that arrives or fails on its own: an image, or one referrer of it.

    ``reference`` is where its root is put, and ``graph`` has its manifests and blobs.
    """

    image: PayloadImage
    referrer: Referrer | None
    reference: Reference
    graph: Image

    @property
    def repository(self) -> str:
        """The repository that it is put into."""
        return self.reference.repository

    @property
    def blobs(self) -> list[RepositoryBlob]:
        """The blobs that its repository needs before its manifests can be put."""
        return [RepositoryBlob(self.repository, blob) for blob in self.graph.blobs]


def parts_of(images: Iterable[PayloadImage]) -> list[Part]:
    """Return the parts of images: each image that is carried, before its referrers."""
    parts = []
    for image in images:
        if isinstance(image, NamedImage):
            parts.append(Part(image, None, image.reference, image.image))
        for referrer in image.referrers:
            digest = None if referrer.tag else referrer.manifest.digest
            reference = Reference(image.reference.repository, referrer.tag, digest)
            parts.append(Part(image, referrer, reference, referrer.image))
    return parts


class Outcome:
    """The failures of one push, from any thread.

    What a registry refuses for good is a failure of one part, and the other parts are finished. An
    error that every other request would meet too is raised, and ends the push.
    """

    def __init__(self, client: RegistryClient, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self._client = client
        self._errors: dict[Part, DockerCharonError] = {}
        self._failed_images: set[str] = set()
        self._lock = threading.Lock()

    def fail(self, parts: Iterable[Part], error: DockerCharonError) -> None:
        """Record why ``parts`` have failed; raise ``error`` if all others would fail as well."""
        if self._ends_all(error):
            raise error
        with self._lock:
            for part in parts:
                self._errors.setdefault(part, error)
                if part.referrer is None:
                    self._failed_images.add(part.image.name)

    def has_failed(self, part: Part) -> bool:
        """Whether a part, or the image that it refers to, has failed."""
        return part in self._errors or part.image.name in self._failed_images

    def remaining(self, parts: Iterable[Part]) -> list[Part]:
        """Return those parts that have not failed."""
        return [part for part in parts if not self.has_failed(part)]

    def incomplete(self, names: Sequence[str]) -> PushIncomplete | None:
        """Return an error if parts have failed; ``names`` are the images that should have arrived.

        If there is a single image, or if all images fail because the registry does not allow this
        user to push, the reason itself is raised.
        """
        failed: dict[str, DockerCharonError] = {}
        failed_referrers: dict[str, DockerCharonError] = {}
        for part in self.parts:
            if part in self._errors and part.referrer is None:
                failed[part.image.name] = self._errors[part]
            elif part in self._errors and part.image.name not in self._failed_images:
                failed_referrers[str(part.reference)] = self._errors[part]
        if not failed and not failed_referrers:
            return None
        pushed = [name for name in names if name not in failed]
        errors = list(failed.values())
        if errors and not pushed and (len(errors) == 1 or all(map(_needs_login, errors))):
            raise errors[0]
        return PushIncomplete(self._client.registry, pushed, failed, failed_referrers)

    def _ends_all(self, error: DockerCharonError) -> bool:
        if not isinstance(error, RegistryError) or ends_all(error):
            return ends_all(error)
        if error.status == _TOO_MANY_REQUESTS:
            return True
        if error.status not in TRANSIENT or error.status == _ONE_IMAGE_ONLY:
            return False
        try:
            self._client.check_api()
        except DockerCharonError:
            return True
        return False


def _needs_login(error: DockerCharonError) -> bool:
    return isinstance(error, AuthenticationError) and error.status == 401
