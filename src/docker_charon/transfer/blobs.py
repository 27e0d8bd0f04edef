"""The blobs of a push: uploads from the payload, then mounts inside the registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from docker_charon.errors import DockerCharonError, RegistryError
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.reader import Payload
from docker_charon.progress import Progress
from docker_charon.registry.blobs import BlobState
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.errors import ends_all
from docker_charon.transfer.layer_deltas.rebuilding import Rebuilding
from docker_charon.transfer.outcome import Outcome, Part
from docker_charon.transfer.plan import Mount, PushPlan, RepositoryBlob
from docker_charon.value import dataclass
from docker_charon.workers import Workers


class BlobSender:
    """Sends blobs to a registry. Its progress has `RepositoryBlob` values as keys.

    A blob that the registry refuses is a failure of the parts that need it, and so is one that
    ``rebuilding`` cannot give. ``doubtful`` are the blobs that the registry has damaged, or may
    have: it is asked for them again after an upload.
    """

    def __init__(
        self,
        client: RegistryClient,
        payload: Payload,
        rebuilding: Rebuilding,
        workers: Workers,
        progress: Progress,
        outcome: Outcome,
        doubtful: Collection[RepositoryBlob] = (),
    ) -> None:
        self._client = client
        self._payload = payload
        self._rebuilding = rebuilding
        self._workers = workers
        self._progress = progress
        self._outcome = outcome
        self._doubtful = frozenset(doubtful)
        self._plan = PushPlan((), (), {})
        self._needed_by: dict[RepositoryBlob, list[Part]] = {}
        for part in outcome.parts:
            for needed in part.blobs:
                self._needed_by.setdefault(needed, []).append(part)
        self._uploaded: dict[RepositoryBlob, None] = {}
        self._stored: set[RepositoryBlob] = set()

    @property
    def uploaded(self) -> Sequence[RepositoryBlob]:
        """The blobs that have been uploaded."""
        return tuple(self._uploaded)

    def has_stored(self, needed: RepositoryBlob) -> bool:
        """Whether a repository has a blob from this push."""
        return needed in self._stored

    def send(self, plan: PushPlan) -> None:
        """Upload and mount the blobs of a plan, the largest first.

        A mount that the registry refuses, or says to have done and has not, becomes an upload.
        """
        self._plan = plan
        uploads: dict[Digest, list[RepositoryBlob]] = {}
        for upload in plan.uploads:
            uploads.setdefault(upload.digest, []).append(upload)
        for batch in self._payload.batches(uploads):
            targets = [target for digest in batch for target in uploads[digest]]
            self._workers.map(lambda t: self._attempt(t, lambda: self._upload(t)), targets)
        self._workers.map(lambda m: self._attempt(m.target, lambda: self._mount(m)), plan.mounts)

    def send_again(self, needed: RepositoryBlob) -> bool:
        """Upload a blob that the registry said to have; ``False`` if nobody else has it.

        Raises what the upload raises.
        """
        if self._rebuilding.can_send(needed.digest):
            self._progress.grow(needed.blob.size)
            self._upload(needed)
            return True
        holders = self._plan.holders.get(needed.digest, ())
        sources = [repository for repository in holders if repository != needed.repository]
        if sources:
            self._mount(Mount(needed, sources[0]))
        return bool(sources)

    def _attempt(self, target: RepositoryBlob, send: Callable[[], None]) -> None:
        """Send a blob unless all parts that need it have failed; they fail if it is refused."""
        parts = self._needed_by.get(target, [])
        if not self._outcome.remaining(parts):
            return  # the registry refuses its repository, for example
        try:
            send()
        except DockerCharonError as error:
            self._outcome.fail(parts, error)
        else:
            self._progress.finished(target)

    def _mount(self, mount: Mount) -> None:
        """Mount a blob, or upload it if it cannot be mounted."""
        target = mount.target
        source = RepositoryBlob(mount.source, target.blob)
        is_at_source = mount.source in self._plan.holders.get(target.digest, ()) or (
            source in self._stored
        )
        if is_at_source and self._is_mounted(mount):
            self._stored.add(target)
            return
        self._progress.grow(target.blob.size)
        if target.digest in self._payload.carried or (
            not is_at_source and self._rebuilding.can_send(target.digest)
        ):
            self._upload(target)
        else:
            self._send(target, _RegistryBody(self._client, mount.source, target.blob))

    def _is_mounted(self, mount: Mount) -> bool:
        """Mount a blob; ``False`` if the registry refuses, or does not have it afterwards."""
        target = mount.target
        if not self._client.mount_blob(target.repository, target.digest, source=mount.source):
            return False
        state = self._client.blob_state(target.repository, target.blob, to_push=True)
        return not state.needs_upload

    def _upload(self, target: RepositoryBlob) -> None:
        with self._rebuilding.body(target.blob) as body:
            self._send(target, body)

    def _send(self, target: RepositoryBlob, body: Body) -> None:
        counted_body = _CountedBody(body, self._workers, self._progress)
        try:
            self._client.upload_blob(target.repository, target.blob, counted_body)
        except RegistryError as error:
            # Another client may have stored it first, which some registries answer with 400.
            if ends_all(error) or not self._is_present(target):
                raise
        else:
            self._uploaded[target] = None
        if target in self._doubtful:
            self._client.check_blob(target.repository, target.blob)
        self._stored.add(target)

    def _is_present(self, needed: RepositoryBlob) -> bool:
        state = self._client.blob_state(needed.repository, needed.blob, to_push=True)
        return state is BlobState.PRESENT


class _CountedBody:
    """A body that counts what is read of it, and stops when the workers are stopped.

    Each try reads it from its start; only what the last one has read stays counted.
    """

    def __init__(self, body: Body, workers: Workers, progress: Progress) -> None:
        self._body = body
        self._workers = workers
        self._progress = progress
        self._counted = 0

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        self._take_back()
        try:
            for chunk in self._body:
                self._workers.check()
                yield chunk
                self._counted += len(chunk)
                self._progress.moved(len(chunk))
        finally:
            if self._counted < len(self._body):
                self._take_back()

    def _take_back(self) -> None:
        self._progress.moved(-self._counted)
        self._counted = 0


@dataclass(frozen=True, slots=True)
class _RegistryBody:
    """The content of a blob that only the registry has, read from a repository that holds it."""

    client: RegistryClient
    repository: str
    blob: Descriptor

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        with self.client.get_blob(self.repository, self.blob) as stream:
            yield from self.blob.verified(stream)
