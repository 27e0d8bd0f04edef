"""A survey: what a registry has of a payload, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docker_charon.errors import (
    AuthenticationError,
    BlobNotFound,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import SkippedImage
from docker_charon.oci.reference import prefixed
from docker_charon.payload.reader import Payload
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.plan import Delivery, blobs_to_ask_for
from docker_charon.workers import Workers

_HINT = "make the payload again without giving that image as already transferred"


class Survey:
    """What the registry has of a payload; everything is asked once."""

    def __init__(
        self, client: RegistryClient, payload: Payload, prefix: str, workers: Workers
    ) -> None:
        self._client = client
        self._payload = payload
        self._prefix = prefix
        self._workers = workers
        self._has: dict[tuple[str, Digest], bool] = {}

    def missing_images(self, skipped: Sequence[SkippedImage]) -> dict[str, RegistryError]:
        """Return what is wrong with the images that should be there, by name."""
        needed = ((one.reference.repository, b) for one in skipped for b in self._needed(one))
        self._ask(needed, to_push=False)
        errors = self._workers.map(self._check_skipped, skipped)
        return {
            one.name: error for one, error in zip(skipped, errors, strict=True) if error is not None
        }

    def _needed(self, skipped: SkippedImage) -> list[Descriptor]:
        """Return the blobs that a skipped image has there, as far as that is known."""
        blobs = skipped.image.blobs if skipped.image else ()
        return [blob for blob in blobs if blob.digest not in self._payload.non_distributable]

    def holders(self, deliveries: Sequence[Delivery]) -> dict[Digest, list[str]]:
        """Return the repositories that have a blob, as far as the push depends on it."""
        pairs = blobs_to_ask_for(deliveries)
        self._ask(pairs, to_push=True)
        holders: dict[Digest, list[str]] = {}
        blobs: dict[Digest, Descriptor] = {}
        for repository, blob in pairs:
            blobs[blob.digest] = blob
            found = holders.setdefault(blob.digest, [])
            if self._has[repository, blob.digest]:
                found.append(repository)
        homeless = [
            blob
            for digest, blob in blobs.items()
            if not holders[digest] and digest not in self._payload.carried
        ]
        homes = self._workers.map(self._elsewhere, homeless)
        for blob, home in zip(homeless, homes, strict=True):
            if home is not None:
                holders[blob.digest].append(home)
        return holders

    def _ask(self, pairs: Iterable[tuple[str, Descriptor]], *, to_push: bool) -> None:
        """Ask whether repositories have blobs; one of another size is none."""

        def ask(pair: tuple[str, Descriptor]) -> bool:
            repository, blob = pair
            size = self._client.head_blob(repository, blob.digest, to_push=to_push)
            return size == blob.size

        unknown = {
            (repository, blob.digest): (repository, blob)
            for repository, blob in pairs
            if (repository, blob.digest) not in self._has
        }
        self._has.update(zip(unknown, self._workers.map(ask, unknown.values()), strict=True))

    def _elsewhere(self, blob: Descriptor) -> str | None:
        """Return a repository that has the blob, of those that the payload names."""
        named = self._payload.at_destination.get(blob.digest, ())
        # An inventory knows them by their names there, with the prefix that they came under.
        for repository in dict.fromkeys(
            (*(prefixed(self._prefix, name) for name in named), *named)
        ):
            known = self._has.get((repository, blob.digest))
            if known is None:
                try:
                    known = self._client.head_blob(repository, blob.digest) == blob.size
                except AuthenticationError:
                    known = False  # it is somebody else's, or not there at all
            if known:
                return repository
        return None

    def _check_skipped(self, skipped: SkippedImage) -> RegistryError | None:
        client, reference = self._client, skipped.reference
        try:
            found = client.get_manifest(reference.repository, reference.target)
        except (ManifestNotFound, InvalidManifest):
            return ManifestNotFound(
                f"{client.registry} does not have {skipped.name}, which was given as already "
                "transferred when the payload was made",
                hint=_HINT,
            )
        if skipped.image is None:
            return None
        expected = skipped.image.root
        if found.content != expected.content:
            return ManifestNotFound(
                f"{client.registry} has {found.digest} as {skipped.name}, which was "
                f"{expected.digest} when the payload was made",
                hint=_HINT,
            )
        for manifest in skipped.image.manifests[:-1]:
            if client.head_manifest(reference.repository, manifest.digest) is None:
                return ManifestNotFound(
                    f"{client.registry} has {skipped.name} without its manifest {manifest.digest}",
                    hint=_HINT,
                )
        lacking = [
            blob
            for blob in self._needed(skipped)
            if not self._has[reference.repository, blob.digest]
        ]
        return self.incomplete(skipped.name, lacking) if lacking else None

    def incomplete(self, name: str, blobs: Sequence[Descriptor]) -> BlobNotFound:
        """Return what is wrong with an image that lacks some blobs."""
        more = f" and {len(blobs) - 1} more" if len(blobs) > 1 else ""
        return BlobNotFound(
            f"{self._client.registry} lacks the blob {blobs[0].digest}{more} of {name}, and the "
            "payload does not carry it",
            hint=_HINT,
        )
