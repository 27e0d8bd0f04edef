"""The rebuilding of a push: the layers that come as deltas and that the registry does not have."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docker_charon.deltas.extra import require_extra
from docker_charon.deltas.process import core_count
from docker_charon.errors import DigestMismatch, PayloadError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.reader import Payload
from docker_charon.payload.rebuild import BlobFiles
from docker_charon.payload.recipe import Recipes
from docker_charon.payload.temporary_folder import temporary_folder
from docker_charon.progress import Progress, counted, shown_size
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.plan import PushPlan
from docker_charon.workers import Workers

_BUFFER = 256 * 1024
_POLL = 0.05  # seconds between two looks whether the workers have been stopped

_log = get_logger(__name__)


class Rebuilding:
    """The content of the blobs of a payload for a push: read from it, or rebuilt from deltas.

    ``holders`` has a repository of the registry for each base that the registry has.
    """

    def __init__(self, client: RegistryClient, payload: Payload, holders: Mapping[Digest, str]):
        self._client = client
        self._payload = payload
        self._holders = holders
        self._recipes = Recipes([payload], holders)
        self.available = payload.carried | self._recipes.by_digest.keys()
        """The blobs that can be uploaded: those that are carried, and those that can be rebuilt."""
        self.damaged: set[Digest] = set()
        """The bases that the registry turned out to have damaged."""
        self._files: BlobFiles | None = None
        self._held: set[Digest] = set()
        self._room = threading.Semaphore()
        self._workers = Workers()
        self._progress: Progress | None = None

    def missing(self, digest: Digest) -> list[Digest]:
        """Return the bases that are missing for a blob that cannot be rebuilt."""
        return self._recipes.missing(digest)

    def rebuilt(self, plan: PushPlan) -> list[Descriptor]:
        """Return the blobs that a plan uploads and that have to be rebuilt for this."""
        uploads = {upload.digest: upload.blob for upload in plan.uploads}
        return [blob for digest, blob in uploads.items() if digest in self._recipes.by_digest]

    def check(self, plan: PushPlan) -> None:
        """Raise `DeltaError` if something must be rebuilt and the packages for it are missing."""
        if self.rebuilt(plan):
            require_extra()

    def log(self, plan: PushPlan) -> None:
        """Log what would be rebuilt for a plan."""
        for blob in self.rebuilt(plan):
            for recipe in self._recipes.order(blob.digest):
                _log.info(
                    "rebuild %s, %s bytes, from a delta of %s bytes and %s",
                    recipe.blob.digest,
                    f"{recipe.blob.size:,}",
                    f"{recipe.delta.size:,}",
                    " and ".join(recipe.delta.bases),
                )

    @contextlib.contextmanager
    def ready(self, plan: PushPlan, workers: Workers, progress: Progress) -> Iterator[None]:
        """Prepare the rebuilding for a plan: within the block, `body` gives the blobs.

        Raises `DeltaError` if the disk has too little room for the temporary files.
        """
        blobs = self._with_good_headers(self.rebuilt(plan))
        if not blobs:
            yield
            return
        self._workers, self._progress = workers, progress
        processes = min(workers.jobs, core_count())
        with temporary_folder() as folder:
            self._files = BlobFiles(
                self._recipes, folder, fetch=self._fetch, processes=processes, check=workers.check
            )
            at_once = self._files.most_at_once(blobs, min(workers.jobs, len(blobs)))
            self._room = threading.Semaphore(at_once)
            _log.info(
                "%s rebuilt from older ones, %d at a time, with up to %s of temporary files in %s "
                "and 300 MB of memory for each",
                counted(len(blobs), "layer"),
                min(processes, at_once),
                shown_size(self._files.space(blobs, at_once)),
                folder.parent,
            )
            for blob in blobs:  # so that a base of several layers is fetched once
                self._held.add(blob.digest)
                for digest, size in self._bases(blob.digest):
                    self._files.hold(digest, size)
            yield

    def _with_good_headers(self, blobs: Iterable[Descriptor]) -> list[Descriptor]:
        """Return the blobs whose deltas have a right header; `body` refuses the others."""
        good = []
        for blob in blobs:
            with contextlib.suppress(PayloadError):
                for recipe in self._recipes.order(blob.digest):
                    _ = recipe.header
                good.append(blob)
        return good

    def _bases(self, digest: Digest) -> list[tuple[Digest, int]]:
        bases = self._recipes.by_digest[digest].delta.bases
        return [(base, described.size) for base, described in bases.items()]

    @contextlib.contextmanager
    def body(self, blob: Descriptor) -> Iterator[Body]:
        """Yield the content of one of the blobs that are ``available``.

        Raises `PayloadError`, `DeltaError` or `DigestMismatch` if a delta or a base is damaged or
        cannot be read, and `RegistryError` if a base cannot be fetched.
        """
        recipe = self._recipes.by_digest.get(blob.digest)
        if recipe is None:
            yield self._payload.body(blob)
            return
        for needed in self._recipes.order(blob.digest):
            _ = needed.header
        if self._files is None or self._progress is None:
            raise AssertionError("the rebuilding is not ready")
        while not self._room.acquire(timeout=_POLL):
            self._workers.check()
        try:
            with self._files.file(blob.digest, blob.size) as path:
                self._progress.rebuilt()
                yield _FileBody(path, blob)
        finally:
            if blob.digest in self._held:
                self._held.remove(blob.digest)
                for base, _ in self._bases(blob.digest):
                    self._files.release(base)
            self._room.release()

    def _fetch(self, digest: Digest, size: int) -> Iterator[memoryview | bytes]:
        """Yield the content of a base from the registry."""
        base, repository = Descriptor("", digest, size), self._holders[digest]
        _log.info("fetching %s from %s, to rebuild layers", digest, repository)
        if self._progress is not None:
            self._progress.grow(size)
        try:
            with self._client.get_blob(repository, base) as stream:
                for chunk in base.verified(stream):
                    yield chunk
                    if self._progress is not None:
                        self._progress.moved(len(chunk))
        except DigestMismatch as error:
            self.damaged.add(digest)
            raise DigestMismatch(
                f"{self._client.registry} has a damaged copy of {digest} in {repository}, from "
                f"which layers of the payload are to be rebuilt: {error.message}",
                hint="make the payload again without layer deltas",
            ) from None


@dataclass(frozen=True, slots=True)
class _FileBody:
    """The content of a file, verified while it is read."""

    path: Path
    blob: Descriptor

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        with self.path.open("rb") as file:
            yield from self.blob.verified(iter(lambda: file.read(_BUFFER), b""))
