"""An upload: a blob that is being pushed, in a temporary file that is hashed while it grows."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from docker_charon.files import DISK_IS_FULL, set_size
from docker_charon.oci.digest import Digest
from docker_charon.server.store import Code, Rejected

IDLE_TIME = 3600.0
"""Seconds after which an upload without requests is removed."""
IDLE_TIME_WHEN_FULL = 60.0
"""The same, if the disk is full."""
MOST_UPLOADS = 1000
"""Uploads at the same time."""

_LOCK_TIMEOUT = 10.0  # seconds; an earlier request may not know yet that its connection is dead
_READ_SIZE = 1024 * 1024


class WrongOffset(Rejected):
    """The chunk does not begin where the upload ends."""

    def __init__(self, upload: Upload, start: int) -> None:
        super().__init__(
            Code.BLOB_UPLOAD_INVALID,
            f"the upload has {upload.size} bytes, and this chunk begins at {start}",
        )
        self.upload = upload


class Upload:
    """A blob that is being pushed; ``size`` is the number of its bytes so far.

    Change it only while you hold it (`Uploads.hold`).
    """

    def __init__(self, identifier: str, repository: str, path: Path) -> None:
        self.identifier = identifier
        self.repository = repository
        self.path = path
        self.size = 0
        self.lock = threading.Lock()
        self.last_used = time.monotonic()
        self._hasher = hashlib.sha256()
        path.open("xb").close()  # never an existing file or link

    def append(
        self,
        chunks: Iterable[bytes | memoryview],
        start: int | None = None,
        *,
        all_or_nothing: bool = False,
    ) -> None:
        """Append ``chunks``; ``start`` is the offset of their first byte in the blob, if known.

        If ``chunks`` raises an error, the bytes before it are kept, so that the client can go on
        from there; with ``all_or_nothing`` they are removed again. Raises `WrongOffset`, and
        appends nothing, if ``start`` is not the current size.
        """
        if start is not None and start != self.size:
            raise WrongOffset(self, start)
        before = self.size, self._hasher.copy()
        try:
            with self.path.open("ab", buffering=0) as file:
                set_size(file, self.size)  # what a failed request left, if it is still there
                for chunk in chunks:
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[file.write(rest) :]
                    self._hasher.update(chunk)
                    self.size += len(chunk)
                    self.last_used = time.monotonic()
        except BaseException:
            if all_or_nothing:
                self.size, self._hasher = before
            with contextlib.suppress(OSError):
                os.truncate(self.path, self.size)
            raise

    def digest(self, algorithm: str) -> Digest:
        """Return the digest of all bytes so far."""
        if algorithm == self._hasher.name:
            return Digest(f"{algorithm}:{self._hasher.hexdigest()}")
        hasher = hashlib.new(algorithm)  # the client names the algorithm only at the end
        with self.path.open("rb") as file:
            while chunk := file.read(_READ_SIZE):
                hasher.update(chunk)
        return Digest(f"{algorithm}:{hasher.hexdigest()}")


class Uploads:
    """The current uploads, with their files in ``folder``; a restart ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def begin(self, repository: str) -> Upload:
        """Begin an upload; if there are too many, the one that has been idle for longest ends.

        Raises `Rejected` when requests are writing to all of them.
        """
        identifier = str(uuid.uuid4())
        with self._lock:
            self._make_room()
            if len(self._uploads) >= MOST_UPLOADS:
                raise Rejected(
                    Code.TOOMANYREQUESTS, f"there are {MOST_UPLOADS} uploads already: try later"
                )
            upload = Upload(identifier, repository, self._folder / identifier)
            self._uploads[identifier] = upload
        return upload

    @contextlib.contextmanager
    def hold(self, repository: str, identifier: str) -> Iterator[Upload]:
        """Hold an upload, so that other requests wait; raise `Rejected` if it does not exist.

        If the disk becomes full meanwhile, the upload ends, and so do those that nobody continues:
        what they have received could otherwise keep the disk full.
        """
        upload = self._uploads.get(identifier)
        if upload is None or upload.repository != repository:
            raise _unknown()
        if not upload.lock.acquire(timeout=_LOCK_TIMEOUT):
            raise Rejected(Code.TOOMANYREQUESTS, "another request is writing to this upload")
        try:
            if identifier not in self._uploads:
                raise _unknown()
            upload.last_used = time.monotonic()
            yield upload
        except OSError as failure:
            if failure.errno in DISK_IS_FULL:
                self.remove(upload)
                with self._lock:
                    self._make_room(IDLE_TIME_WHEN_FULL)
            raise
        finally:
            upload.lock.release()

    def remove(self, upload: Upload) -> None:
        """End an upload, and delete its file unless that has been moved."""
        with self._lock:
            self._uploads.pop(upload.identifier, None)
        upload.path.unlink(missing_ok=True)

    def _make_room(self, idle_time: float = IDLE_TIME) -> None:
        """End the uploads that have been idle for longer and, if there are too many, the idlest."""
        expired = time.monotonic() - idle_time
        for upload in sorted(self._uploads.values(), key=lambda upload: upload.last_used):
            if upload.last_used >= expired and len(self._uploads) < MOST_UPLOADS:
                return
            if upload.lock.acquire(blocking=False):
                try:
                    del self._uploads[upload.identifier]
                    upload.path.unlink(missing_ok=True)
                finally:
                    upload.lock.release()


def _unknown() -> Rejected:
    return Rejected(Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload: begin another one")
