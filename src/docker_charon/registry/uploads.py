"""A blob on its way to a registry: in one request, or in chunks where requests are limited.

OCI distribution-spec 1.1, "Pushing blobs". Every registry takes one ``PUT`` with a length; a proxy
before it may not, and answers 413.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import requests

from docker_charon.errors import ConnectionFailed, DockerCharonError, RegistryError
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry.blobs import blob_size
from docker_charon.registry.http import parse_number
from docker_charon.registry.outage import GATEWAY
from docker_charon.registry.retry import ONCE, TRANSIENT, Tries
from docker_charon.registry.session import Repository, Session
from docker_charon.value import dataclass

FIRST_CHUNK = 1_000_000
"""Bytes of a request that passes a limit of 1 MiB, which is the default of nginx."""
SMALLEST_CHUNK = 64 * 1024
SHORT_REQUEST = 8 * 1024 * 1024
"""Bytes of a request that a slow line sends within a minute."""
_LARGEST_CHUNK = 64 * 1024 * 1024  # that a registry can ask for: a chunk is kept in memory
_CUTS = 2  # requests of one upload that were cut, after which its requests are made shorter
_SHORT_TIMEOUT = 2.0  # seconds for a request that an interrupted program still sends
_LONGEST_CANCELLING = 5.0  # seconds for all of them
_PIECE = 64 * 1024  # bytes sent at a time, so that a slow line is not taken for a dead one
_LARGEST_PIECE = 1024 * 1024  # on a line that has sent the piece before within `_QUICK`
_QUICK = 0.5  # seconds

_UNKNOWN_UPLOAD = "BLOB_UPLOAD_UNKNOWN"
_TOO_LARGE = 413  # the status of a proxy that limits requests, and of some registries that are full
_STUCK = 202  # the status of an answer after which an upload cannot go on
_CUT = frozenset({408, *GATEWAY}) - {503}
"""How a proxy answers if a request takes too long; 503 is of a registry that is away or busy."""
_NO_CHUNKS = frozenset({404, 405, 415, 501})
"""How a registry answers the first chunk if it takes none."""
_STATUSES = TRANSIENT | {_STUCK, 416}
_CODES = frozenset({"DIGEST_INVALID", "BLOB_UPLOAD_INVALID", _UNKNOWN_UPLOAD})
"""The codes of an upload that may succeed in another session."""


class BlobUploads:
    """Uploads the blobs of one registry, and remembers how large a request may be."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._largest: int | None = None  # until a request was too large, a blob is one request
        self._open_sessions: dict[_UploadSession, None] = {}

    def upload(self, repository: Repository, blob: Descriptor, body: Body) -> None:
        """Store a blob.

        After a failure the state of an upload session is unknown, so it is not used again. The
        registry is asked whether it has the blob nevertheless; if not, the blob is sent in another
        session. All of this is one operation with one count of tries. Raises `RegistryError`, and
        the errors of ``body``.

        After its request was cut several times, a large blob is sent in chunks: a proxy may cut
        each request that takes longer than a minute. If the registry takes no chunks, it is sent in
        one request nevertheless.
        """
        tries = self._session.tries(replace(self._session.retry, statuses=_STATUSES, codes=_CODES))
        line = _Line()

        def attempt() -> None:
            if tries.failures:
                size = blob_size(self._session, repository, blob.digest, to_push=True, retry=ONCE)
                if size == blob.size:
                    return
            self._send(repository, blob, body, tries, line)

        tries.run(attempt)

    def cancel(self) -> None:
        """Cancel the upload sessions that threads have left open."""
        deadline = time.monotonic() + _LONGEST_CANCELLING
        for upload in list(self._open_sessions):
            if time.monotonic() < deadline:
                upload.cancel(_SHORT_TIMEOUT)

    def mount(self, repository: Repository, digest: Digest, source: Repository) -> bool:
        """Ask for a copy inside the registry (end-11); ``False`` means that there is no copy.

        Raises only `ConnectionFailed`.
        """
        doing = f"a mount of the blob {digest} from {source.name} to {repository.name}"
        try:
            with self._session.request(
                "POST",
                repository.path("blobs", "uploads", ""),
                scopes=[repository.push, source.pull],
                params={"mount": digest, "from": source.remote_name},
                expect=(201, 202),
                doing=doing,
                # Any other answer means an upload, and that is tried again.
                retry=replace(self._session.retry, statuses=frozenset({429})),
            ) as response:
                if response.status_code == 201:
                    return True
                with self._session_of(repository, doing, response):
                    return False
        except ConnectionFailed:
            raise
        except RegistryError:
            return False  # for example, the token service does not let this user read the source

    def _send(
        self,
        repository: Repository,
        blob: Descriptor,
        body: Body,
        tries: Tries,
        line: _Line,
    ) -> None:
        """Send a blob once, in requests as large as they may be, and as ``line`` lets through."""
        while True:
            with self._open(repository, blob) as upload:
                largest = self._largest_request(upload, line)
                if largest is None or blob.size <= largest:
                    with line.counting_cuts():
                        refusal = upload.put(blob, _Pieces(body) if len(body) else b"")
                else:
                    refusal = upload.send_chunks(blob, body, largest, tries)
                if refusal is None:
                    return
                if refusal.status in _NO_CHUNKS:
                    if self._largest is not None:
                        raise refusal
                    line.takes_chunks = False
                elif largest is None:
                    self._largest = FIRST_CHUNK
                elif largest // 2 >= max(SMALLEST_CHUNK, upload.smallest_chunk):
                    self._largest = largest // 2
                else:
                    raise RegistryError(
                        f"{refusal.message}, even in chunks of {largest:,} bytes",
                        hint=refusal.hint,
                        status=_TOO_LARGE,
                    )

    def _largest_request(self, upload: _UploadSession, line: _Line) -> int | None:
        """Return how many bytes a request may have; ``None`` if the blob is sent in one."""
        limits = [size for size in (self._largest, line.limit) if size is not None]
        largest = max(min(limits), upload.smallest_chunk) if limits else None
        if self._largest is None and largest is not None and largest > _LARGEST_CHUNK:
            return None
        return largest

    def _open(self, repository: Repository, blob: Descriptor) -> _UploadSession:
        """Open an upload session (end-4a)."""
        doing = f"the upload of the blob {blob.digest} to {repository.name}"
        with self._session.request(
            "POST",
            repository.path("blobs", "uploads", ""),
            scopes=[repository.push],
            expect=(202,),
            doing=doing,
            retry=ONCE,
        ) as response:
            return self._session_of(repository, doing, response)

    def _session_of(
        self, repository: Repository, doing: str, response: requests.Response
    ) -> _UploadSession:
        return _UploadSession(self._session, repository, doing, response, self._open_sessions)


class _Line:
    """What the tries of one upload have shown of the line to the registry."""

    def __init__(self) -> None:
        self.takes_chunks = True
        self._cuts = 0  # of requests with the whole blob

    @property
    def limit(self) -> int | None:
        """The largest number of bytes of a request, if there is a limit."""
        return SHORT_REQUEST if self.takes_chunks and self._cuts >= _CUTS else None

    @contextlib.contextmanager
    def counting_cuts(self) -> Iterator[None]:
        """Count a request that is cut on its way."""
        try:
            yield
        except RegistryError as error:
            is_broken = isinstance(error, ConnectionFailed) and not error.unreachable
            self._cuts += is_broken or error.status in _CUT
            raise


class _UploadSession:
    """An upload session that ``response`` opened; on leaving it without a blob, it is cancelled.

    Each request is sent once: after a failure, the registry has to be asked what has arrived.
    While the session is in use, it is in ``open_sessions``.
    """

    def __init__(
        self,
        session: Session,
        repository: Repository,
        doing: str,
        response: requests.Response,
        open_sessions: dict[_UploadSession, None],
    ) -> None:
        self.doing = doing
        self.smallest_chunk = parse_number(response.headers.get("OCI-Chunk-Min-Length", "")) or 0
        self._session = session
        self._repository = repository
        self._received = 0
        self._is_stored = False
        self._open_sessions = open_sessions
        self._location = session.resolve(response, response.headers.get("Location"), doing)

    def __enter__(self) -> _UploadSession:
        self._open_sessions[self] = None
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        is_failure = isinstance(error, (DockerCharonError, type(None)))
        self.cancel(None if is_failure else _SHORT_TIMEOUT)  # else the program is ending

    def cancel(self, timeout: float | None) -> None:
        """End the session, unless its blob is stored; a ``timeout``, in seconds, is for haste."""
        self._open_sessions.pop(self, None)
        if not self._is_stored:
            with contextlib.suppress(RegistryError):  # not every registry allows it
                self._request("DELETE", timeout=timeout, in_turn=timeout is None).close()

    def put(self, blob: Descriptor, body: Body | bytes) -> RegistryError | None:
        """Send the rest of a blob, or all of it (end-6); return the error if it is too large (413).

        An empty request is not too large: a registry that says so is full, for example.
        """
        try:
            self._request(
                "PUT",
                params={"digest": blob.digest},
                headers={"Content-Type": "application/octet-stream"},
                body=body,
                expect=(201, 204),
            ).close()
        except RegistryError as error:
            if error.status != _TOO_LARGE or not len(body):
                raise
            return error
        self._is_stored = True
        return None

    def send_chunks(
        self, blob: Descriptor, body: Body, size: int, tries: Tries
    ) -> RegistryError | None:
        """Send a blob in chunks of ``size`` bytes; return the error if they are refused.

        That is if they are too large (413), or if the registry does not take the first one.
        """
        if size > _LARGEST_CHUNK:
            raise RegistryError(f"the registry wants chunks of {size:,} bytes for {self.doing}")
        pending = bytearray()  # what has been read and has not arrived
        pieces = iter(body)
        while (start := self._received) < blob.size:
            while len(pending) < min(size, blob.size - start):
                pending += next(pieces)
            refusal = self._patch(bytes(pending[:size]), tries)
            if refusal is not None:
                return refusal
            del pending[: self._received - start]
        for _ in pieces:  # so that the body checks its own end
            pass
        return self.put(blob, b"")

    def _patch(self, chunk: bytes, tries: Tries) -> RegistryError | None:
        """Send a chunk (end-5); return the error if it is refused (see `send_chunks`).

        Where it is not clear how much of it has arrived, the registry is asked (end-13).
        """
        start = self._received
        end = start + len(chunk)
        try:
            with self._request(
                "PATCH",
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Range": f"{start}-{end - 1}",
                },
                body=chunk,
                expect=(201, 202, 204),
            ) as response:
                self._move(response, start + 1, end, received=end)
        except RegistryError as error:
            if error.status == _TOO_LARGE or (error.status in _NO_CHUNKS and not start):
                return error
            tries.wait(error)
            with self._request("GET", expect=(200, 202, 204)) as response:
                self._move(response, start, end, received=start)
        tries.progress(self._received)
        return None

    def _move(self, response: requests.Response, least: int, most: int, *, received: int) -> None:
        """Read from an answer where the session goes on, and how many bytes have arrived.

        If it does not say how many, they are ``received``. Raises `RegistryError` unless the number
        is from ``least`` to ``most``.
        """
        if link := response.headers.get("Location"):
            self._location = self._session.resolve(response, link, self.doing)
        value = response.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
        last = parse_number(value)
        if last == 0 and received != 1:
            received = 0  # distribution answers 0-0 for nothing, as for one byte
        elif last is not None:
            received = last + 1
        self._received = received
        if not least <= received <= most:
            raise RegistryError(
                f"the registry says that {received:,} bytes have arrived of {self.doing}, which "
                "cannot be",
                status=_STUCK,
            )

    def _request(self, method: str, **options: Any) -> requests.Response:
        scopes = [self._repository.push]
        try:
            return self._session.request(
                method, self._location, doing=self.doing, scopes=scopes, retry=ONCE, **options
            )
        except RegistryError as error:
            if error.status == 404 and not error.code:
                error.code = _UNKNOWN_UPLOAD  # nothing else can be missing here
            raise


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A body in pieces: small ones on a slow line, and larger ones on a fast line."""

    body: Body

    def __len__(self) -> int:
        return len(self.body)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        size = _PIECE
        for chunk in self.body:
            start = 0
            while start < len(chunk):
                before = time.monotonic()
                yield chunk[start : start + size]  # it is sent before this goes on
                start += size
                is_quick = time.monotonic() - before < _QUICK
                size = min(2 * size, _LARGEST_PIECE) if is_quick else _PIECE
