"""A survey: what a registry has of a payload, asked before anything is written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from docker_charon.errors import (
    BlobNotFound,
    DigestMismatch,
    DockerCharonError,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import argument, get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import PayloadImage, SkippedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.reader import Payload
from docker_charon.progress import counted
from docker_charon.registry.blobs import BlobState
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.errors import ends_all
from docker_charon.transfer.plan import RepositoryBlob, needed_blobs
from docker_charon.transfer.present_blobs import PresentBlobs
from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.transfer.results import Results
from docker_charon.workers import Workers

_log = get_logger(__name__)

_QUESTIONS = 2000
"""Blobs of repositories that the registry is asked for, whatever the payload.

A larger payload may cause as many questions as its manifests refer to blobs, each manifest once.
"""
_NOT_FOR_PULLS = 412
"""The status of a manifest that is there, and that a policy keeps back, as Harbor can do it."""
_MOST_HOMES = 20
"""Other repositories that are asked for one blob."""


class Survey:
    """What a registry has of a payload, whose repositories are at ``destinations`` there."""

    def __init__(
        self,
        client: RegistryClient,
        payload: Payload,
        destinations: Destinations,
        workers: Workers,
    ) -> None:
        self._client = client
        self._payload = payload
        self._destinations = destinations
        self._workers = workers
        manifests = {
            manifest.digest: manifest
            for image in payload.all_images
            for graph in image.known_graphs
            for manifest in graph.manifests
        }
        references = sum(len(manifest.blobs) for manifest in manifests.values())
        self._present = PresentBlobs(client, workers, max(_QUESTIONS, references))
        self._digests: Results[tuple[str, str], Digest | None] = Results()
        self.doubtful: frozenset[RepositoryBlob] = frozenset()
        """Blobs that the registry has damaged, or about which it gave no answer."""
        self.unknown: frozenset[RepositoryBlob] = frozenset()
        """Those of ``doubtful`` about which it gave no answer."""

    def knows(self, needed: RepositoryBlob) -> bool | None:
        """Return whether a repository had a blob; ``None`` if there was no answer."""
        return self._present.knows(needed)

    def missing_images(self, skipped: Sequence[SkippedImage]) -> dict[str, RegistryError]:
        """Return an error for each skipped image that the registry lacks, by the image's name."""
        self._present.ask(
            (blob for image in skipped for blob in self._expected(image)), to_push=False
        )
        errors = self._workers.map(self._check_skipped, skipped)
        return {
            image.name: error
            for image, error in zip(skipped, errors, strict=True)
            if error is not None
        }

    def has_manifest(self, named: tuple[Reference, Manifest]) -> bool:
        """Return whether the registry says to have a manifest under a name."""
        reference, manifest = named
        place = reference.repository, reference.target  # which several images may share
        try:
            digest = self._digests.of(place, lambda: self._client.head_manifest(*place))
        except DockerCharonError:
            return False  # a question that fails, or a wrong answer, does not say that it is there
        return digest is not None and manifest.has_digest(digest)

    def _expected(self, skipped: SkippedImage) -> list[RepositoryBlob]:
        """Return the blobs that the registry must have for a skipped image, as far as known."""
        repository = skipped.reference.repository
        return [
            RepositoryBlob(repository, blob)
            for blob in (skipped.image.blobs if skipped.image else ())
            if blob.digest not in self._payload.non_distributable
        ]

    def holders(self, images: Sequence[PayloadImage]) -> dict[Digest, list[str]]:
        """Return the repositories that have each blob that the images need.

        Only the repositories of the images are asked. Those that the payload names are asked for
        blobs that neither the payload nor an image's repository has.
        """
        needed_by_images = needed_blobs(images)
        self._present.ask(needed_by_images, to_push=True)
        holders: dict[Digest, list[str]] = {}
        blobs: dict[Digest, Descriptor] = {}
        for needed in needed_by_images:
            blobs[needed.digest] = needed.blob
            repositories = holders.setdefault(needed.digest, [])
            if self._present.has(needed):
                repositories.append(needed.repository)
        states = {needed: self._present.state(needed) for needed in needed_by_images}
        self.unknown = frozenset(n for n, state in states.items() if state is BlobState.UNKNOWN)
        self.doubtful = self.unknown | {
            needed for needed, state in states.items() if state is BlobState.DAMAGED
        }
        unavailable = [
            blob
            for digest, blob in blobs.items()
            if not holders[digest] and digest not in self._payload.carried
            if digest not in self._payload.deltas
        ]
        most_homes = min(_MOST_HOMES, max(1, _QUESTIONS // max(1, len(unavailable))))
        named = self._payload.at_destination
        others = self._workers.map(
            lambda blob: self._other_repository(blob, named.get(blob.digest, ()), most_homes),
            unavailable,
        )
        for blob, repository in zip(unavailable, others, strict=True):
            if repository is not None:
                holders[blob.digest].append(repository)
        return holders

    def bases(self, digests: Iterable[Digest]) -> dict[Digest, str]:
        """Return the bases that blobs need and that the registry has, each with a repository.

        Blobs that do not come as deltas need none, and bases that the payload carries are not asked
        for. A base about which the registry gives no answer is taken for present.
        """
        named = self._bases_of(digests)
        self._present.check_bases(len(named))
        most = min(_MOST_HOMES, max(1, _QUESTIONS // max(1, len(named))))

        def repository_of(blob: Descriptor) -> str | None:
            present = self._other_repository(blob, named[blob], most)
            if present is not None:
                return present
            places = self._places(named[blob], most)
            knows = self._present.knows
            return next((p for p in places if knows(RepositoryBlob(p, blob)) is None), None)

        repositories = zip(named, self._workers.map(repository_of, named), strict=True)
        return {blob.digest: name for blob, name in repositories if name is not None}

    def _bases_of(self, digests: Iterable[Digest]) -> dict[Descriptor, tuple[str, ...]]:
        """Return the bases of blobs, and the bases of these, with the repositories named there."""
        deltas, carried = self._payload.deltas, self._payload.carried
        bases: dict[Descriptor, tuple[str, ...]] = {}
        waiting = list(digests)
        seen: set[Digest] = set()
        while waiting:
            delta = deltas.get(waiting.pop())
            for digest, base in delta.bases.items() if delta is not None else ():
                if digest not in seen and digest not in carried:
                    seen.add(digest)
                    bases[Descriptor("", digest, base.size)] = base.repositories
                    waiting.append(digest)
        return bases

    def _other_repository(self, blob: Descriptor, named: Sequence[str], most: int) -> str | None:
        """Return a repository that has the blob, of the first ``most`` that the payload names."""
        for repository in self._places(named, most):
            if self._present.has(RepositoryBlob(repository, blob)):
                return repository
        return None

    def _places(self, named: Sequence[str], most: int) -> list[str]:
        """Return where the first ``most`` of some repositories may be, the likely places first."""
        candidates = [self._destinations.candidates(repository) for repository in named[:most]]
        likely = (names[0] for names in candidates if names)
        in_turn = dict.fromkeys((*likely, *sum(candidates, ())))
        return list(itertools.islice(in_turn, most))

    def _check_skipped(self, skipped: SkippedImage) -> RegistryError | None:
        """Return an error if the registry does not have a skipped image as it was at the source."""
        try:
            return self._compare(skipped)
        except RegistryError as error:
            if ends_all(error):
                raise
            return error
        except (InvalidManifest, DigestMismatch) as error:
            return self._not_found(f"has a damaged manifest in {skipped.name}: {error}")

    def _compare(self, skipped: SkippedImage) -> RegistryError | None:
        client, repository = self._client, skipped.reference.repository
        try:
            root = client.get_manifest(repository, skipped.reference.target)
        except (ManifestNotFound, InvalidManifest):
            return self._not_found(
                f"does not have {skipped.name}, which was given as already transferred when the "
                "payload was made"
            )
        except RegistryError as error:
            if error.status != _NOT_FOR_PULLS:
                raise
            _log.warning(
                "%s is taken to be there, but cannot be looked at: %s", skipped.name, error
            )
            return self._without_blobs(skipped)
        if skipped.image is None:
            return None
        expected = skipped.image.root
        if root.content != expected.content:
            return self._not_found(
                f"has {root.digest} as {skipped.name}, which was {expected.digest} when the "
                "payload was made"
            )
        for manifest in skipped.image.manifests[:-1]:
            if client.head_manifest(repository, manifest.digest) is None:
                return self._not_found(f"has {skipped.name} without its manifest {manifest.digest}")
        return self._without_blobs(skipped)

    def _without_blobs(self, skipped: SkippedImage) -> RegistryError | None:
        """Return an error if the registry lacks blobs of a skipped image, as far as known."""
        missing = [
            needed.blob for needed in self._expected(skipped) if not self._present.has(needed)
        ]
        return self.incomplete(skipped.name, missing) if missing else None

    def _hint(self, missing: Iterable[Digest]) -> str:
        """Return what to do about missing blobs: the payload may say which delivery had them."""
        delivery = self._payload.delivery
        if delivery is None:
            return _hint()
        numbers = {delivery.brought[digest] for digest in missing if digest in delivery.brought}
        if not numbers:
            return _hint()
        *others, last = map(str, sorted(numbers))
        if others:
            lost = (
                f"deliveries {', '.join(others)} and {last} have not arrived there, or their "
                "content is gone: push them first"
            )
        else:
            lost = f"delivery {last} has not arrived there, or its content is gone: push it first"
        return (
            f"this is delivery {delivery.number}, and {lost}, or take the receipt of this push "
            f"({argument('--receipt', 'receipt=')}) back to where payloads are made"
        )

    def _not_found(self, problem: str) -> ManifestNotFound:
        return ManifestNotFound(f"{self._client.registry} {problem}", hint=_hint())

    def incomplete(self, name: str, missing: Sequence[Descriptor]) -> BlobNotFound:
        """Return the error for an image whose ``missing`` blobs nobody has."""
        registry, count = self._client.registry, len(missing)
        more = f" and {count - 1} more" if count > 1 else ""
        return BlobNotFound(
            f"{name} needs {counted(count, 'blob')} that {registry} lacks ({missing[0].digest}"
            f"{more}); the payload was made as if {registry} had {'them' if more else 'it'}",
            hint=self._hint(blob.digest for blob in missing),
        )

    def without_bases(self, name: str, missing: Mapping[Digest, Sequence[Digest]]) -> BlobNotFound:
        """Return the error for an image with blobs that come as deltas, whose bases are missing."""
        digest, bases = next(iter(missing.items()))
        more = f" (and {len(missing) - 1} more like it)" if len(missing) > 1 else ""
        return BlobNotFound(
            f"{name} needs {digest}, which the payload carries as its difference to older layers, "
            f"and {self._client.registry} lacks {' and '.join(bases[:3])}{more}",
            hint=self._hint(base for several in missing.values() for base in several),
        )


def _hint() -> str:
    """Return what to do if the registry lacks what the payload expects there."""
    options = argument("--repository-prefix and --map", "repository_prefix and repository_map")
    inventory = argument("make-inventory", "make_inventory")
    return (
        f"push the earlier payload first, with the same {options}, or make this payload again from "
        f"an inventory of that registry ({inventory})"
    )
