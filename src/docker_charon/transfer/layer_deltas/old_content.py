"""Old content: blobs that the destination has, from earlier payloads or the source registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from docker_charon.errors import BlobNotFound, RegistryError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.layer_deltas.rebuilt_blobs import BlobFiles
from docker_charon.payload.layer_deltas.recipe import Recipes
from docker_charon.payload.partial_files.continued_blob import Fetch
from docker_charon.payload.reader import Payload
from docker_charon.workers import Workers

_BUFFER = 256 * 1024


class OldContent:
    """Finds blobs in earlier payloads, as they are or as deltas, and else at the source registry.

    ``fetch`` opens a blob in a repository of that registry. ``repositories`` are those in which a
    blob is looked for there.
    """

    def __init__(self, payloads: Sequence[Payload], fetch: Fetch) -> None:
        self._recipes = Recipes(reversed(payloads))
        self._fetch = fetch

    def read(self, blob: Descriptor, repositories: Iterable[str]) -> bytes:
        """Return a short blob, such as a config; raises as the files of `files` do."""
        payload = self._recipes.whole.get(blob.digest)
        chunks = self._from_registry(blob, repositories) if payload is None else payload.body(blob)
        return b"".join(bytes(chunk) for chunk in chunks)

    def files(
        self,
        repositories: Mapping[Digest, Iterable[str]],
        directory: Path,
        workers: Workers,
    ) -> BlobFiles:
        """Return the blobs as files in ``directory``, made when they are needed."""

        def fetch(digest: Digest, size: int) -> Iterator[bytes | memoryview]:
            return self._from_registry(Descriptor("", digest, size), repositories.get(digest, ()))

        return BlobFiles(
            self._recipes, directory, fetch=fetch, processes=workers.jobs, check=workers.check
        )

    def _from_registry(
        self, blob: Descriptor, repositories: Iterable[str]
    ) -> Iterator[bytes | memoryview]:
        """Yield a blob from the first repository that has it, verified."""
        error: RegistryError = BlobNotFound(f"no repository is known that has {blob.digest}")
        for repository in dict.fromkeys(repositories):
            is_begun = False
            try:
                for chunk in blob.verified(registry_chunks(self._fetch, blob, repository, 0)):
                    is_begun = True
                    yield chunk
                return
            except RegistryError as failure:
                if is_begun:
                    raise
                error = failure
        raise error


def registry_chunks(
    fetch: Fetch, blob: Descriptor, repository: str, start: int
) -> Iterator[memoryview]:
    """Yield the content of a blob of a registry from an offset on, without verification."""
    buffer = memoryview(bytearray(_BUFFER))
    with fetch(blob, repository, start) as source:
        while size := source.readinto(buffer):
            yield buffer[:size]
