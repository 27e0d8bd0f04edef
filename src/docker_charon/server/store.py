"""What a server serves, whatever it is kept in; nothing here knows HTTP."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from docker_charon.oci.digest import Digest
from docker_charon.payload.random_access import Extent
from docker_charon.server.catalog import Catalog
from docker_charon.server.manifest import StoredManifest


class Code(str, enum.Enum):
    """The error codes of distribution-spec 1.1, "Error Codes", and two that registries add."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
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


class Rejected(Exception):  # it is an answer to a client; no caller of the library meets it
    """What a client asks for cannot be done, and why."""

    def __init__(self, code: Code, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class Blob(Protocol):
    """A blob that is there."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def extent(self) -> AbstractContextManager[Extent | None]:
        """Yield where its bytes lie in an open file; ``None`` where they do not as they are."""

    def chunks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Yield its bytes from ``start`` on, in pieces that are gone when the next is asked for."""


class Store(Protocol):
    """Manifests and blobs to be read.

    Blobs are kept in one pool, and the catalog tells which of them a repository has.
    """

    @property
    def catalog(self) -> Catalog:
        """Which tags, manifests and blobs each repository has."""

    def content(self, manifest: StoredManifest) -> bytes:
        """Return the bytes of a manifest of the catalog."""

    def blob(self, digest: Digest) -> Blob | None:
        """Return a blob of any repository, or ``None`` if it is not there."""
