"""A blob of a registry: its size, and its bytes as a stream that survives broken connections.

OCI distribution-spec 1.1, "Pulling blobs" (end-2).
"""

from __future__ import annotations

import enum
import http.client
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import requests

from docker_charon.errors import (
    BlobNotFound,
    ConnectionFailed,
    DigestMismatch,
    RegistryError,
)
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry.error_body import first_error
from docker_charon.registry.errors import NETWORK_ERRORS, ends_all
from docker_charon.registry.http import parse_number, read_body
from docker_charon.registry.response import content_encoding
from docker_charon.registry.retry import ONCE, WHEN_ASKING, RetryPolicy
from docker_charon.registry.session import Repository, Session, is_html

_BUFFER = 256 * 1024

_SHORT = 64 * 1024  # bytes of an answer that is read to its end, to use its connection again

_log = get_logger(__name__)


class BlobState(enum.Enum):
    """What a repository has of a blob, as far as the registry's answers tell."""

    PRESENT = enum.auto()
    ABSENT = enum.auto()
    NO_REPOSITORY = enum.auto()
    """The registry says that it does not have the repository at all (``NAME_UNKNOWN``)."""
    DAMAGED = enum.auto()
    """The registry has something under the digest that is not the blob, or cannot be read."""
    UNKNOWN = enum.auto()

    @property
    def needs_upload(self) -> bool:
        """Whether it is certain that the repository lacks the right blob."""
        return self in (BlobState.ABSENT, BlobState.NO_REPOSITORY, BlobState.DAMAGED)


class BlobStates:
    """Finds out which blobs a registry has, by reading their last byte.

    A ``HEAD`` request may be answered from a cache, for a blob that is gone or damaged, or without
    the right length. It is sent only where nothing can be read.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_storage_unreachable = False

    def state(
        self, repository: Repository, blob: Descriptor, *, to_push: bool = False
    ) -> BlobState:
        """Return what a repository has of a blob; ``to_push`` asks for the rights to push.

        Raises `ConnectionFailed`, and `AuthenticationError` if the login itself is refused. All
        other failures mean that the state is unknown.
        """
        options: Any = {
            "doing": f"the blob {blob.digest} of {repository.name}",
            "scopes": [repository.push if to_push else repository.pull],
            "retry": replace(self._session.retry, statuses=WHEN_ASKING),
        }
        state = None if self._is_storage_unreachable else self._read(repository, blob, options)
        return state or self._head(repository, blob, options)

    def check(self, repository: Repository, blob: Descriptor) -> None:
        """Raise `BlobNotFound` if a repository does not have a blob that it has just stored.

        Reads that lag behind writes are waited for.
        """
        registry = self._session.registry

        def attempt() -> None:
            state = self.state(repository, blob, to_push=True)
            if state.needs_upload:
                problem = "keeps a damaged copy of" if state is BlobState.DAMAGED else "has lost"
                folder = f"blobs/{blob.digest.algorithm}/{blob.digest.encoded[:2]}/"
                raise BlobNotFound(
                    f"{registry} {problem} the blob {blob.digest} in {repository.name}, although "
                    "it has just taken it",
                    hint="delete the file of that blob in the registry's storage (distribution has "
                    f"it below {folder}), restart the registry, and push again",
                    status=404,
                )

        # The questions themselves wait for a registry that is away.
        retry = replace(self._session.retry, statuses=frozenset({404}), when_away=False)
        self._session.tries(retry).run(attempt)

    def _read(self, repository: Repository, blob: Descriptor, options: Any) -> BlobState | None:
        """Read the last byte of a blob; ``None`` if the answer does not tell its state."""
        last = blob.size - 1
        try:
            with self._session.request(
                "GET",
                repository.path("blobs", blob.digest),
                headers={"Range": f"bytes={last}-{last}"} if blob.size else None,
                expect=(200, 206, 404, 416),
                may_be_html=True,
                **options,
            ) as response:
                return None if is_html(response) else self._state_in(response, blob)
        except RegistryError as error:
            if _ends_all(error):
                raise
            self._is_storage_unreachable |= isinstance(error, ConnectionFailed)
            return None

    def _state_in(self, response: requests.Response, blob: Descriptor) -> BlobState | None:
        if response.status_code == 404:
            code, _ = first_error(self._session.read_short(response), ())
            return BlobState.NO_REPOSITORY if code == "NAME_UNKNOWN" else BlobState.ABSENT
        name = "Content-Length" if response.status_code == 200 else "Content-Range"
        size = parse_number(response.headers.get(name, "").rpartition("/")[2])
        if size is not None and size != blob.size:
            # If something on the way compresses the blob, its length says nothing.
            return None if content_encoding(response) else BlobState.DAMAGED
        if response.status_code == 416 or (response.status_code == 200 and size is None):
            return None
        expected = 1 if response.status_code == 206 else blob.size
        if expected > _SHORT:
            return BlobState.PRESENT
        try:
            content = self._session.read(response, expected, is_blob=True)
        except ConnectionFailed:
            return BlobState.DAMAGED  # its storage has fewer bytes than the registry announces
        return BlobState.PRESENT if len(content) == expected else BlobState.DAMAGED

    def _head(self, repository: Repository, blob: Descriptor, options: Any) -> BlobState:
        try:
            head = self._session.head(repository.path("blobs", blob.digest), **options)
        except RegistryError as error:
            if _ends_all(error):
                raise
            return BlobState.UNKNOWN
        if head is None:
            return BlobState.UNKNOWN
        if head.status_code == 404:
            return BlobState.ABSENT
        size = parse_number(head.headers.get("Content-Length", ""))
        return BlobState.PRESENT if size == blob.size else BlobState.UNKNOWN


def _ends_all(error: RegistryError) -> bool:
    """Whether no other question to the registry would be answered either."""
    return ends_all(error) and not (isinstance(error, ConnectionFailed) and error.elsewhere)


def blob_size(
    session: Session,
    repository: Repository,
    digest: Digest,
    *,
    to_push: bool = False,
    retry: RetryPolicy | None = None,
) -> int | None:
    """Return a blob's size in bytes, or ``None`` if the repository has no such blob.

    ``to_push`` asks for the rights to push, which a new repository may need. Raises `RegistryError`
    if the registry does not tell the size.
    """
    path, doing = repository.path("blobs", digest), f"the blob {digest} of {repository.name}"
    options: Any = {"doing": doing, "scopes": [repository.push if to_push else repository.pull]}
    head = session.head(path, retry=retry, **options)
    if head is not None and head.status_code == 404:
        return None
    size = parse_number(head.headers.get("Content-Length", "")) if head is not None else None
    if not size:  # some proxies answer 0 to every HEAD
        expect, headers = (200, 206, 404, 416), {"Range": "bytes=0-0"}
        with session.request(
            "GET", path, expect=expect, headers=headers, retry=retry, **options
        ) as response:
            if response.status_code == 404:
                return None
            name = "Content-Length" if response.status_code == 200 else "Content-Range"
            size = parse_number(response.headers.get(name, "").rpartition("/")[2])
    if size is None:
        raise RegistryError(f"{session.registry} does not tell the size of {doing}")
    return size


class BlobStream:
    """The bytes of a blob from ``start`` on, as they arrive, not yet verified.

    When the connection breaks, a new one goes on where it stopped. Raises `BlobNotFound`,
    `RegistryError` when the connection breaks again and again without a byte in between, and
    `DigestMismatch` when the registry has another number of bytes than the descriptor says.
    """

    def __init__(
        self, session: Session, repository: Repository, blob: Descriptor, start: int = 0
    ) -> None:
        self._session = session
        self._repository = repository
        self._blob = blob
        self._position = start  # of the caller in the blob
        self._offset = 0  # of the answer in the blob; before the position if it has no range
        self._tries = session.tries(replace(session.retry, when_damaged=True, when_redirected=True))
        self._response: requests.Response | None = self._tries.run(self._open)

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end."""
        return self._tries.run(lambda: self._read(buffer))

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the blob in chunks; each is valid until the next one is requested."""
        buffer = memoryview(bytearray(_BUFFER))
        while size := self.readinto(buffer):
            yield buffer[:size]

    def __enter__(self) -> BlobStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _read(self, buffer: memoryview) -> int:
        if self._response is None:
            _log.info("%s: going on at byte %s", self._blob.digest, self._position)
            self._response = self._open()
        try:
            while gap := self._position - self._offset:
                size = read_body(self._response, buffer[:gap])
                self._offset += size
                if not size:
                    break
            else:
                size = read_body(self._response, buffer)
        except NETWORK_ERRORS as error:
            self.close()
            raise self._session.connection_error(error) from error
        if not size and self._offset < self._blob.size:
            has_length = "Content-Length" in self._response.headers
            self.close()
            if has_length:  # it is the right one, so the connection was closed too early
                raise self._session.connection_error(http.client.IncompleteRead(b""))
            raise DigestMismatch(
                f"{self._session.registry} sends {self._offset} bytes of {self._blob.digest}, "
                f"whose manifest says {self._blob.size}"
            )
        self._position = self._offset = self._position + size
        return size

    def _open(self) -> requests.Response:
        """Request the blob from the current position on, or all of it if ranges are unknown."""
        start, blob = self._position, self._blob
        response = self._request(start)
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416 or (
            response.status_code == 206 and not _is_rest(content_range, start, blob)
        ):
            response.close()
            response = self._request(0)
        self._offset = start if response.status_code == 206 else 0
        expected = str(blob.size - self._offset)
        encoding = content_encoding(response)
        length = response.headers.get("Content-Length", "" if encoding else expected)
        if length != expected:
            response.close()
            if encoding:  # some servers say this of layers that are stored in that form
                raise RegistryError(
                    f"{self._session.registry} sends the blob {blob.digest} compressed "
                    f"({encoding[:20]}), which was not asked for",
                    hint="something on the way to it compresses: switch that off there",
                )
            raise DigestMismatch(
                f"{self._session.registry} announces {length} bytes for {blob.digest} in "
                f"{self._repository.name}, where it should have {expected}"
            )
        return response

    def _request(self, start: int) -> requests.Response:
        response = self._session.request(
            "GET",
            self._repository.path("blobs", self._blob.digest),
            scopes=[self._repository.pull],
            headers={"Range": f"bytes={start}-"} if start else None,
            expect=(200, 206, 404, 416) if start else (200, 404),
            doing=f"the blob {self._blob.digest} of {self._repository.name}",
            may_be_html=True,
            retry=ONCE,
        )
        if response.status_code == 404:
            response.close()
            raise BlobNotFound(
                f"{self._session.registry} has no blob {self._blob.digest} in "
                f"{self._repository.name}",
                status=404,
            )
        return response


def _is_rest(content_range: str, start: int, blob: Descriptor) -> bool:
    """Whether an answer has all of a blob from ``start`` on (RFC 9110, section 14.4)."""
    unit, _, rest = content_range.strip().partition(" ")
    span, _, total = rest.partition("/")
    return (
        unit.lower() == "bytes"
        and span.strip() == f"{start}-{blob.size - 1}"
        and total.strip() in (str(blob.size), "*")
    )
