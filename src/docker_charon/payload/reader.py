"""Reading a payload: ours, and those of docker-charon 0.1 and 0.4."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO

from docker_charon.errors import (
    DigestMismatch,
    DockerCharonError,
    InvalidReference,
    PayloadError,
)
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage, Referrer, SkippedImage
from docker_charon.oci.manifest import MAX_SIZE, Manifest
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import cosign_tags
from docker_charon.payload.archive import Archive, Report, open_archive, raise_it
from docker_charon.payload.format import (
    DESCRIPTOR_PATH,
    INDEX_PATH,
    PayloadDescriptor,
    blob_path,
    parse_index,
)
from docker_charon.payload.limits import LONGEST_DOCUMENT, Memory, TooLarge
from docker_charon.payload.random_access import Extent


class Payload:
    """An open payload, its metadata and manifests read and checked.

    ``names`` are all its images in the order in which they were asked for, ``images`` those that
    it carries and ``skipped`` those that it expects at the destination. ``carried`` are the
    digests of the blobs that it has, ``at_destination`` tells for others which repositories of the
    destination should have them, and ``non_distributable`` are layers that neither has.

    What is wrong with one image goes to ``report``, and that image is in none of them; what is
    wrong with the whole is raised as a `PayloadError`.
    """

    names: tuple[str, ...]
    images: tuple[NamedImage, ...]
    skipped: tuple[SkippedImage, ...]
    carried: frozenset[Digest]
    at_destination: Mapping[Digest, tuple[str, ...]]
    non_distributable: frozenset[Digest]

    def __init__(self, archive: Archive, report: Report = raise_it) -> None:
        self._archive = archive
        self._memory = Memory()
        self._memory.take_entries(len(archive.entries))
        self._manifests: dict[Descriptor | str, Manifest] = {}
        descriptor = PayloadDescriptor.parse(self._document(DESCRIPTOR_PATH))
        self.names = tuple(descriptor.manifests)
        places = len(descriptor.zip_paths or ()) + len(descriptor.at_destination or ())
        self._memory.take_names(len(self.names), places)
        roots, referrers = self._roots(descriptor)
        images, skipped = [], []
        for name, path in descriptor.manifests.items():
            try:
                reference = Reference.parse(name)
                image = self._image(name, path, roots.get(name))
                if image is not None:
                    filtered = name in descriptor.filtered
                    reference = _settled(name, reference, image.root, filtered=filtered)
                about = self._referrers(name, image, descriptor, referrers)
            except InvalidReference as error:
                report(PayloadError(f"{DESCRIPTOR_PATH} is malformed: {error}"))
                continue
            except TooLarge:
                raise
            except PayloadError as error:
                report(error)
                continue
            if path is not None and image is not None:
                images.append(NamedImage(name, reference, image, about))
            else:
                skipped.append(SkippedImage(name, reference, image, about))
        self.images, self.skipped = tuple(images), tuple(skipped)
        self.non_distributable = descriptor.non_distributable & {
            blob.digest for _, graph in self._graphs() for blob in graph.blobs if blob.urls
        }
        self._zip_paths, self.at_destination = self._places(descriptor, report)
        self.carried = frozenset(self._zip_paths)

    def body(self, blob: Descriptor) -> Body:
        """Return a carried blob's content, checked as it is read.

        Reading it raises `DigestMismatch` when the payload is damaged there, and `PayloadError`
        when it cannot be read.
        """
        entry = self._archive.entries[self._zip_paths[blob.digest]]
        return _Body(self._archive, blob, entry, self._owners[blob.digest])

    def extent(self, digest: Digest) -> Extent | None:
        """Return where a carried blob lies in the file; ``None`` if it is not there as it is."""
        return self._archive.extent(self._archive.entries[self._zip_paths[digest]])

    def chunks(self, digest: Digest, start: int = 0) -> Iterator[memoryview]:
        """Yield a carried blob's content from ``start`` on, unchecked."""
        return self._archive.chunks(self._archive.entries[self._zip_paths[digest]], start=start)

    def size(self, digest: Digest) -> int:
        """Return a carried blob's length in bytes."""
        return self._archive.entries[self._zip_paths[digest]].file_size

    def delivered(self) -> Iterator[tuple[Digest, str]]:
        """Yield what the destination has once all is there: blobs, and repositories with them."""
        for repository, graph in self._graphs():
            for blob in graph.blobs:
                if blob.digest not in self.non_distributable:
                    yield blob.digest, repository
        for digest, repositories in self.at_destination.items():
            yield from ((digest, repository) for repository in repositories)

    def _graphs(self) -> Iterator[tuple[str, Image]]:
        """Yield every image and every referrer that it knows of, with its repository."""
        for named in self.images:
            yield from ((named.reference.repository, graph) for graph in named.graphs)
        for one in self.skipped:
            graphs = (*one.graphs, *((one.image,) if one.image else ()))
            yield from ((one.reference.repository, graph) for graph in graphs)

    def _roots(
        self, descriptor: PayloadDescriptor
    ) -> tuple[dict[str, Descriptor], dict[Digest, Descriptor]]:
        """Return the roots of images by name, and those of referrers; older ones have neither."""
        if not descriptor.ours:
            return {}, {}
        index = parse_index(self._document(INDEX_PATH))
        named = [(name, root) for name, root in index if name is not None]
        roots = dict(named)
        if len(roots) != len(named) or roots.keys() != descriptor.manifests.keys():
            raise PayloadError(f"{INDEX_PATH} and {DESCRIPTOR_PATH} name different images")
        return roots, {root.digest: root for name, root in index if name is None}

    def _referrers(
        self,
        name: str,
        image: Image | None,
        descriptor: PayloadDescriptor,
        roots: Mapping[Digest, Descriptor],
    ) -> tuple[Referrer, ...]:
        """Return what refers to an image, or to what refers to it."""
        about = {m.digest for m in image.manifests} if image else set()
        tags = {tag for subject in about for tag in cosign_tags(subject)}
        found = []
        for digest, tag in descriptor.referrers.get(name, ()):
            if digest not in roots:
                raise PayloadError(f"{INDEX_PATH} lacks {digest}, which refers to {name}")
            manifest = self._manifest(name, roots[digest])
            with _damaged(name):
                graph = Image.collect(manifest, lambda child: self._manifest(name, child))
            if tag not in tags if tag else manifest.subject_digest not in about:
                raise PayloadError(f"{DESCRIPTOR_PATH}: {digest} does not refer to {name}")
            about.update(m.digest for m in graph.manifests)
            tags.update(tag for m in graph.manifests for tag in cosign_tags(m.digest))
            found.append(Referrer(graph, tag))
        return tuple(found)

    def _image(self, name: str, path: str | None, root: Descriptor | None) -> Image | None:
        """Return an image with all its manifests; ``None`` where the payload does not have them."""
        if root is not None:
            if path not in (None, blob_path(root.digest)):
                raise PayloadError(f"{INDEX_PATH} and {DESCRIPTOR_PATH} disagree on {name}")
            manifest = self._manifest(name, root)
        elif path is not None:
            with _damaged(name):
                manifest = self._once(path, path, name, Manifest.parse)
        else:
            return None
        with _damaged(name):
            return Image.collect(manifest, lambda child: self._manifest(name, child))

    def _manifest(self, name: str, descriptor: Descriptor) -> Manifest:
        """Return the manifest that a descriptor below the image ``name`` refers to."""
        key = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        path = blob_path(descriptor.digest)
        with _damaged(name):
            return self._once(key, path, name, lambda content: Manifest.of(descriptor, content))

    def _once(
        self,
        key: Descriptor | str,
        path: str,
        name: str,
        parse: Callable[[bytes], Manifest],
    ) -> Manifest:
        """Read a manifest, which any number of images may share, once."""
        if key not in self._manifests:
            manifest = parse(self._document(path, MAX_SIZE, name))
            self._memory.take_manifest(manifest)
            self._manifests[key] = manifest
        self._memory.take_use(self._manifests[key])
        return self._manifests[key]

    def _places(
        self, descriptor: PayloadDescriptor, report: Report
    ) -> tuple[dict[Digest, str], Mapping[Digest, tuple[str, ...]]]:
        """Return where each blob of the carried images is: in the zip, or at the destination."""
        zip_paths: dict[Digest, str] = {}
        at_destination: dict[Digest, tuple[str, ...]] = {}
        # 0.1 wrote no places down: what it left out is in some repository that it knew of.
        self._owners: dict[Digest, str] = {}
        known: list[NamedImage | SkippedImage] = [*self.images, *self.skipped]
        every = tuple(dict.fromkeys(named.reference.repository for named in known))
        for named in known:
            for blob in named.blobs:
                self._owners.setdefault(blob.digest, named.name)
                path: str | None
                if descriptor.zip_paths is None or descriptor.at_destination is None:
                    path = f"blobs/{blob.digest}"
                    path = path if path in self._archive.entries else None
                    at_destination[blob.digest] = every
                else:
                    path = descriptor.zip_paths.get(blob.digest)
                    is_foreign = bool(blob.urls) and blob.digest in descriptor.non_distributable
                    if path is None and not (
                        is_foreign or blob.digest in descriptor.at_destination
                    ):
                        problem = f"it lacks {blob.digest} of {named.name}"
                        report(PayloadError(f"the payload is incomplete: {problem}"))
                if path is not None:
                    try:
                        self._check_size(named.name, path, blob.size)
                        zip_paths[blob.digest] = path
                    except PayloadError as error:
                        report(error)
        return (
            zip_paths,
            at_destination if descriptor.at_destination is None else descriptor.at_destination,
        )

    def _check_size(self, name: str, path: str, size: int) -> None:
        info = self._entry(path, name)
        if info.file_size != size:
            raise PayloadError(
                f"the payload is damaged: {path} has {info.file_size} bytes where the manifest of "
                f"{name} says {size}"
            )

    def _entry(self, path: str, image: str | None) -> zipfile.ZipInfo:
        info = self._archive.entries.get(path)
        if info is None and image is not None:
            raise PayloadError(f"the payload is incomplete: it lacks {path} of {image}")
        if info is None:
            raise PayloadError(f"this zip is not a payload: it has no {path}")
        return info

    def _document(
        self, path: str, longest: int = LONGEST_DOCUMENT, image: str | None = None
    ) -> bytes:
        """Return a short entry's content."""
        info = self._entry(path, image)
        if info.file_size > longest:
            raise PayloadError(f"{path} is too large: {info.file_size} bytes")
        return self._archive.read(info)


def _settled(name: str, reference: Reference, root: Manifest, *, filtered: bool) -> Reference:
    """Return where an image goes, whose name may have the digest of what it is a part of."""
    if reference.digest is None or root.has_digest(reference.digest):
        return reference
    if not filtered:
        raise PayloadError(f"the payload has {root.digest} as {name}")
    return replace(reference, digest=root.digest)


@dataclass(frozen=True, slots=True)
class _Body:
    """A carried blob: it has a length and can be read again."""

    archive: Archive
    blob: Descriptor
    entry: zipfile.ZipInfo
    owner: str

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        try:
            yield from self.blob.verified(self.archive.chunks(self.entry))
        except DigestMismatch as error:
            raise DigestMismatch(
                f"the payload is damaged in {self.entry.filename}, of {self.owner}: {error}",
                hint="copy it from its source again",
            ) from None


@contextlib.contextmanager
def open_payload(
    zip_file: str | os.PathLike[str] | IO[bytes], report: Report = raise_it
) -> Iterator[Payload]:
    """Open a payload and check it: complete, every manifest right, every blob of the right size.

    A file object is left open; one that cannot seek is first copied into a temporary file.
    Raises `PayloadError` for what is not a payload, or not a whole one.
    """
    with open_archive(zip_file, report) as archive:
        yield Payload(archive, report)


@contextlib.contextmanager
def _damaged(name: str) -> Iterator[None]:
    """Name the image in whose manifests something is wrong."""
    try:
        yield
    except PayloadError:
        raise
    except DockerCharonError as error:
        raise PayloadError(f"the payload is damaged: a manifest of {name}: {error}") from None
