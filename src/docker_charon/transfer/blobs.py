"""The blobs of a push: uploads from the payload, then mounts inside the registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.reader import Payload
from docker_charon.progress import Progress
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.plan import Mount, PushPlan, RepositoryBlob
from docker_charon.workers import Workers


@dataclass(frozen=True, slots=True)
class BlobSender:
    """Sends blobs to a registry. Its progress has `RepositoryBlob` values as keys."""

    client: RegistryClient
    payload: Payload
    workers: Workers
    progress: Progress

    def send(self, plan: PushPlan) -> list[RepositoryBlob]:
        """Upload and mount the blobs of a plan, the largest first; return those uploaded.

        A mount that the registry refuses becomes an upload.
        """
        uploads: dict[Digest, list[RepositoryBlob]] = {}
        for upload in plan.uploads:
            uploads.setdefault(upload.digest, []).append(upload)
        for batch in self.payload.batches(uploads):
            self.workers.map(self._upload, [u for digest in batch for u in uploads[digest]])
        refused = self.workers.map(self._mount, plan.mounts)
        return [*plan.uploads, *(target for target in refused if target is not None)]

    def _upload(self, target: RepositoryBlob) -> None:
        self._send(target, self.payload.body(target.blob))

    def _mount(self, mount: Mount) -> RepositoryBlob | None:
        """Mount a blob; return its target if it had to be uploaded."""
        target = mount.target
        if self.client.mount_blob(target.repository, target.digest, source=mount.source):
            self.progress.finished(target)
            return None
        self.progress.grow(target.blob.size)
        if target.digest in self.payload.carried:
            self._upload(target)
        else:
            self._send(target, _RegistryBody(self.client, mount.source, target.blob))
        return target

    def _send(self, target: RepositoryBlob, body: Body) -> None:
        counted_body = _CountedBody(body, self.workers, self.progress)
        self.client.upload_blob(target.repository, target.blob, counted_body)
        self.progress.finished(target)


@dataclass(frozen=True, slots=True)
class _CountedBody:
    """A body that counts what is read of it, and stops when the workers are stopped."""

    body: Body
    workers: Workers
    progress: Progress

    def __len__(self) -> int:
        return len(self.body)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        size = 0
        try:
            for chunk in self.body:
                self.workers.check()
                yield chunk
                size += len(chunk)
                self.progress.moved(len(chunk))
        finally:
            if size < len(self.body):
                self.progress.moved(-size)  # a retry reads the body from its start


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
