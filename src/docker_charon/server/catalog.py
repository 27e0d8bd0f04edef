"""The catalog: which tags, manifests and blobs each repository has, as it is known in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

from docker_charon.oci.digest import Digest
from docker_charon.server.manifest import StoredManifest


@dataclass
class _Repository:
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, StoredManifest] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    referrers: dict[Digest, dict[Digest, StoredManifest]] = field(default_factory=dict)


class Catalog:
    """Repositories by name; any thread may ask it and add to it."""

    def __init__(self) -> None:
        self._repositories: dict[str, _Repository] = {}
        self._lock = threading.Lock()

    def add(
        self,
        repository: str,
        manifest: StoredManifest,
        tag: str | None = None,
        digest: Digest | None = None,
    ) -> None:
        """Add a manifest, under a tag too if there is one: the tag leaves what it was on.

        What it refers to belongs to the repository from then on, wherever it came from.
        ``digest`` is another one that it goes by, as the sha512 digest of an image whose index
        has sha256.
        """
        with self._lock:
            there = self._repositories.setdefault(repository, _Repository())
            there.manifests[manifest.digest] = manifest
            if digest is not None:
                there.manifests[digest] = manifest
            if tag is not None:
                there.tags[tag] = manifest
            there.blobs.update(manifest.blobs, manifest.non_distributable_blobs)
            if manifest.subject is not None:
                there.referrers.setdefault(manifest.subject, {})[manifest.digest] = manifest

    def add_blob(self, repository: str, digest: Digest) -> None:
        """Add a blob that no manifest refers to yet."""
        with self._lock:
            self._repositories.setdefault(repository, _Repository()).blobs.add(digest)

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether a blob belongs to a repository: it was put there, or a manifest refers to it."""
        with self._lock:
            there = self._repositories.get(repository)
            return there is not None and digest in there.blobs

    def repositories(self) -> list[str]:
        """Return the names of all repositories that have a manifest, sorted."""
        with self._lock:
            return sorted(name for name, there in self._repositories.items() if there.manifests)

    def tags(self, repository: str) -> list[str] | None:
        """Return a repository's tags, sorted; ``None`` if there is no such repository."""
        with self._lock:
            there = self._repositories.get(repository)
            return sorted(there.tags) if there is not None and there.manifests else None

    def find(self, repository: str, reference: str) -> StoredManifest | None:
        """Return what a tag or, for a `Digest`, a digest stands for in a repository."""
        with self._lock:
            there = self._repositories.get(repository)
            if there is None:
                return None
            if isinstance(reference, Digest):
                return there.manifests.get(reference)
            return there.tags.get(reference)

    def is_tagged(
        self, repository: str, manifest: StoredManifest, but: Collection[str] = ()
    ) -> bool:
        """Whether a manifest has a tag in a repository, other than those of ``but``."""
        with self._lock:
            tags = self._repositories[repository].tags.items()
            return any(tag not in but and each.digest == manifest.digest for tag, each in tags)

    def referrers(self, repository: str, subject: Digest) -> list[StoredManifest]:
        """Return the manifests whose subject has this digest, be it there or not."""
        with self._lock:
            there = self._repositories.get(repository)
            return list(there.referrers.get(subject, {}).values()) if there else []
