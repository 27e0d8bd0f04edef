"""An OCI image layout (image-spec 1.1, image-layout) as a store to be read and written.

::

    oci-layout, index.json     as other tools read them
    blobs/sha256/<hex>         manifests, configs and layers, each once
    .docker-charon/            ours: the lock, and what is not whole yet

A manifest is in ``index.json`` under the name ``repository:tag``, and one without a tag as
``repository@digest``. A blob takes its name when it is whole and on the disk, and a manifest is
listed after all that it needs: whenever the server is killed, what the layout lists can be pulled.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker_charon.errors import DockerCharonError, InvalidManifest, ServerError
from docker_charon.files import flush, flush_directory, lock, put_in_place, write_durably
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MAX_SIZE
from docker_charon.payload.format import INDEX_PATH, LAYOUT_PATH, blob_path
from docker_charon.payload.random_access import Extent
from docker_charon.server.catalog import Catalog
from docker_charon.server.layout_index import LayoutIndex
from docker_charon.server.manifest import StoredManifest
from docker_charon.server.store import Code, Rejected
from docker_charon.server.upload import Upload, Uploads

_log = logging.getLogger(__name__)

_OURS = ".docker-charon"
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class _StoredBlob:
    """A blob in a file of its own."""

    path: Path
    size: int

    @contextlib.contextmanager
    def extent(self) -> Iterator[Extent | None]:
        with self.path.open("rb") as file:
            yield Extent(file.fileno(), 0, self.size)

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(_PIECE))
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            while size := file.readinto(buffer):
                yield buffer[:size]


class Layout:
    """A layout that this process alone writes; to be had from `open_layout`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary_index = root / _OURS / INDEX_PATH
        self._lock = threading.Lock()  # on what is listed
        self.catalog = Catalog()
        self.uploads = Uploads(root / _OURS / "uploads")
        self._index = LayoutIndex.parse((root / INDEX_PATH).read_bytes(), str(root / INDEX_PATH))
        for name in list(self._index.named):
            self._load(name)

    def content(self, manifest: StoredManifest) -> bytes:
        """Return a manifest's bytes; raise `InvalidManifest` when the disk has others."""
        content = self._path(manifest.digest).read_bytes()
        if Digest.of(content, manifest.digest.algorithm) != manifest.digest:
            raise InvalidManifest(f"{self._path(manifest.digest)} is damaged")
        return content

    def blob(self, digest: Digest) -> _StoredBlob | None:
        """Return a blob that is there, whichever repository has it."""
        path = self._path(digest)
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return _StoredBlob(path, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def mount(self, repository: str, digest: Digest, source: str | None) -> bool:
        """Make a blob of ``source``, or of any repository, one of ``repository`` as well.

        Return whether it is there.
        """
        is_there = source is None or self.catalog.has_blob(source, digest)
        if not is_there or self.blob(digest) is None:
            return False
        self.catalog.add_blob(repository, digest)
        return True

    def finish(self, upload: Upload, digest: Digest) -> None:
        """Make a blob of an upload that is held; with another digest the upload is forgotten.

        Raises `Rejected` in that case.
        """
        try:
            actual = upload.digest(digest.algorithm)
            if actual != digest:
                raise Rejected(
                    Code.DIGEST_INVALID, f"what has arrived has the digest {actual}", str(digest)
                )
            flush(upload.path)
            self._put_in_place(upload.path, digest)
            self.catalog.add_blob(upload.repository, digest)
        finally:
            self.uploads.forget(upload)

    def put_manifest(
        self,
        repository: str,
        content: bytes,
        media_type: str | None,
        tags: Sequence[str] = (),
        digest: Digest | None = None,
    ) -> StoredManifest:
        """Store a manifest whose blobs and manifests are there; one ``subject`` need not be.

        Raises `Rejected` when something of it is missing, when it is no manifest, and when its
        digest is not ``digest``.
        """
        try:
            manifest = StoredManifest.parse(
                content, media_type, digest.algorithm if digest else "sha256"
            )
        except DockerCharonError as error:
            raise Rejected(Code.MANIFEST_INVALID, str(error)) from None
        if digest not in (None, manifest.digest):
            raise Rejected(
                Code.DIGEST_INVALID, f"the manifest has the digest {manifest.digest}", str(digest)
            )
        self._check_complete(repository, manifest)
        if self.blob(manifest.digest) is None or not self._is_intact(manifest.digest, content):
            temporary = self.uploads.begin(repository)
            try:
                temporary.append([content])
                flush(temporary.path)
                self._put_in_place(temporary.path, manifest.digest)
            finally:
                self.uploads.forget(temporary)
        with self._lock:
            self._list(repository, manifest, tags)
        return manifest

    def _is_intact(self, digest: Digest, content: bytes) -> bool:
        return self._path(digest).read_bytes() == content

    def _check_complete(self, repository: str, manifest: StoredManifest) -> None:
        # A blob of another repository will do: what was put here before a restart is not told
        # from it, and it is there.
        lacking = [digest for digest in manifest.blobs if self.blob(digest) is None]
        lacking += [
            child.digest
            for child in manifest.manifests
            if self.catalog.find(repository, child.digest) is None
        ]
        if lacking:
            raise Rejected(
                Code.MANIFEST_BLOB_UNKNOWN,
                f"{repository} lacks {lacking[0]}, which the manifest refers to",
                [str(digest) for digest in lacking],
            )

    def _list(self, repository: str, manifest: StoredManifest, tags: Sequence[str]) -> None:
        """Write an index that has the manifest; its old place stays as long as it has none."""
        index = self._index.copy()
        own = f"{repository}@{manifest.digest}"
        if tags:
            index.named.pop(own, None)
        elif self.catalog.find(repository, manifest.digest) is None or not (
            self.catalog.is_tagged(repository, manifest)
        ):
            index.put(own, manifest)
        for tag in tags:
            before = self.catalog.find(repository, tag)
            moves = before is not None and before.digest != manifest.digest
            if before and moves and not self.catalog.is_tagged(repository, before, but=tags):
                index.put(f"{repository}@{before.digest}", before)
            index.put(f"{repository}:{tag}", manifest)
        if index != self._index:
            write_durably(self._root / INDEX_PATH, index.encode(), self._temporary_index)
        self._index = index
        for name in tags or (None,):
            self.catalog.add(repository, manifest, name)

    def _load(self, name: str) -> None:
        """Have an image that is listed found, with the manifests below it."""
        reference, descriptor = self._index.named[name]
        try:
            manifest = self._read(descriptor.digest, descriptor.media_type)
        except (DockerCharonError, OSError) as error:
            _log.warning("%s is not served: its manifest cannot be read: %s", name, error)
            return
        self.catalog.add(reference.repository, manifest, reference.tag)
        waiting = list(manifest.manifests)
        while waiting:
            child = waiting.pop()
            if self.catalog.find(reference.repository, child.digest) is not None:
                continue
            try:
                manifest = self._read(child.digest, child.media_type)
            except (DockerCharonError, OSError) as error:
                _log.warning("%s is incomplete: %s", name, error)
                continue
            self.catalog.add(reference.repository, manifest)
            waiting.extend(manifest.manifests)

    def _read(self, digest: Digest, media_type: str) -> StoredManifest:
        path = self._path(digest)
        if path.stat().st_size > MAX_SIZE:
            raise InvalidManifest(f"{path} is larger than a manifest may be")
        manifest = StoredManifest.parse(path.read_bytes(), media_type, digest.algorithm)
        if manifest.digest != digest:
            raise InvalidManifest(f"{path} is damaged")
        return manifest

    def _path(self, digest: Digest) -> Path:
        return self._root / blob_path(digest)

    def _put_in_place(self, file: Path, digest: Digest) -> None:
        path = self._path(digest)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            flush_directory(path.parent.parent)
        put_in_place(file, path)


@contextlib.contextmanager
def open_layout(directory: str | os.PathLike[str]) -> Iterator[Layout]:
    """Open a layout for this process alone; make one where there is nothing yet.

    Raises `ServerError` when the directory holds something else, when another process has it, and
    when it cannot be written.
    """
    root = Path(directory)
    with contextlib.ExitStack() as stack:
        try:
            _check_fit(root)
            (root / _OURS).mkdir(parents=True, exist_ok=True)
            lock(stack.enter_context((root / _OURS / "lock").open("ab")))
            _prepare(root)
            layout = Layout(root)
        except BlockingIOError:
            raise ServerError(
                f"another docker-charon serves {root}", hint="end it, or name another directory"
            ) from None
        except OSError as error:
            raise ServerError(f"cannot use {root}: {error.strerror or error}") from error
        except ValueError as error:  # a path with a NUL
            raise ServerError(f"cannot use {root}: {error}") from error
        yield layout


def _check_fit(root: Path) -> None:
    """See that it is a layout, or that nothing is there but the beginning of one."""
    marker = root / LAYOUT_PATH
    if marker.exists():
        _check_version(marker)
    elif not root.exists():
        return
    elif foreign := {path.name for path in root.iterdir()} - {_OURS, INDEX_PATH, "blobs"}:
        raise ServerError(
            f"{root} is no OCI image layout: it has {min(foreign)} and no {LAYOUT_PATH}",
            hint="name a directory that is empty or not there yet",
        )


def _prepare(root: Path) -> None:
    """Make what is not there yet; throw away what was not whole when it was left."""
    marker = root / LAYOUT_PATH
    uploads = root / _OURS / "uploads"
    if uploads.exists():
        shutil.rmtree(uploads)
    uploads.mkdir()
    (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    temporary = root / _OURS / INDEX_PATH
    if not (root / INDEX_PATH).exists():
        write_durably(root / INDEX_PATH, LayoutIndex().encode(), temporary)
    if not marker.exists():  # the last one: what has it is a layout
        content = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
        write_durably(marker, content, temporary)


def _check_version(marker: Path) -> None:
    try:
        document: Any = json.loads(marker.read_bytes())
        version = document["imageLayoutVersion"]
    except (ValueError, LookupError, TypeError, RecursionError):
        version = None
    if not isinstance(version, str) or not version.startswith("1."):
        raise ServerError(f"{marker} does not say that this is an OCI image layout of version 1")
