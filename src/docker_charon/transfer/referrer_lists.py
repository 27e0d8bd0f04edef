"""The lists of referrers that a registry without a referrers API leaves to its clients.

OCI distribution-spec 1.1, "Pushing Manifests with Subject" and "Referrers Tag Schema".
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from docker_charon.errors import DockerCharonError, ManifestNotFound, RegistryError
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import fallback_tag, with_referrers
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.errors import ends_all

_NOT_KEPT = 409
"""The status of our error for a list that another client changes at the same time."""


class ReferrerLists:
    """Remembers which referrers have to be listed, and adds them to the lists of their subjects."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._unlisted: dict[Reference, dict[Digest, Manifest]] = {}
        self._has_api: bool | None = None  # until the registry has been asked

    def add(self, repository: str, manifest: Manifest) -> None:
        """Remember a referrer that the registry does not list; other manifests are ignored."""
        if manifest.subject is not None:
            subject = Reference(repository, None, manifest.subject.digest)
            with self._lock:
                self._unlisted.setdefault(subject, {})[manifest.digest] = manifest

    def check(self, repository: str, manifest: Manifest) -> None:
        """Remember a referrer that was there already, unless the registry lists it itself."""
        if manifest.subject is None:
            return
        if self._has_api is None:
            try:
                referrers = self._client.referrers(repository, manifest.subject.digest)
                self._has_api = referrers is not None
            except DockerCharonError as error:
                if ends_all(error):
                    raise
        if not self._has_api:
            self.add(repository, manifest)

    def take(self) -> Mapping[Reference, Mapping[Digest, Manifest]]:
        """Return the remembered referrers by their subjects, and forget them."""
        with self._lock:
            unlisted, self._unlisted = self._unlisted, {}
        return unlisted

    def update(self, subject: Reference, referrers: Sequence[Manifest]) -> None:
        """Add referrers to the list of one subject, which other clients may change too."""
        repository, tag = subject.repository, fallback_tag(Digest(subject.target))

        def attempt() -> None:
            for _ in range(2):  # the second time, it should be complete
                present = self._present(repository, tag)
                if present is not None and present.has_digest(Digest(subject.target)):
                    present = None  # GitLab answers with the subject if it has no such tag
                if present is not None and not present.is_index:
                    raise RegistryError(
                        f"{self._client.registry} has an image under {repository}:{tag}, where the "
                        "list of referrers belongs",
                        hint="give that image another tag",
                    )
                new_list = with_referrers(present, referrers)
                if new_list is None:
                    return
                self._client.put_manifest(repository, tag, new_list)
            raise RegistryError(
                f"{self._client.registry} does not keep what is put under {repository}:{tag}",
                hint="push again when no other client writes to that repository",
                status=_NOT_KEPT,
            )

        self._client.tries(statuses=frozenset({_NOT_KEPT})).run(attempt)

    def _present(self, repository: str, tag: str) -> Manifest | None:
        try:
            return self._client.get_manifest(repository, tag, to_push=True)
        except ManifestNotFound:
            return None
