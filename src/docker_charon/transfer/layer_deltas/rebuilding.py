"""The rebuilding of a push: the layers that come as deltas and that the registry does not have."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from docker_charon.deltas.extra import require_extra
from docker_charon.deltas.process import core_count
from docker_charon.errors import BlobNotFound, DigestMismatch, PayloadError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.layer_deltas.rebuilt_blobs import BlobFiles
from docker_charon.payload.layer_deltas.recipe import Recipes
from docker_charon.payload.reader import Payload
from docker_charon.payload.temporary_folder import remove_leftovers, temporary_folder
from docker_charon.progress import Progress, counted, shown_size
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.plan import PushPlan
from docker_charon.value import dataclass
from docker_charon.workers import Workers

_BUFFER = 256 * 1024
_POLL = 0.05  # seconds between two looks whether the workers have been stopped

_log = get_logger(__name__)


FindBases = Callable[[Iterable[Digest]], Mapping[Digest, str]]
"""Returns the bases of blobs that the registry has, each with a repository (`Survey.bases`)."""


class Rebuilding:
    """The content of the blobs of a payload for a push: read from it, or rebuilt from deltas."""

    def __init__(self, client: RegistryClient, payload: Payload, find_bases: FindBases) -> None:
        self._client = client
        self._payload = payload
        self._find_bases = find_bases
        self._holders: dict[Digest, str] = {}
        self._recipes = Recipes([payload])
        self.lost: set[Digest] = set()
        """The bases that the registry turned out to lack, or to have damaged."""
        self._files: BlobFiles | None = None
        self._held: set[Digest] = set()
        self._room = threading.Semaphore()
        self._lock = threading.Lock()
        self._workers = Workers()
        self._progress: Progress | None = None
        self._stack = contextlib.ExitStack()

    @property
    def available(self) -> frozenset[Digest]:
        """The blobs that can be uploaded: those that are carried, and those that can be rebuilt."""
        return self._payload.carried | self._recipes.by_digest.keys()

    def ask(self, digests: Iterable[Digest]) -> None:
        """Ask the registry for the bases of those blobs that come as deltas."""
        holders = self._find_bases(digests)
        if holders:
            self._holders |= holders
            self._recipes = Recipes([self._payload], self._holders)

    def can_send(self, digest: Digest) -> bool:
        """Whether a blob can be uploaded; its bases are asked for if this was not done yet."""
        if digest in self._payload.carried:
            return True
        with self._lock:
            if digest in self._payload.deltas and digest not in self._recipes.by_digest:
                self.ask([digest])
                if self._files is not None:
                    self._files.recipes = self._recipes
            return digest in self._recipes.by_digest

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
        self._workers, self._progress = workers, progress
        with self._stack:
            blobs = self._with_good_headers(self.rebuilt(plan))
            if blobs:
                files = self._opened()
                at_once = files.most_at_once(blobs, min(workers.jobs, len(blobs)))
                self._room = threading.Semaphore(at_once)
                _log.info(
                    "rebuilding %s from older ones, %d at a time, with up to %s of temporary files "
                    "in %s and 300 MB of memory for each",
                    counted(len(blobs), "layer"),
                    min(core_count(), at_once),
                    shown_size(files.space(blobs, at_once)),
                    files.directory.parent,
                )
                for blob in blobs:  # so that a base of several layers is fetched once
                    self._held.add(blob.digest)
                    for digest, base in self._recipes.by_digest[blob.digest].delta.bases.items():
                        files.hold(digest, base.size)
            elif self._payload.deltas:
                remove_leftovers()  # otherwise the new folder does it
            yield

    def _opened(self) -> BlobFiles:
        """Return the files; their folder is made when the first one is needed."""
        with self._lock:
            if self._files is None:
                self._files = BlobFiles(
                    self._recipes,
                    self._stack.enter_context(temporary_folder()),
                    fetch=self._fetch,
                    processes=min(self._workers.jobs, core_count()),
                    check=self._workers.check,
                )
            return self._files

    def _with_good_headers(self, blobs: Iterable[Descriptor]) -> list[Descriptor]:
        """Return the blobs whose deltas have a right header; `body` refuses the others."""
        good = []
        for blob in blobs:
            with contextlib.suppress(PayloadError):
                self._recipes.check(blob.digest)
                good.append(blob)
        return good

    @contextlib.contextmanager
    def body(self, blob: Descriptor) -> Iterator[Body]:
        """Yield the content of a blob that can be sent.

        Raises `PayloadError`, `DeltaError` or `DigestMismatch` if a delta or a base is damaged or
        cannot be read, and `RegistryError` if a base cannot be fetched.
        """
        recipe = self._recipes.by_digest.get(blob.digest)
        if recipe is None:
            yield self._payload.body(blob)
            return
        self._recipes.check(blob.digest)
        files = self._opened()
        while not self._room.acquire(timeout=_POLL):
            self._workers.check()
        try:
            with files.file(blob.digest, blob.size) as path:
                if self._progress is not None:
                    self._progress.rebuilt()
                yield _FileBody(path, blob)
        finally:
            if blob.digest in self._held:
                self._held.remove(blob.digest)
                for base in recipe.delta.bases:
                    files.release(base)
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
        except BlobNotFound:
            self.lost.add(digest)
            raise
        except DigestMismatch as error:
            self.lost.add(digest)
            raise DigestMismatch(
                f"{self._client.registry} has a damaged copy of {digest} in {repository}, from "
                f"which layers of the payload are to be rebuilt: {error.message}",
                hint="images there that have this layer are damaged too: remove it from the "
                "registry and push its payload again, or make this payload again without layer "
                "deltas",
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
