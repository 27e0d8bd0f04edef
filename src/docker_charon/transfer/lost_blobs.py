"""The blobs of images that their registries have lost, found before anything is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from docker_charon.errors import BlobNotFound, DockerCharonError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.unreadable_blobs import UnreadableBlobs
from docker_charon.progress import Progress, ProgressArgument
from docker_charon.registry.blobs import BlobState
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.present_blobs import PresentBlobs
from docker_charon.transfer.shared_blobs import SharedBlobs
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers


class LostBlobs:
    """Finds blobs that no repository has; each repository is asked once for each blob."""

    def __init__(self, sources: Sources, workers: Workers, progress: ProgressArgument) -> None:
        self._sources = sources
        self._present = PresentBlobs(sources, workers)
        self._progress = progress

    def check(self, blobs: Mapping[Descriptor, str], shared_blobs: SharedBlobs) -> None:
        """Raise `UnreadableBlobs` if blobs are lost.

        ``blobs`` have the repository to ask first, and ``shared_blobs`` knows the others. A blob
        about which a registry gives no answer is not lost. Raises as `Sources.blob_state` does.
        """
        needed_blobs = [RepositoryBlob(repository, blob) for blob, repository in blobs.items()]
        with Progress("asking", {}, {}, self._progress, note=self._sources.registry):
            self._present.ask(needed_blobs, to_push=False)
            lost = self._lost(needed_blobs, shared_blobs)
        if lost:
            raise UnreadableBlobs(lost)

    def _lost(
        self, needed_blobs: Iterable[RepositoryBlob], shared_blobs: SharedBlobs
    ) -> dict[Digest, DockerCharonError]:
        """Return an error for each blob that no repository has."""
        lost: dict[Digest, DockerCharonError] = {}
        for needed in needed_blobs:
            state = self._present.state(needed)
            others = (
                RepositoryBlob(name, needed.blob)
                for name in shared_blobs.repositories(needed.digest)
            )
            if state.needs_upload and all(self._present.state(b).needs_upload for b in others):
                lost[needed.digest] = self._error(needed, state)
        return lost

    def _error(self, needed: RepositoryBlob, state: BlobState) -> BlobNotFound:
        registry, repository = self._sources.locate(needed.repository)
        problem = "has a damaged blob" if state is BlobState.DAMAGED else "has no blob"
        return BlobNotFound(
            f"{registry} {problem} {needed.digest} in {repository}",
            hint="push the image again there",
        )
