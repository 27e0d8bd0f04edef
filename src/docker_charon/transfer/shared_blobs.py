"""Shared blobs: each is fetched from one of the repositories that list it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from docker_charon.errors import DigestMismatch, RegistryError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.registry.blobs import BlobStream
from docker_charon.registry.errors import ends_all
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.sources import Sources

_MOST_EACH = 3
"""Repositories of one registry from which one blob is fetched, one after the other."""

_log = get_logger(__name__)


class SharedBlobs:
    """The blobs of images, with the repositories of the sources that list each of them.

    ``absent`` are the non-distributable layers that the sources do not have.
    """

    def __init__(
        self,
        sources: Sources,
        images: Iterable[NamedImage],
        absent: Collection[RepositoryBlob] = frozenset(),
    ) -> None:
        self._sources = sources
        self._repositories: dict[Digest, dict[str, list[str]]] = {}
        self._starts: Counter[Digest] = Counter()
        self._away: set[str] = set()
        listed = (needed for image in images for needed in RepositoryBlob.of(image))
        for needed in dict.fromkeys(needed for needed in listed if needed not in absent):
            registry, _ = sources.locate(needed.repository)
            by_registry = self._repositories.setdefault(needed.digest, {})
            of_registry = by_registry.setdefault(registry, [])
            if len(of_registry) < _MOST_EACH:
                of_registry.append(needed.repository)

    def repositories(self, digest: Digest) -> list[str]:
        """Return the repositories from which a blob may be fetched."""
        return [name for names in self._repositories.get(digest, {}).values() for name in names]

    def open(self, blob: Descriptor, repository: str, start: int) -> SharedBlob:
        """Open a blob from the byte ``start`` on.

        ``repository`` is asked first, unless a registry answers faster, or this one is away. If a
        blob is opened from its first byte again, its content was wrong: the next repository is
        asked first.
        """
        others = self.repositories(blob.digest)
        repositories = self._sources.fastest_first(dict.fromkeys([repository, *others]))
        repositories.sort(key=lambda name: self._sources.locate(name)[0] in self._away)
        if not start:
            turn = self._starts[blob.digest] % len(repositories)
            self._starts[blob.digest] += 1
            repositories = repositories[turn:] + repositories[:turn]
        return SharedBlob(self._sources, blob, repositories, start, self._away)


class SharedBlob:
    """Reads a blob from the first of several repositories, and goes on with the next one.

    It goes on if a repository fails for good. Adds the registries that do not answer to ``away``.
    Raises the last error if no repository is left.
    """

    def __init__(
        self,
        sources: Sources,
        blob: Descriptor,
        repositories: list[str],
        start: int,
        away: set[str],
    ) -> None:
        self._sources = sources
        self._blob = blob
        self._repositories = repositories
        self._position = start
        self._away = away
        self._stream: BlobStream | None = None
        self._open()

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end."""
        while True:
            stream = self._open()
            try:
                size = stream.readinto(buffer)
            except (RegistryError, DigestMismatch) as error:
                self._close()
                self._give_up(self._repositories[0], error)
            else:
                self._position += size
                return size

    def __enter__(self) -> SharedBlob:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Close the stream; name the repository in the error of a check that the content failed."""
        is_unnamed = self._stream is not None and isinstance(error, DigestMismatch)
        self._close()
        if is_unnamed:
            registry, repository = self._sources.locate(self._repositories[0])
            raise DigestMismatch(
                f"{registry} has a damaged blob in {repository}, or something on the way changes "
                f"it: {error}",
                hint="push the image again there, or have a look at the proxies on the way",
            ) from error

    def _open(self) -> BlobStream:
        """Return the open stream, or that of the first repository that can be read."""
        while self._stream is None:
            repository = self._repositories[0]
            try:
                self._stream = self._sources.get_blob(repository, self._blob, self._position)
            except (RegistryError, DigestMismatch) as error:
                self._give_up(repository, error)
        return self._stream

    def _give_up(self, repository: str, error: RegistryError | DigestMismatch) -> None:
        """Leave a repository for the next one; raise ``error`` if there is none."""
        registry, _ = self._sources.locate(repository)
        self._repositories = self._repositories[1:]
        if ends_all(error):
            self._away.add(registry)
            self._repositories = [
                name for name in self._repositories if self._sources.locate(name)[0] != registry
            ]
        if not self._repositories:
            raise error
        _log.warning("%s; going on with %s", error.message, self._repositories[0])

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
