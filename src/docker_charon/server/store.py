"""A store: the repositories, manifests and blobs to be served, without anything about HTTP."""

from __future__ import annotations

import enum
import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from docker_charon.oci.digest import Digest
from docker_charon.payload.random_access import Extent
from docker_charon.server.manifest import StoredManifest


class Code(str, enum.Enum):
    """The error codes of distribution-spec 1.1, "Error Codes", and two that registries add."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DENIED = "DENIED"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    SIZE_INVALID = "SIZE_INVALID"
    UNSUPPORTED = "UNSUPPORTED"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    PAGINATION_NUMBER_INVALID = "PAGINATION_NUMBER_INVALID"
    UNKNOWN = "UNKNOWN"


class Rejected(Exception):  # it becomes an HTTP answer; callers of the library never see it
    """A request that cannot be fulfilled, with the reason for the client."""

    def __init__(self, code: Code, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class Blob(Protocol):
    """A blob that can be read."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def prepare(self) -> None:
        """Make its bytes available, which may take time; raise `DockerCharonError` if it cannot."""

    def extent(self) -> AbstractContextManager[Extent | None]:
        """Yield where its bytes are in an open file; ``None`` if they are compressed there."""

    def chunks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Yield its bytes from ``start`` on; a chunk is valid until the next one is requested."""


class Store(Protocol):
    """Manifests and blobs to be read.

    All repositories share one pool of blobs; the catalog says which repository has which blob.
    """

    @property
    def catalog(self) -> Catalog:
        """Which tags, manifests and blobs each repository has."""

    def content(self, manifest: StoredManifest) -> bytes:
        """Return the bytes of a manifest of the catalog."""

    def blob(self, digest: Digest) -> Blob | None:
        """Return a blob, whichever repository has it; ``None`` if there is no such blob."""


@dataclass
class _Repository:
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, StoredManifest] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    referrers: dict[Digest, dict[Digest, StoredManifest]] = field(default_factory=dict)


class Catalog:
    """The repositories by name, in memory. Every method may be called from any thread.

    Docker Hub's official images have two names, ``redis`` and ``library/redis``. What is looked up
    under one of them is also looked up under the other one.
    """

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
        """Add a manifest; with a tag, the tag points to it from now on.

        The blobs that it refers to belong to the repository from now on. ``digest`` is a second
        digest of the manifest: an image may be listed by sha256 and named by sha512.
        """
        with self._lock:
            entry = self._repositories.setdefault(repository, _Repository())
            entry.manifests[manifest.digest] = manifest
            if digest is not None:
                entry.manifests[digest] = manifest
            if tag is not None:
                entry.tags[tag] = manifest
            entry.blobs.update(manifest.blobs, manifest.non_distributable_blobs)
            if manifest.subject is not None:
                entry.referrers.setdefault(manifest.subject, {})[manifest.digest] = manifest

    def add_blob(self, repository: str, digest: Digest) -> None:
        """Add a blob that no manifest refers to yet."""
        with self._lock:
            self._repositories.setdefault(repository, _Repository()).blobs.add(digest)

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether a blob was pushed to a repository, or one of its manifests refers to it."""
        with self._lock:
            return any(digest in entry.blobs for entry in self._entries(repository))

    def repositories(self) -> list[str]:
        """Return the names of the repositories that have a manifest, sorted."""
        with self._lock:
            return sorted(name for name, entry in self._repositories.items() if entry.manifests)

    def tags(self, repository: str) -> list[str] | None:
        """Return the tags of a repository, sorted; ``None`` if there is no such repository."""
        with self._lock:
            entries = [entry for entry in self._entries(repository) if entry.manifests]
            return sorted({tag for entry in entries for tag in entry.tags}) if entries else None

    def find(self, repository: str, reference: str) -> StoredManifest | None:
        """Return the manifest with a digest, if ``reference`` is a `Digest`, or with a tag."""
        with self._lock:
            for entry in self._entries(repository):
                manifest = (
                    entry.manifests.get(reference)
                    if isinstance(reference, Digest)
                    else entry.tags.get(reference)
                )
                if manifest is not None:
                    return manifest
            return None

    def tagged(self, repository: str, tag: str) -> StoredManifest | None:
        """Return the manifest with this tag under exactly this name of the repository."""
        with self._lock:
            return self._repositories.get(repository, _Repository()).tags.get(tag)

    def is_tagged(
        self, repository: str, manifest: StoredManifest, ignoring: Collection[str] = ()
    ) -> bool:
        """Whether a tag under exactly this name points to the manifest, apart from ``ignoring``."""
        with self._lock:
            entry = self._repositories.get(repository, _Repository())
            return any(
                tagged.digest == manifest.digest and tag not in ignoring
                for tag, tagged in entry.tags.items()
            )

    def referrers(self, repository: str, subject: Digest) -> list[StoredManifest]:
        """Return the manifests with this subject; the subject itself may be missing."""
        with self._lock:
            referrers: dict[Digest, StoredManifest] = {}
            for entry in self._entries(repository):
                referrers |= entry.referrers.get(subject, {})
            return list(referrers.values())

    def _entries(self, repository: str) -> list[_Repository]:
        """Return the repository, if there is one, and the one with its other name."""
        names = [repository]
        if "/" not in repository:
            names.append(f"library/{repository}")
        elif repository.count("/") == 1 and repository.startswith("library/"):
            names.append(repository.removeprefix("library/"))
        return [self._repositories[name] for name in names if name in self._repositories]
