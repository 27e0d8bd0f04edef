"""A blob on its way to a registry: in one request, or in chunks where those are limited.

OCI distribution-spec 1.1, "Pushing blobs". One ``PUT`` with a length is what every registry takes;
what stands before it may not, and answers 413.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from docker_charon.errors import ConnectionFailed, DockerCharonError, RegistryError
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry.http import pause

TRIES = 5
"""At a blob, each in a session of its own."""

FIRST_CHUNK = 1_000_000
"""Bytes; what passes a limit of 1 MiB, which is the default of nginx."""
SMALLEST_CHUNK = 64 * 1024
_IDLE = 5  # chunks in a row of which nothing arrives
_LARGEST_CHUNK = 64 * 1024 * 1024  # that a registry can ask for: a chunk is kept in memory
_PIECE = 64 * 1024  # bytes at a time, so that a slow line is not taken for a dead one


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An open upload: where it goes on, how much has arrived, and the smallest chunk, in bytes."""

    location: str
    received: int = 0
    min_chunk: int = 0


class Endpoints(Protocol):
    """What an upload asks of a client: one method an endpoint."""

    def head_blob(self, repository: str, digest: Digest, *, to_push: bool = False) -> int | None:
        """Return a blob's size in bytes, or ``None`` (end-2)."""

    def start_upload(self, repository: str, doing: str) -> UploadSession:
        """Open a session (end-4a)."""

    def put_upload(
        self, repository: str, session: UploadSession, blob: Descriptor, body: Body | bytes
    ) -> bool:
        """Send the last, or all, of a blob (end-6); ``False`` if that is too large (413)."""

    def patch_upload(
        self, repository: str, session: UploadSession, chunk: bytes, doing: str
    ) -> UploadSession | None:
        """Send a chunk (end-5); ``None`` if it is too large (413)."""

    def upload_status(self, repository: str, session: UploadSession, doing: str) -> UploadSession:
        """Ask how much has arrived (end-13)."""

    def cancel_upload(self, repository: str, session: UploadSession, doing: str) -> None:
        """Give a session back, where the registry lets us."""


class BlobUploads:
    """Uploads blobs, and remembers how large a request may be."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._largest: int | None = None  # as long as nobody has complained, a blob is one request

    def upload(self, repository: str, blob: Descriptor, body: Body) -> None:
        """Store a blob.

        A session in which something went wrong is not used again: what has become of it is
        anybody's guess. The registry is asked whether the blob has arrived all the same, and if
        not, it is sent in another session.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._try(repository, blob, body)
                return
            except RegistryError as error:
                if not tries_left or not _may_pass(error):
                    raise
            time.sleep(pause(TRIES - tries_left))
            if self._endpoints.head_blob(repository, blob.digest, to_push=True) == blob.size:
                return

    def _try(self, repository: str, blob: Descriptor, body: Body) -> None:
        if self._largest is None or blob.size <= self._largest:
            one = _Upload(self._endpoints, repository, blob)
            if one.whole(body):
                return
            self._largest = self._largest or FIRST_CHUNK
        while True:
            several = _Upload(self._endpoints, repository, blob)
            size = max(self._largest, several.session.min_chunk)
            if several.in_chunks(body, size):
                return
            if size // 2 < max(SMALLEST_CHUNK, several.session.min_chunk):
                raise RegistryError(
                    f"even chunks of {size:,} bytes are too large (413) for {several.doing}",
                    hint="something before the registry limits requests: raise the limit there",
                    status=413,
                )
            self._largest = size // 2


class _Upload:
    """One try at one blob, in a session of its own."""

    def __init__(self, endpoints: Endpoints, repository: str, blob: Descriptor) -> None:
        self.doing = f"the upload of the blob {blob.digest} to {repository}"
        self._endpoints = endpoints
        self._repository = repository
        self._blob = blob
        self.session = endpoints.start_upload(repository, self.doing)

    def whole(self, body: Body) -> bool:
        """Send all of it in one request; ``False`` if that is too large."""
        with self._given_back():
            pieces = _Pieces(body) if len(body) else b""
            if self._endpoints.put_upload(self._repository, self.session, self._blob, pieces):
                return True
        self._cancel()
        return False

    def in_chunks(self, body: Body, size: int) -> bool:
        """Send it in chunks of ``size`` bytes; ``False`` if those are too large."""
        if size > _LARGEST_CHUNK:
            raise RegistryError(f"the registry wants chunks of {size:,} bytes for {self.doing}")
        pending = bytearray()  # what has been read and has not arrived
        pieces = iter(body)
        idle = 0  # chunks in a row of which nothing arrived
        with self._given_back():
            while (start := self.session.received) < self._blob.size:
                while len(pending) < min(size, self._blob.size - start):
                    pending += next(pieces)
                answer = self._send(bytes(pending[:size]))
                if answer is None:
                    break
                self.session = answer
                idle = idle + 1 if answer.received == start else 0
                if not start <= answer.received <= start + len(pending) or idle == _IDLE:
                    raise RegistryError(
                        f"the registry says that {answer.received:,} bytes have arrived of "
                        f"{self.doing}, which cannot be",
                        status=202,
                    )
                del pending[: answer.received - start]
            else:
                for _ in pieces:  # so that the body has seen to its own end
                    pass
                if self._endpoints.put_upload(self._repository, self.session, self._blob, b""):
                    return True
        self._cancel()
        return False

    def _send(self, chunk: bytes) -> UploadSession | None:
        """Send a chunk; where it is not clear what has arrived of it, ask."""
        try:
            return self._endpoints.patch_upload(self._repository, self.session, chunk, self.doing)
        except RegistryError as error:
            if not _may_pass(error):
                raise
            return self._endpoints.upload_status(self._repository, self.session, self.doing)

    @contextlib.contextmanager
    def _given_back(self) -> Iterator[None]:
        """Give the session back when it comes to nothing."""
        try:
            yield
        except DockerCharonError:
            self._cancel()
            raise

    def _cancel(self) -> None:
        self._endpoints.cancel_upload(self._repository, self.session, self.doing)


def _may_pass(error: RegistryError) -> bool:
    """Whether another session may do better: this one broke, is forgotten, or met a bad moment."""
    if isinstance(error, ConnectionFailed):
        return True
    if error.code == "DIGEST_INVALID":
        return True  # what is sent has been checked: it was damaged on its way
    if error.status == 404:
        return not error.code or error.code.startswith("BLOB_UPLOAD")
    return error.status in (408, 416, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A body in pieces that are small enough for a slow line."""

    body: Body

    def __len__(self) -> int:
        return len(self.body)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for chunk in self.body:
            for start in range(0, len(chunk), _PIECE):
                yield chunk[start : start + _PIECE]
