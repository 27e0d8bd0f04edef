"""The directory in which layer deltas are made: what an interrupted run leaves in it is used again.

For the payload ``PATH`` it is ``PATH.partial.deltas``. It contains blobs that were fetched, as far
as they have arrived, and for each layer a delta or the decision that there is none. All content is
hashed before it is used. The directory is removed when the payload is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from docker_charon.errors import DigestMismatch, DockerCharonError, PayloadError, note_partial
from docker_charon.files import write_durably
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.file_object import PayloadTarget
from docker_charon.payload.partial_files.locked_file import open_file, open_locked
from docker_charon.payload.partial_files.partial_file import PERMANENT, deltas_path
from docker_charon.payload.random_access import file_errors, write_all
from docker_charon.payload.temporary_folder import temporary_folder
from docker_charon.progress import shown_size
from docker_charon.value import dataclass

_BUFFER = 256 * 1024
_ATTEMPTS = 3  # to fetch a blob whose content does not match its digest
_LOCK = "lock"
_MAKE_SPACE = "free some space, or make the payload without layer deltas"

Content = Callable[[int], Iterable[bytes | memoryview]]
"""Returns the content of a blob from an offset in bytes on."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The delta of a layer: the digest of its own bytes, or ``None`` if there is no delta."""

    delta: Digest | None


class DeltaDirectory:
    """The files from which deltas are made, and the deltas; ``path`` is the directory.

    ``check`` is called during long work, and raises an exception to stop it.
    """

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.check = check
        self._kept: set[Digest] = set()

    def blob_path(self, digest: Digest) -> Path:
        """Return where a blob is kept, or will be."""
        return self.path / digest.encoded

    def delta_path(self, digest: Digest) -> Path:
        """Return where the delta of a blob is kept, or will be."""
        return self.path / f"{digest.encoded}.delta"

    def olds_path(self) -> Path:
        """Return the directory for old layers, which are not used again after an interruption."""
        path = self.path / "olds"
        with file_errors(f"cannot write {path}"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        return path

    def keep(self, blob: Descriptor, content: Content) -> Path:
        """Fetch a blob, or the rest of it, and return its file. In one run this is done once.

        Raises `DigestMismatch` if the content is wrong several times, and what ``content`` raises.
        """
        path = self.blob_path(blob.digest)
        if blob.digest in self._kept:
            return path
        with file_errors(f"cannot write {path}"), open_file(path) as file:
            for attempt in range(_ATTEMPTS):
                try:
                    self._complete(file, blob, content)
                    break
                except DigestMismatch:
                    file.truncate(0)
                    if attempt == _ATTEMPTS - 1:
                        path.unlink()
                        raise
        self._kept.add(blob.digest)
        return path

    def _complete(self, file: IO[bytes], blob: Descriptor, content: Content) -> None:
        verifier = blob.verifier()
        file.seek(0)
        while chunk := file.read(_BUFFER):
            self.check()
            verifier.update(chunk)
        if verifier.size < blob.size:
            for fetched in content(verifier.size):
                self.check()
                verifier.update(fetched)
                write_all(file, fetched)
        verifier.finish()

    def remove(self, digest: Digest) -> None:
        """Remove a blob that is not needed any more."""
        with contextlib.suppress(OSError):
            self.blob_path(digest).unlink()

    def record(self, digest: Digest, candidates: Sequence[Digest], decision: Decision) -> None:
        """Write down that the delta of a blob is complete, or that there is none of it.

        ``candidates`` are the old layers that were considered.
        """
        record = {"candidates": candidates, "delta": decision.delta}
        path = self._record_path(digest)
        with file_errors(f"cannot write {path}"):
            write_durably(path, json.dumps(record).encode(), path.with_suffix(".new"))

    def recorded(self, digest: Digest, candidates: Sequence[Digest]) -> Decision | None:
        """Return what an earlier run with the same candidates has decided; ``None`` without one.

        A decision for a delta whose file has changed since does not count.
        """
        with contextlib.suppress(OSError, ValueError, DockerCharonError):
            record = json.loads(self._record_path(digest).read_bytes())
            if not isinstance(record, dict) or record.get("candidates") != list(candidates):
                return None
            delta = None if record.get("delta") is None else Digest(record["delta"])
            if delta is None or self.digest_of(self.delta_path(digest)) == delta:
                return Decision(delta)
        return None

    def digest_of(self, path: Path) -> Digest:
        """Return the digest of a file."""
        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_BUFFER):
                self.check()
                hasher.update(chunk)
        return Digest(f"sha256:{hasher.hexdigest()}")

    def _record_path(self, digest: Digest) -> Path:
        return self.path / f"{digest.encoded}.json"

    def check_room(self, size: int) -> None:
        """Raise `PayloadError` if the disk has less than ``size`` bytes beside what is kept."""
        with file_errors(f"cannot use {self.path}"):
            free, kept = shutil.disk_usage(self.path).free, self.kept_size
        if size - kept > free:
            raise PayloadError(
                f"layer deltas need about {shown_size(size)} of temporary files in {self.path}, "
                f"and its disk has {shown_size(free)} free",
                hint=_MAKE_SPACE,
            )

    @property
    def kept_size(self) -> int:
        """The bytes of all files in it."""
        return sum(path.lstat().st_size for path in self.path.iterdir() if not path.is_dir())


@contextlib.contextmanager
def delta_directory(zip_file: PayloadTarget, check: Callable[[], None]) -> Iterator[DeltaDirectory]:
    """Yield the directory for a payload. It is removed if the block succeeds.

    For a file object, a pipe or a device it is a temporary directory, which is always removed.
    Raises `PayloadError` if another run is making the same payload, or if the directory cannot be
    used.
    """
    if not isinstance(zip_file, (str, os.PathLike)) or not _is_kept(Path(zip_file)):
        with temporary_folder() as folder:
            yield DeltaDirectory(folder, check)
        return
    target = Path(os.path.realpath(zip_file))
    path = deltas_path(target)
    with file_errors(f"cannot write {path}"):
        if path.is_symlink():
            raise PayloadError(f"{path} is a link, and is not written to", hint="remove it")
        path.mkdir(exist_ok=True)
        lock = open_locked(path / _LOCK, target)
    directory = DeltaDirectory(path, check)
    try:
        yield directory
    except BaseException as error:
        if isinstance(error, PERMANENT) or not directory.kept_size:
            _remove(path, lock)
        elif getattr(error, "partial", None) is None:
            note_partial(error, path)
        raise
    else:
        _remove(path, lock)
    finally:
        lock.close()


def remove_leftover(path: Path) -> None:
    """Remove what an interrupted run with deltas has left of a payload, unless a run uses it."""
    directory = deltas_path(path)
    with contextlib.suppress(OSError, PayloadError):
        if not directory.is_symlink() and (directory / _LOCK).is_file():
            with open_locked(directory / _LOCK, path) as lock:
                _remove(directory, lock)


def _is_kept(path: Path) -> bool:
    """Whether a payload is written to a file that an interrupted run continues."""
    with file_errors(f"cannot write {path}"):
        return path.is_file() or not path.exists()


def _remove(path: Path, lock: IO[bytes]) -> None:
    if sys.platform == "win32":
        lock.close()
    shutil.rmtree(path, ignore_errors=True)
