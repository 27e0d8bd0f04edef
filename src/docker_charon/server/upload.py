"""Uploads: blobs on their way into a layout, each in a file of its own, hashed as they come."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from docker_charon.oci.digest import Digest
from docker_charon.server.store import Code, Rejected

IDLE = 3600.0
"""Seconds after which an upload that nobody goes on with is forgotten."""
MOST = 1000
"""Uploads that may be under way at once."""

_PATIENCE = 10.0  # seconds; the request before this one may not have seen that its line is dead
_PIECE = 1024 * 1024


class OutOfOrder(Rejected):
    """A piece that does not begin where the upload stands."""

    def __init__(self, upload: Upload, start: int) -> None:
        super().__init__(
            Code.BLOB_UPLOAD_INVALID,
            f"the upload has {upload.size} bytes, and this piece begins at {start}",
        )
        self.upload = upload


class Upload:
    """A blob on its way. Whoever changes it holds it (`Uploads.held`)."""

    def __init__(self, identifier: str, repository: str, path: Path) -> None:
        self.identifier = identifier
        self.repository = repository
        self.path = path
        self.size = 0
        self.lock = threading.Lock()
        self.used = time.monotonic()
        self._hasher = hashlib.sha256()
        path.touch()

    def append(
        self,
        pieces: Iterable[bytes | memoryview],
        start: int | None = None,
        *,
        all_or_nothing: bool = False,
    ) -> None:
        """Add what ``pieces`` yields, that begins at ``start``.

        When they break off, what has arrived stays, so that the client can go on from there; with
        ``all_or_nothing`` the upload is as it was before. Raises `OutOfOrder` when there is a gap
        or an overlap, and then takes nothing.
        """
        if start is not None and start != self.size:
            raise OutOfOrder(self, start)
        before = self.size, self._hasher.copy()
        try:
            with self.path.open("ab", buffering=0) as file:
                for piece in pieces:
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[file.write(rest) :]
                    self._hasher.update(piece)
                    self.size += len(piece)
                    self.used = time.monotonic()
        except BaseException:
            if all_or_nothing:
                self.size, self._hasher = before
            with contextlib.suppress(OSError):
                os.truncate(self.path, self.size)
            raise

    def digest(self, algorithm: str) -> Digest:
        """Return the digest of all that has arrived."""
        if algorithm == self._hasher.name:
            return Digest(f"{algorithm}:{self._hasher.hexdigest()}")
        hasher = hashlib.new(algorithm)  # only at the end is it known which one is asked for
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE):
                hasher.update(piece)
        return Digest(f"{algorithm}:{hasher.hexdigest()}")


class Uploads:
    """The uploads that are under way, with their files in ``folder``; none outlives a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def begin(self, repository: str) -> Upload:
        """Begin an upload; raise `Rejected` when there are too many."""
        self._forget_idle()
        identifier = str(uuid.uuid4())
        with self._lock:
            if len(self._uploads) >= MOST:
                raise Rejected(Code.TOOMANYREQUESTS, f"{MOST} uploads are under way: try later")
            upload = Upload(identifier, repository, self._folder / identifier)
            self._uploads[identifier] = upload
        return upload

    @contextlib.contextmanager
    def held(self, repository: str, identifier: str) -> Iterator[Upload]:
        """Hold on to an upload: others wait. Raises `Rejected` if there is none of that name."""
        upload = self._uploads.get(identifier)
        if upload is None or upload.repository != repository:
            raise _unknown()
        if not upload.lock.acquire(timeout=_PATIENCE):
            raise Rejected(Code.TOOMANYREQUESTS, "another request is writing to this upload")
        try:
            if identifier not in self._uploads:
                raise _unknown()
            upload.used = time.monotonic()
            yield upload
        finally:
            upload.lock.release()

    def forget(self, upload: Upload) -> None:
        """End an upload; its file goes, unless it has been moved elsewhere."""
        with self._lock:
            self._uploads.pop(upload.identifier, None)
        upload.path.unlink(missing_ok=True)

    def _forget_idle(self) -> None:
        now = time.monotonic()
        for upload in list(self._uploads.values()):
            if now - upload.used > IDLE and upload.lock.acquire(blocking=False):
                try:
                    self.forget(upload)
                finally:
                    upload.lock.release()


def _unknown() -> Rejected:
    return Rejected(Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload: begin another one")
