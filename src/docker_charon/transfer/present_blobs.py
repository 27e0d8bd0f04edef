"""Present blobs: what the repositories of a registry have, each blob asked for once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docker_charon.errors import PayloadError
from docker_charon.registry.blobs import BlobState
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.results import Results
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers


class PresentBlobs:
    """What the repositories of a registry have of blobs; the registry is asked once for each.

    Once it has said that it does not have a repository, it is asked for no other blob there.
    ``most`` is the number of questions that `ask` takes at once.
    """

    def __init__(
        self, client: RegistryClient | Sources, workers: Workers, most: int | None = None
    ) -> None:
        self._client = client
        self._workers = workers
        self._most = most
        self._states: Results[RepositoryBlob, BlobState] = Results()
        self._no_repositories: set[str] = set()

    def state(self, needed: RepositoryBlob, *, to_push: bool = False) -> BlobState:
        """Return what a repository has of a blob; ``to_push`` as in `blob_state`."""

        def ask() -> BlobState:
            if needed.repository in self._no_repositories:
                return BlobState.NO_REPOSITORY
            state = self._client.blob_state(needed.repository, needed.blob, to_push=to_push)
            if state is BlobState.NO_REPOSITORY:
                self._no_repositories.add(needed.repository)
            return state

        return self._states.of(needed, ask)

    def has(self, needed: RepositoryBlob) -> bool:
        """Whether a repository has a blob."""
        return self.state(needed) is BlobState.PRESENT

    def knows(self, needed: RepositoryBlob) -> bool | None:
        """Return whether a repository has a blob; ``None`` if there was no answer yet."""
        state = self._states.known(needed)
        return None if state in (None, BlobState.UNKNOWN) else state is BlobState.PRESENT

    def ask(self, blobs: Iterable[RepositoryBlob], *, to_push: bool) -> None:
        """Ask for several blobs at the same time, so that `has` knows the answers.

        The first blob of each repository goes before all others, because the answer may be that
        there is no such repository.
        """
        unknown = [needed for needed in dict.fromkeys(blobs) if needed not in self._states]
        self._check(unknown)
        first = set({needed.repository: needed for needed in reversed(unknown)}.values())
        for questions in (
            [needed for needed in unknown if needed in first],
            [needed for needed in unknown if needed not in first],
        ):
            self._workers.map(lambda needed: self.state(needed, to_push=to_push), questions)

    def _check(self, unknown: Sequence[RepositoryBlob]) -> None:
        """Refuse a payload that shares its blobs among so many names that this would never end."""
        if self._most is not None and len(unknown) > self._most:
            repositories = {needed.repository for needed in unknown}
            raise PayloadError(
                f"the payload needs {len(unknown):,} answers of {self._client.registry}, because "
                f"{len(repositories):,} repositories share its blobs, and at most {self._most:,} "
                "are asked for",
                hint="make several payloads with fewer names each",
            )

    def check_bases(self, bases: int) -> None:
        """Refuse a payload with so many bases of deltas that this would never end."""
        if self._most is not None and bases > self._most:
            raise PayloadError(
                f"the deltas in the payload need {bases:,} older layers, and at most "
                f"{self._most:,} are asked for",
                hint="make several payloads with fewer images each",
            )
