"""A blob on its way to a registry: in one request, or in chunks where those are limited.

OCI distribution-spec 1.1, "Pushing blobs". One ``PUT`` with a length is what every registry takes;
what stands before it may not, and answers 413.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from docker_charon.descriptor import Body, Descriptor
from docker_charon.errors import DockerCharonError, RegistryError

FIRST_CHUNK = 1_000_000
"""Bytes; what passes a limit of 1 MiB, which is the default of nginx."""
SMALLEST_CHUNK = 64 * 1024
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

    def start_upload(self, repository: str, doing: str) -> UploadSession:
        """Open a session (end-4a)."""

    def put_upload(
        self, repository: str, session: UploadSession, blob: Descriptor, body: Body | bytes
    ) -> bool:
        """Send the last, or all, of a blob (end-6); ``False`` if that is too large (413)."""

    def patch_upload(
        self, repository: str, session: UploadSession, chunk: memoryview, doing: str
    ) -> UploadSession | None:
        """Send a chunk (end-5); ``None`` if it is too large (413)."""

    def cancel_upload(self, repository: str, session: UploadSession, doing: str) -> None:
        """Give a session back, where the registry lets us."""


class BlobUpload:
    """Uploads blobs, and remembers how large a request may be."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._chunk: int | None = None  # as long as nobody has complained, a blob is one request

    def upload(self, repository: str, blob: Descriptor, body: Body) -> None:
        """Store a blob; a session that came to nothing is given back."""
        doing = f"the upload of the blob {blob.digest} to {repository}"
        session = self._endpoints.start_upload(repository, doing)
        try:
            if self._chunk is None or blob.size <= self._chunk:
                whole = _Pieces(body) if len(body) else b""
                if self._endpoints.put_upload(repository, session, blob, whole):
                    return
                self._endpoints.cancel_upload(repository, session, doing)
                session = self._endpoints.start_upload(repository, doing)
                self._chunk = self._chunk or FIRST_CHUNK
            self._in_chunks(repository, session, blob, body, doing)
        except DockerCharonError as error:
            # Where the connection broke, there is nobody to give it back to.
            if not isinstance(error, RegistryError) or error.status is not None:
                self._endpoints.cancel_upload(repository, session, doing)
            raise

    def _in_chunks(
        self, repository: str, session: UploadSession, blob: Descriptor, body: Body, doing: str
    ) -> None:
        smallest = session.min_chunk
        if smallest > _LARGEST_CHUNK:
            raise RegistryError(f"the registry wants chunks of {smallest:,} bytes for {doing}")
        pending = bytearray()  # what has been read and has not arrived
        start = 0  # its offset in the blob
        pieces = iter(body)
        while start < blob.size:
            size = max(self._chunk or FIRST_CHUNK, smallest)
            while len(pending) < min(size, blob.size - start):
                pending += next(pieces)
            with memoryview(pending) as view:
                answer = self._endpoints.patch_upload(repository, session, view[:size], doing)
            if answer is None:
                self._chunk = size // 2
                if max(self._chunk, smallest) >= size or self._chunk < SMALLEST_CHUNK:
                    raise RegistryError(
                        f"even chunks of {size:,} bytes are too large (413) for {doing}",
                        hint="something before the registry limits the size of requests: raise it "
                        "there",
                        status=413,
                    )
                continue
            arrived = answer.received - start
            if not 0 <= arrived <= len(pending):
                raise RegistryError(
                    f"the registry says that {answer.received:,} bytes have arrived of {doing}, "
                    f"where {start + size:,} were sent at the most",
                    status=202,
                )
            del pending[:arrived]
            start += arrived
            session = answer
        for _ in pieces:  # so that the body has seen to its own end
            pass
        if not self._endpoints.put_upload(repository, session, blob, b""):
            raise RegistryError(f"an empty request is too large (413) for {doing}", status=413)


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
