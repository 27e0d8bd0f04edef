"""Pushing manifests: what lies below goes first, tags go last."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from docker_charon.errors import ManifestNotFound, RegistryError
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage, Referrer, SkippedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.referrers import fallback_tag, with_referrers
from docker_charon.registry.client import RegistryClient
from docker_charon.workers import Workers

_TRIES = 3  # at a list that somebody else writes at the same time

Place = tuple[str, Digest]
"""A manifest in a repository."""


def put_manifests(
    client: RegistryClient, deliveries: Sequence[NamedImage | SkippedImage], workers: Workers
) -> None:
    """Put the manifests of images whose blobs are there, and of what refers to them.

    A tag is set when all that it leads to, and all that refers to that, is in its place: whoever
    looks for a signature as soon as there is an image finds it.
    """
    _Putting(client, workers).put(deliveries)


class _Putting:
    """One push's manifests."""

    def __init__(self, client: RegistryClient, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._unlisted: dict[Place, list[Manifest]] = {}

    def put(self, deliveries: Sequence[NamedImage | SkippedImage]) -> None:
        images = [one for one in deliveries if isinstance(one, NamedImage)]
        self._put_below(deliveries)
        self._put_all(
            {
                (named.reference.repository, named.image.root.digest): named.image.root
                for named in images
                if named.referrers
            }
        )
        referrers = {
            (one.reference.repository, referrer.manifest.digest, referrer.tag): referrer
            for one in deliveries
            for referrer in one.referrers
        }
        self._workers.map(lambda key: self._put_referrer(key[0], referrers[key]), referrers)
        self._list_referrers()
        self._workers.map(self._tag, images)
        self._list_referrers()

    def _put_below(self, deliveries: Sequence[NamedImage | SkippedImage]) -> None:
        """Put what lies below images and referrers."""
        below = {
            (one.reference.repository, manifest.digest): manifest
            for one in deliveries
            for image in one.graphs
            for manifest in image.manifests[:-1]
        }
        self._put_all({place: m for place, m in below.items() if not m.is_index})
        for place, manifest in below.items():
            if manifest.is_index:
                self._put(place, place[1], manifest)  # one after the other: they may be nested

    def _put_all(self, manifests: dict[Place, Manifest]) -> None:
        self._workers.map(lambda place: self._put(place, place[1], manifests[place]), manifests)

    def _put(self, place: Place, reference: str, manifest: Manifest) -> None:
        """Put a manifest; remember it if the registry does not list it as a referrer."""
        repository, _ = place
        lists = self._client.put_manifest(repository, reference, manifest)
        if manifest.subject is not None and not lists:
            place = repository, manifest.subject.digest
            self._unlisted.setdefault(place, []).append(manifest)

    def _put_referrer(self, repository: str, referrer: Referrer) -> None:
        place = repository, referrer.manifest.digest
        if referrer.tag is None:
            self._put(place, referrer.manifest.digest, referrer.manifest)
        elif self._may_replace(repository, referrer.tag, referrer.manifest):
            self._put(place, referrer.tag, referrer.manifest)

    def _may_replace(self, repository: str, tag: str, new: Manifest) -> bool:
        """Whether a tag of cosign's is to be set: signatures of others must not be lost."""
        try:
            there = self._client.get_manifest(repository, tag)
        except ManifestNotFound:
            return True
        if there.digest == new.digest:
            return False
        lost = {blob.digest for blob in there.blobs[1:]} - {blob.digest for blob in new.blobs}
        if lost:
            warnings.warn(
                f"{self._client.registry} has {repository}:{tag} with content that the payload's "
                "lacks: it stays as it is",
                UserWarning,
                stacklevel=2,
            )
        return not lost

    def _tag(self, named: NamedImage) -> None:
        repository, target = named.reference.repository, named.reference.target
        # A tag that is right already stays untouched: it may be an immutable one.
        root = named.image.root
        if self._client.head_manifest(repository, target, to_push=True) != root.digest:
            self._put((repository, root.digest), target, root)

    def _list_referrers(self) -> None:
        """Keep the lists of referrers that the registry does not keep itself.

        Distribution-spec 1.1, "Pushing Manifests with Subject", for registries without the API.
        """
        unlisted, self._unlisted = self._unlisted, {}
        self._workers.map(lambda item: self._list(item[0], item[1]), unlisted.items())

    def _list(self, place: Place, manifests: Sequence[Manifest]) -> None:
        repository, subject = place
        tag = fallback_tag(subject)
        for _ in range(_TRIES):
            try:
                there = self._client.get_manifest(repository, tag)
            except ManifestNotFound:
                there = None
            if there is not None and not there.is_index:
                raise RegistryError(
                    f"{self._client.registry} has {repository}:{tag}, and it is no list of "
                    "referrers",
                    hint="give that tag another name there",
                )
            listed = with_referrers(there, manifests)
            if listed is None:
                return
            self._client.put_manifest(repository, tag, listed)
        # What another client wrote meanwhile is read again, and has ours in it, or had it.
        if with_referrers(self._client.get_manifest(repository, tag), manifests) is not None:
            raise RegistryError(
                f"{self._client.registry} does not keep what is put as {repository}:{tag}",
                hint="push again when nobody else does",
            )
