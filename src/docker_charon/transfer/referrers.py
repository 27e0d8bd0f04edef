"""The referrers of images: signatures, SBOMs and other artifacts that a registry lists or tags.

They are optional: a registry that does not answer the question does not end a transfer. A referrer
that it lists and cannot deliver does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from docker_charon.errors import (
    ConnectionFailed,
    DockerCharonError,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, Referrer
from docker_charon.oci.manifest import MANIFEST_TYPES, Manifest
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import cosign_tags, fallback_tag
from docker_charon.transfer.failed_images import FailedImages
from docker_charon.transfer.sources import Sources
from docker_charon.value import dataclass
from docker_charon.workers import Workers

Child = Callable[[Descriptor], Manifest]
"""Fetches a manifest by its descriptor."""

_T = TypeVar("_T")
_API = "the list of referrers"
_TAG = "the tag of the list of referrers"
_COSIGN = "the tags of cosign's signatures and attestations"

_DEEPEST = 10  # what refers to what refers to an image, and so on
_FEW, _MOST_EACH = 200, 50  # referrers in all, and for each manifest of the images
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A manifest that may have referrers: its repository, and the digests that it is known by."""

    repository: str
    digests: tuple[Digest, ...]

    @classmethod
    def of(cls, repository: str, image: Image) -> list[_Subject]:
        """Return the manifests of an image: each may be the subject of referrers."""
        return [cls(repository, manifest.digests) for manifest in image.manifests]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digests[0]}"


class _WithoutEnd(RegistryError):
    """A registry lists more referrers than images can have."""


class ReferrerFinder:
    """Finds the referrers of images at their registries. ``child`` fetches from a repository.

    Images whose referrers cannot be read are added to ``failed``, if that is given.
    """

    def __init__(
        self,
        sources: Sources,
        workers: Workers,
        child: Callable[[str], Child],
        failed: FailedImages | None = None,
    ) -> None:
        self._sources = sources
        self._failed = failed
        self._workers = workers
        self._child = child
        self._warned: set[tuple[str, str]] = set()
        self._unavailable: set[tuple[str, str]] = set()
        self._errors: dict[_Subject, DockerCharonError] = {}
        self._most = self._count = 0
        self._lock = threading.Lock()

    def find(self, images: Mapping[Reference, Image]) -> dict[Reference, tuple[Referrer, ...]]:
        """Return what refers to the images or to manifests below them, and what refers to that.

        A question that the registry refuses is logged as a warning, and so is a referrer of a kind
        that cannot be transferred. Raises `ManifestNotFound` for a referrer that it lists and does
        not have, and for a list of which only a part arrives, and `RegistryError` for referrers
        without end. With ``failed``, the images of such errors, except for the last, are added to
        it instead, and are not in the result.
        """
        referrers: dict[_Subject, list[Referrer]] = {}
        subjects = [
            subject
            for reference, image in images.items()
            for subject in _Subject.of(reference.repository, image)
        ]
        self._most, self._count = _FEW + _MOST_EACH * len(set(subjects)), 0
        depth = 0
        while new := [subject for subject in dict.fromkeys(subjects) if subject not in referrers]:
            depth += 1
            if depth > _DEEPEST:
                what = f"chains of more than {_DEEPEST} referrers"
                raise self._endless(new[0].repository, what)
            referrers.update(zip(new, self._workers.map(self._attempted, new), strict=True))
            subjects = [
                subject_below
                for subject in new
                for referrer in referrers[subject]
                for subject_below in _Subject.of(subject.repository, referrer.image)
            ]

        def all_referrers(repository: str, image: Image) -> tuple[Referrer, ...]:
            unique: dict[tuple[Digest, str | None], Referrer] = {}
            graphs = [image]
            for graph in graphs:  # it grows meanwhile
                for subject in _Subject.of(repository, graph):
                    if subject in self._errors:
                        raise self._errors[subject]
                    for referrer in referrers[subject]:
                        key = referrer.manifest.digest, referrer.tag
                        if key not in unique:
                            unique[key] = referrer
                            graphs.append(referrer.image)
            return tuple(unique.values())

        complete: dict[Reference, tuple[Referrer, ...]] = {}
        for reference, image in images.items():
            try:
                complete[reference] = all_referrers(reference.repository, image)
            except DockerCharonError as error:
                if self._failed is None:
                    raise
                self._failed.add(reference, error)
        return complete

    def _attempted(self, subject: _Subject) -> list[Referrer]:
        """Fetch what refers to one manifest; keep an error that concerns only its image."""
        try:
            return self._direct(subject)
        except DockerCharonError as error:
            if (
                self._failed is None
                or isinstance(error, _WithoutEnd)
                or not self._failed.is_of_one_image(error, subject.repository)
            ):
                raise
            self._errors[subject] = error
            return []

    def _direct(self, subject: _Subject) -> list[Referrer]:
        """Fetch what refers to one manifest: what the registry lists, and cosign's tags."""
        child = self._child(subject.repository)
        listed = [self._listed(subject, digest) for digest in subject.digests]
        unique = {descriptor.digest: descriptor for several in listed for descriptor in several}
        self._take(subject.repository, len(unique))
        manifests: list[tuple[Manifest, str | None]] = []
        for descriptor in unique.values():
            if descriptor.media_type and descriptor.media_type not in MANIFEST_TYPES:
                _log.warning(
                    "%s@%s, which refers to %s, is left out: only manifests of OCI and Docker can "
                    "be transferred, and its media type is %s",
                    subject.repository,
                    descriptor.digest,
                    subject.digests[0],
                    descriptor.media_type[:100],
                )
                continue
            manifest = self._announced(subject, descriptor, child)
            if manifest.subject_digest in subject.digests:
                manifests.append((manifest, None))
            else:
                _log.warning(
                    "%s@%s is left out: it is listed among the referrers of %s but does not refer "
                    "to it",
                    subject.repository,
                    descriptor.digest,
                    subject.digests[0],
                )
        for tag in (tag for digest in subject.digests for tag in cosign_tags(digest)):
            tagged = self._tagged(subject.repository, tag, _COSIGN)
            if tagged is not None:
                self._take(subject.repository, 1)
                manifests.append((tagged, tag))
        return [Referrer(Image.collect(manifest, child), tag) for manifest, tag in manifests]

    def _take(self, repository: str, count: int) -> None:
        """Count referrers; raise an error if there are too many."""
        with self._lock:
            self._count += count
            if self._count > self._most:
                what = f"more than {self._most:,} referrers of these images"
                raise self._endless(repository, what)

    def _endless(self, repository: str, what: str) -> _WithoutEnd:
        registry, _ = self._sources.locate(repository)
        return _WithoutEnd(f"{registry} lists {what}", hint="make the payload without referrers")

    def _announced(self, subject: _Subject, descriptor: Descriptor, child: Child) -> Manifest:
        """Fetch a referrer that is on the list."""
        try:
            return child(descriptor)
        except ManifestNotFound:
            registry, _ = self._sources.locate(subject.repository)
            raise ManifestNotFound(
                f"{registry} lists {descriptor.digest} among the referrers of "
                f"{subject}, and does not have it",
                hint="make the payload without referrers, or push that referrer again",
            ) from None

    def _listed(self, subject: _Subject, digest: Digest) -> Iterable[Descriptor]:
        """Return the list of referrers: the registry's, or that of clients where it has none."""
        repository = subject.repository
        listed = self._ask(repository, _API, lambda: self._sources.referrers(repository, digest))
        if listed is not None:
            return listed
        index = self._tagged(repository, fallback_tag(digest), _TAG)
        # Some registries take this tag for the digest of the subject.
        if index is None or index.digest in subject.digests or not index.is_index:
            return ()
        return (*index.manifests, *index.layers)

    def _tagged(self, repository: str, tag: str, question: str) -> Manifest | None:
        """Return the manifest under a tag, or ``None`` if none is there, or none can be read."""
        try:
            return self._ask(
                repository, question, lambda: self._sources.get_manifest(repository, tag)
            )
        except ManifestNotFound:
            return None
        except InvalidManifest as error:
            self._warn(repository, question, error)
            return None

    def _ask(self, repository: str, question: str, ask: Callable[[], _T]) -> _T | None:
        """Return an answer, or ``None`` if the registry refuses one; a warning says so once."""
        if (repository, question) in self._unavailable:
            return None
        try:
            return ask()
        except ManifestNotFound:
            raise
        except RegistryError as error:
            refusal = error
        if isinstance(refusal, ConnectionFailed) or (refusal.status or 0) >= 500:
            self._unavailable.add((repository, question))  # each try would take long
        self._warn(repository, question, refusal)
        return None

    def _warn(self, repository: str, question: str, error: DockerCharonError) -> None:
        if (repository, question) not in self._warned:
            self._warned.add((repository, question))
            _log.warning(
                "%s: %s cannot be read, so there may be referrers that are not carried: %s",
                repository,
                question,
                error.message,
            )
