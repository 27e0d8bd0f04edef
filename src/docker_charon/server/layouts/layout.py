"""A layout: an OCI image layout in a directory (image-spec 1.1, image-layout), read and written.

::

    oci-layout, index.json     the files of every image layout
    blobs/sha256/<hex>         manifests, configs and layers, each once
    .docker-charon/            the lock file and the temporary files of this server

``index.json`` lists a manifest as ``repository:tag`` or, if it has no tag, ``repository@digest``.
A blob gets its name after it is complete and flushed to the disk, and a manifest is listed after
everything that it refers to exists. So everything that the layout lists can be pulled, even after
the server was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker_charon.errors import DockerCharonError, InvalidManifest, ServerError
from docker_charon.files import flush, flush_directory, lock, put_in_place, write_durably
from docker_charon.messages import get_logger
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import MOST_VALUES, count_values
from docker_charon.oci.manifest import MAX_SIZE
from docker_charon.payload.format.limits import LONGEST_DOCUMENT
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH, blob_path
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor
from docker_charon.payload.random_access import Extent, read_into
from docker_charon.server.layouts.directory import file_size, open_file, open_lock, read_file
from docker_charon.server.layouts.layout_catalog import CatalogLoader
from docker_charon.server.layouts.layout_index import LayoutIndex
from docker_charon.server.layouts.layout_root import (
    LOCK_PATH,
    OWN_FOLDER,
    TEMPORARY_INDEX_PATH,
    UPLOADS_PATH,
    check_root,
    prepare_root,
)
from docker_charon.server.layouts.upload import Upload, Uploads
from docker_charon.server.manifest import StoredManifest
from docker_charon.server.store import Catalog, Code, Rejected

_log = get_logger(__name__)

_READ_SIZE = 256 * 1024


@dataclass(frozen=True, slots=True)
class _StoredBlob:
    """A blob in its file."""

    path: Path
    size: int

    def prepare(self) -> None:
        pass

    @contextlib.contextmanager
    def extent(self) -> Iterator[Extent | None]:
        with open_file(self.path) as file:
            yield Extent(file.fileno(), 0, self.size)

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(_READ_SIZE))
        with open_file(self.path) as file:
            file.seek(start)
            while size := read_into(file, buffer):
                yield buffer[:size]


class Layout:
    """A layout that only this process writes to; `open_layout` opens it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary_index = root / TEMPORARY_INDEX_PATH
        self._index_lock = threading.Lock()
        self.catalog = Catalog()
        self.temporary_folder = root / UPLOADS_PATH
        self.uploads = Uploads(self.temporary_folder)
        path = root / INDEX_PATH
        self._index = LayoutIndex.parse(read_file(path, LONGEST_DOCUMENT), str(path))
        loader = CatalogLoader(
            self.catalog, self._read, lambda digest: self.blob(digest) is not None
        )
        loader.load(self._index, _read_payload_descriptor(root / DESCRIPTOR_PATH))

    def content(self, manifest: StoredManifest) -> bytes:
        """Return the bytes of a manifest; raise `InvalidManifest` when its file is damaged."""
        content = read_file(self._path(manifest.digest), MAX_SIZE)
        if Digest.of(content, manifest.digest.algorithm) != manifest.digest:
            raise InvalidManifest(f"{self._path(manifest.digest)} is damaged")
        return content

    def blob(self, digest: Digest) -> _StoredBlob | None:
        """Return a blob, whichever repository has it; ``None`` if there is no such blob."""
        path = self._path(digest)
        try:
            size = file_size(path)
        except ServerError as error:
            _log.warning("a blob is not served: %s", error)
            return None
        return None if size is None else _StoredBlob(path, size)

    def mount(self, repository: str, digest: Digest, source: str | None) -> bool:
        """Add a blob of the repository ``source`` to ``repository``; return whether it exists.

        Without ``source``, the blob may be in any repository.
        """
        exists = source is None or self.catalog.has_blob(source, digest)
        if not exists or self.blob(digest) is None:
            return False
        self.catalog.add_blob(repository, digest)
        return True

    def finish(self, upload: Upload, digest: Digest) -> None:
        """Store an upload, which the caller holds, as a blob; the upload ends in any case.

        Raises `Rejected` if its bytes do not have ``digest``.
        """
        try:
            actual = upload.digest(digest.algorithm)
            if actual != digest:
                raise Rejected(
                    Code.DIGEST_INVALID, f"the uploaded bytes have the digest {actual}", str(digest)
                )
            flush(upload.path)
            self._put_in_place(upload.path, digest)
            self.catalog.add_blob(upload.repository, digest)
        finally:
            self.uploads.remove(upload)

    def put_manifest(
        self,
        repository: str,
        content: bytes,
        media_type: str | None,
        tags: Sequence[str] = (),
        digest: Digest | None = None,
    ) -> StoredManifest:
        """Store a manifest; its blobs and child manifests must exist, its subject may be missing.

        Raises `Rejected` when one of them is missing, when ``content`` is not a manifest, and when
        its digest is not ``digest``.
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
        if not self._is_intact(manifest.digest):
            self._write_blob(manifest.digest, content)
        with self._index_lock:
            self._list(repository, manifest, tags)
        return manifest

    def _is_intact(self, digest: Digest) -> bool:
        """Whether there is a file for this digest, and its bytes have the digest."""
        blob = self.blob(digest)
        if blob is None:
            return False
        hasher = digest.hasher()
        for chunk in blob.chunks():
            hasher.update(chunk)
        return hasher.hexdigest() == digest.encoded

    def _check_complete(self, repository: str, manifest: StoredManifest) -> None:
        # A blob of another repository is accepted: after a restart, it is not known to which
        # repository a blob without a manifest was pushed.
        missing = [digest for digest in manifest.blobs if self.blob(digest) is None]
        missing += [
            child.digest
            for child in manifest.manifests
            if self.catalog.find(repository, child.digest) is None
        ]
        if missing:
            raise Rejected(
                Code.MANIFEST_BLOB_UNKNOWN,
                f"{repository} does not have {missing[0]}, which the manifest refers to",
                [str(digest) for digest in missing],
            )

    def _list(self, repository: str, manifest: StoredManifest, tags: Sequence[str]) -> None:
        """Write an index that lists the manifest under its tags, or else under its digest.

        A manifest whose last tag moves away is listed under its digest.
        """
        index = self._index.copy()
        by_digest = f"{repository}@{manifest.digest}"
        if tags:
            index.named.pop(by_digest, None)
        elif not self.catalog.is_tagged(repository, manifest):
            index.put(by_digest, manifest)
        for tag in tags:
            previous = self.catalog.tagged(repository, tag)
            moves = previous is not None and previous.digest != manifest.digest
            if previous and moves and not self.catalog.is_tagged(repository, previous, tags):
                index.put(f"{repository}@{previous.digest}", previous)
            index.put(f"{repository}:{tag}", manifest)
        if index != self._index:
            content = index.encode()
            if len(content) > LONGEST_DOCUMENT or count_values(content) > MOST_VALUES:
                raise Rejected(Code.DENIED, f"{INDEX_PATH} is full: it cannot list another image")
            write_durably(self._root / INDEX_PATH, content, self._temporary_index)
        self._index = index
        for name in tags or (None,):
            self.catalog.add(repository, manifest, name)

    def _read(self, digest: Digest, media_type: str) -> StoredManifest:
        path = self._path(digest)
        content = read_file(path, MAX_SIZE)
        manifest = StoredManifest.parse(content, media_type, digest.algorithm)
        if manifest.digest != digest:
            raise InvalidManifest(f"{path} is damaged")
        return manifest

    def _path(self, digest: Digest) -> Path:
        return self._root / blob_path(digest)

    def _write_blob(self, digest: Digest, content: bytes) -> None:
        temporary = self.temporary_folder / str(uuid.uuid4())
        try:
            with temporary.open("xb") as file:
                file.write(content)
            flush(temporary)
            self._put_in_place(temporary, digest)
        finally:
            temporary.unlink(missing_ok=True)

    def _put_in_place(self, file: Path, digest: Digest) -> None:
        path = self._path(digest)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            flush_directory(path.parent.parent)
        try:
            put_in_place(file, path)
        except PermissionError:  # Windows: a file that is being read cannot be replaced
            if not self._is_intact(digest):
                raise


@contextlib.contextmanager
def open_layout(directory: str | os.PathLike[str]) -> Iterator[Layout]:
    """Open a layout for this process alone; an empty or missing directory becomes a layout.

    Raises `ServerError` when the directory contains something else, when another process serves
    it, and when it cannot be written to.
    """
    root = Path(directory)
    with contextlib.ExitStack() as stack:
        try:
            check_root(root)
            (root / OWN_FOLDER).mkdir(parents=True, exist_ok=True)
            lock(stack.enter_context(open_lock(root / LOCK_PATH)))
            prepare_root(root)
            layout = Layout(root)
        except BlockingIOError:
            raise ServerError(
                f"another docker-charon serves {root}", hint="stop it, or use another directory"
            ) from None
        except FileExistsError as error:
            raise ServerError(f"cannot use {root}: it is not a directory") from error
        except OSError as error:
            raise ServerError(
                f"cannot use {root}: {error.strerror or error}",
                hint="use a directory that this user can read and write",
            ) from error
        except ValueError as error:  # a path with a NUL
            raise ServerError(f"cannot use {root}: {error}") from error
        try:
            yield layout
        finally:  # what is left of unfinished uploads would take up the disk until the next start
            shutil.rmtree(layout.temporary_folder, ignore_errors=True)


def _read_payload_descriptor(path: Path) -> PayloadDescriptor | None:
    """Return the descriptor of an unzipped payload; ``None`` if the layout is not one."""
    try:
        return PayloadDescriptor.parse(read_file(path, LONGEST_DOCUMENT))
    except FileNotFoundError:
        return None
    except DockerCharonError as error:
        _log.warning("%s is ignored: %s", path, error)
        return None
