"""Reading a payload: ours, and those of docker-charon 0.1 and 0.4."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from docker_charon.descriptor import Body, Descriptor
from docker_charon.digest import Digest
from docker_charon.errors import (
    DigestMismatch,
    DockerCharonError,
    InvalidReference,
    PayloadError,
)
from docker_charon.manifest import MAX_SIZE, Image, Manifest
from docker_charon.payload import (
    DESCRIPTOR_PATH,
    INDEX_PATH,
    PayloadDescriptor,
    blob_path,
    parse_index,
)
from docker_charon.plan import NamedImage
from docker_charon.random_access import RandomAccess, StoredContent, read_into
from docker_charon.reference import Reference

_LONGEST_DOCUMENT = 64 * 1024 * 1024  # bytes of index.json or payload_descriptor.json
_BUFFER = 256 * 1024
_SPOOL_CHECK = 64 * 1024 * 1024  # bytes from one look at the disk to the next
_LOCAL_HEADER = struct.Struct("<4s22x2H")  # signature, length of the path, of the extra field

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the latter if somebody zipped it again
_ENCRYPTED = 0x1

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
"""What `zipfile` raises for a zip that it cannot read."""


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that the payload expects at the destination.

    ``image`` is what it was at the source; the payloads of 0.1 and 0.4 did not record it.
    """

    name: str
    reference: Reference
    image: Image | None


class Payload:
    """An open payload, its metadata and manifests read and checked.

    ``names`` are all its images in the order in which they were asked for, ``images`` those that
    it carries and ``skipped`` those that it expects at the destination. ``carried`` are the
    digests of the blobs that it has, and ``elsewhere`` tells for others which repositories of the
    destination should have them.
    """

    names: tuple[str, ...]
    images: tuple[NamedImage, ...]
    skipped: tuple[SkippedImage, ...]
    carried: frozenset[Digest]
    elsewhere: Mapping[Digest, tuple[str, ...]]

    def __init__(self, file: IO[bytes]) -> None:
        self._file = RandomAccess(file)
        self._zip = zipfile.ZipFile(file)
        self._entries = _entries(self._zip)
        descriptor = PayloadDescriptor.parse(self._document(DESCRIPTOR_PATH))
        self.names = tuple(descriptor.manifests)
        roots = self._roots(descriptor)
        images, skipped = [], []
        for name, path in descriptor.manifests.items():
            reference = _reference(name)
            root = roots[name]
            image = None if root is None else self._image(name, reference, root)
            if path is not None and image is not None:
                images.append(NamedImage(name, reference, image))
            else:
                skipped.append(SkippedImage(name, reference, image))
        self.images, self.skipped = tuple(images), tuple(skipped)
        self._zip_paths, self.elsewhere = self._places(descriptor)
        self.carried = frozenset(self._zip_paths)

    def body(self, blob: Descriptor) -> Body:
        """Return a carried blob's content, checked as it is read.

        Reading it raises `DigestMismatch` when the payload is damaged there, and `PayloadError`
        when it cannot be read.
        """
        return _Body(self, blob, self._entries[self._zip_paths[blob.digest]])

    def _roots(self, descriptor: PayloadDescriptor) -> dict[str, Manifest | None]:
        """Return every image's root manifest; ``None`` where the payload does not have it."""
        if not descriptor.ours:
            return {
                name: None if path is None else self._old_manifest(name, path)
                for name, path in descriptor.manifests.items()
            }
        index = dict(parse_index(self._document(INDEX_PATH)))
        if index.keys() != descriptor.manifests.keys():
            raise PayloadError(f"{INDEX_PATH} and {DESCRIPTOR_PATH} name different images")
        for name, root in index.items():
            if descriptor.manifests[name] not in (None, blob_path(root.digest)):
                raise PayloadError(f"{INDEX_PATH} and {DESCRIPTOR_PATH} disagree on {name}")
        return {name: self._manifest(name, root) for name, root in index.items()}

    def _manifest(self, name: str, descriptor: Descriptor) -> Manifest:
        """Return the manifest that a descriptor below the image ``name`` refers to."""
        content = self._document(blob_path(descriptor.digest), MAX_SIZE, name)
        try:
            return Manifest.of(descriptor, content)
        except DockerCharonError as error:
            raise PayloadError(f"the payload is damaged: a manifest of {name}: {error}") from None

    def _old_manifest(self, name: str, path: str) -> Manifest:
        try:
            return Manifest.parse(self._document(path, MAX_SIZE, name))
        except PayloadError:
            raise
        except DockerCharonError as error:
            raise PayloadError(f"the payload is damaged: the manifest of {name}: {error}") from None

    def _image(self, name: str, reference: Reference, root: Manifest) -> Image:
        if reference.digest not in (None, root.digest, Digest.of(root.content, "sha512")):
            raise PayloadError(f"the payload has {root.digest} as {name}")
        try:
            return Image.collect(root, lambda child: self._manifest(name, child))
        except PayloadError:
            raise
        except DockerCharonError as error:
            raise PayloadError(f"the payload is damaged: {name}: {error}") from None

    def _places(
        self, descriptor: PayloadDescriptor
    ) -> tuple[dict[Digest, str], Mapping[Digest, tuple[str, ...]]]:
        """Return where each blob of the carried images is: in the zip, or at the destination."""
        zip_paths: dict[Digest, str] = {}
        elsewhere: dict[Digest, tuple[str, ...]] = {}
        # 0.1 wrote no places down: what it left out is in some repository that it knew of.
        every = tuple(dict.fromkeys(_reference(name).repository for name in descriptor.manifests))
        for named in self.images:
            for blob in named.image.blobs:
                path: str | None
                if descriptor.zip_paths is None or descriptor.elsewhere is None:
                    path = f"blobs/{blob.digest}"
                    path = path if path in self._entries else None
                    elsewhere[blob.digest] = every
                else:
                    path = descriptor.zip_paths.get(blob.digest)
                    if path is None and blob.digest not in descriptor.elsewhere:
                        raise PayloadError(
                            f"the payload is incomplete: it lacks {blob.digest} of {named.name}"
                        )
                if path is not None:
                    self._check_size(named.name, path, blob.size)
                    zip_paths[blob.digest] = path
        return zip_paths, elsewhere if descriptor.elsewhere is None else descriptor.elsewhere

    def _check_size(self, name: str, path: str, size: int) -> None:
        info = self._entries.get(path)
        if info is None:
            raise PayloadError(f"the payload is incomplete: it lacks {path} of {name}")
        if info.file_size != size:
            raise PayloadError(
                f"the payload is damaged: {path} has {info.file_size} bytes where the manifest of "
                f"{name} says {size}"
            )

    def _document(
        self, path: str, longest: int = _LONGEST_DOCUMENT, image: str | None = None
    ) -> bytes:
        """Return a short entry's content."""
        info = self._entries.get(path)
        if info is None and image is not None:
            raise PayloadError(f"the payload is incomplete: it lacks {path} of {image}")
        if info is None:
            raise PayloadError(f"this zip is not a payload: it has no {path}")
        if info.file_size > longest:
            raise PayloadError(f"{path} is too large: {info.file_size} bytes")
        with _told(f"cannot read {path}"):
            return self._zip.read(info)

    def chunks(self, info: zipfile.ZipInfo) -> Iterator[memoryview]:
        """Yield an entry's content in pieces, each valid until the next one is asked for."""
        buffer = memoryview(bytearray(_BUFFER))
        with _told(f"cannot read {info.filename}"):
            if info.compress_type != zipfile.ZIP_STORED:
                yield from self._inflated(info, buffer)
                return
            content = StoredContent(self._file, self._data_offset(info), info.file_size)
            while size := content.readinto(buffer):
                yield buffer[:size]

    def _inflated(self, info: zipfile.ZipInfo, buffer: memoryview) -> Iterator[memoryview]:
        # The standard library's reader shares the file, and knows nothing of other readers.
        with self._file.lock:
            entry = self._zip.open(info)
        with entry:
            while True:
                with self._file.lock:
                    size = read_into(entry, buffer)
                if not size:
                    return
                yield buffer[:size]

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        """Return where an entry's content starts: its local header has lengths of its own."""
        header = self._file.read(_LOCAL_HEADER.size, info.header_offset)
        signature, path_length, extra_length = _LOCAL_HEADER.unpack(header)
        path = self._file.read(path_length, info.header_offset + _LOCAL_HEADER.size)
        if signature != b"PK\3\4" or path.decode("utf-8", "replace") != info.orig_filename:
            raise zipfile.BadZipFile(f"no local header for {info.filename}")
        return int(info.header_offset + _LOCAL_HEADER.size + path_length + extra_length)


@dataclass(frozen=True, slots=True)
class _Body:
    """A carried blob: it has a length and can be read again."""

    payload: Payload
    blob: Descriptor
    info: zipfile.ZipInfo

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        try:
            yield from self.blob.verified(self.payload.chunks(self.info))
        except DigestMismatch as error:
            raise DigestMismatch(
                f"the payload is damaged in {self.info.filename}: {error}",
                hint="copy it from its source again",
            ) from None


@contextlib.contextmanager
def open_payload(zip_file: str | os.PathLike[str] | IO[bytes]) -> Iterator[Payload]:
    """Open a payload and check it: complete, every manifest right, every blob of the right size.

    A file object is left open; one that cannot seek is first copied into a temporary file.
    Raises `PayloadError` for what is not a payload, or not a whole one.
    """
    if isinstance(zip_file, (str, os.PathLike)):
        path = Path(zip_file)
        with _told(f"cannot read {path}"):
            file: IO[bytes] = path.open("rb")
        with file:
            yield from _opened(file, str(path))
    elif isinstance(zip_file, io.TextIOBase) or not hasattr(zip_file, "read"):
        raise TypeError("a payload comes from a path or from a file opened for reading bytes")
    else:
        yield from _opened(zip_file, "the file")


def _opened(file: IO[bytes], name: str) -> Iterator[Payload]:
    with _told(f"cannot read {name}"):
        seekable = getattr(file, "seekable", lambda: False)()
    if seekable:
        yield _open(file, name)
        return
    folder = tempfile.gettempdir()
    with _told(f"cannot copy {name} to {folder}"), tempfile.TemporaryFile() as copy:
        _spool(file, copy, folder)
        yield _open(copy, name)


def _spool(file: IO[bytes], copy: IO[bytes], folder: str) -> None:
    """Copy a payload that comes through a pipe: a zip is read from its end."""
    while chunk := file.read(_BUFFER):
        if copy.tell() % _SPOOL_CHECK < len(chunk) and (
            shutil.disk_usage(folder).free < 2 * _SPOOL_CHECK
        ):
            raise PayloadError(
                f"{folder} has no room left for the payload after {copy.tell():,} bytes",
                hint="name a larger directory in TMPDIR, or use a file",
            )
        copy.write(chunk)


def _open(file: IO[bytes], name: str) -> Payload:
    try:
        return Payload(file)
    except (*_DAMAGE, ValueError, OverflowError) as error:
        raise PayloadError(
            f"{name} is not a payload, or was cut short on its way: {error}"
        ) from error
    except OSError as error:
        raise PayloadError(f"cannot read {name}: {error.strerror or error}") from error


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
            raise PayloadError(f"the payload has {info.filename} packed in a way that is not ours")
        if entries.setdefault(info.filename, info) is not info:
            raise PayloadError(
                f"the payload has {info.filename} twice",
                hint="an older docker-charon does that for two images whose names differ in / and "
                "_ only: make it again",
            )
    return entries


def _reference(name: str) -> Reference:
    try:
        return Reference.parse(name)
    except InvalidReference as error:
        raise PayloadError(f"{DESCRIPTOR_PATH} is malformed: {error}") from None


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PayloadError(f"{what}: {error.strerror or error}") from error
    except (*_DAMAGE, ValueError) as error:  # a ValueError: a closed file, a NUL in a path
        raise PayloadError(f"{what}: {error}") from error
