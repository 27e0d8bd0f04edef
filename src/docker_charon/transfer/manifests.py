"""The manifests of a push: children first, then indexes, then referrers, tags last."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

from docker_charon.errors import DockerCharonError, ManifestNotFound, RegistryError
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.oci.referrers import cosign_tags
from docker_charon.registry.client import UNKNOWN_PART, RegistryClient
from docker_charon.registry.errors import ends_all
from docker_charon.registry.retry import WHEN_ASKING
from docker_charon.transfer.blobs import BlobSender
from docker_charon.transfer.outcome import Outcome, Part
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.referrer_lists import ReferrerLists
from docker_charon.transfer.results import Results
from docker_charon.workers import Workers

_Place = tuple[str, str, Digest]
"""A repository, a tag or digest in it, and the digest of the manifest that is put there."""


class ManifestSender:
    """Puts manifests; their blobs must be there. Nothing is put that is there already.

    A tag is set after everything below the image, and after all its referrers: a client that finds
    the image also finds its signatures. A manifest that the registry refuses is a failure of the
    parts that it belongs to. ``arrived`` is called with the name of each image whose tag is set,
    and with whether it had to be set.
    """

    def __init__(
        self,
        client: RegistryClient,
        workers: Workers,
        outcome: Outcome,
        blobs: BlobSender,
        arrived: Callable[[str, bool], None],
    ) -> None:
        self._client = client
        self._workers = workers
        self._outcome = outcome
        self._blobs = blobs
        self._arrived = arrived
        self._lists = ReferrerLists(client)
        # Images may share referrers, and even a tag: each step is done once.
        self._ensured: Results[_Place, bool] = Results()
        self._replaced: Results[_Place, None] = Results()
        self._tagged: Results[_Place, bool] = Results()
        self._manifests = {
            _by_digest(part, manifest): manifest
            for part in outcome.parts
            for manifest in part.graph.manifests
        }

    def put_all(self) -> None:
        """Put the manifests of all parts that have not failed."""
        parts = self._outcome.parts
        images = [part for part in parts if part.referrer is None]
        referrers = [part for part in parts if part.referrer is not None]
        self._put_children(parts)
        subjects = {referrer.image.name for referrer in referrers}
        self._each(self._put_root, [part for part in images if part.image.name in subjects])
        for level in _levels(referrers):
            self._each(self._put_referrer, level)
            self._add_to_lists()
        self._each(self._set_tag, images)
        self._add_to_lists()

    def _each(self, put: Callable[[Part], None], parts: Sequence[Part]) -> None:
        """Call ``put`` for the parts that have not failed; its errors are failures of the part."""

        def attempt(part: Part) -> None:
            try:
                put(part)
            except DockerCharonError as error:
                self._outcome.fail([part], error)

        self._workers.map(attempt, self._outcome.remaining(parts))

    def _put_children(self, parts: Sequence[Part]) -> None:
        """Put the manifests below images and referrers."""
        owners: dict[Reference, list[Part]] = {}
        for part in parts:
            for manifest in part.graph.manifests[:-1]:
                owners.setdefault(_by_digest(part, manifest), []).append(part)

        def put(reference: Reference) -> None:
            if self._outcome.remaining(owners[reference]):
                try:
                    self._ensure(reference, self._manifests[reference])
                except DockerCharonError as error:
                    self._outcome.fail(owners[reference], error)

        self._workers.map(put, [r for r in owners if not self._manifests[r].is_index])
        for reference in owners:
            if self._manifests[reference].is_index:
                put(reference)  # one after the other: an index may contain another

    def _put_root(self, part: Part) -> None:
        """Put an image by its digest, for the referrers."""
        root = part.graph.root
        self._ensure(_by_digest(part, root), root)

    def _put_referrer(self, part: Part) -> None:
        """Put a referrer by digest or, as cosign does, by tag."""
        reference, root = part.reference, part.graph.root

        def replace() -> None:
            if self._may_replace(reference, root):
                self._put(reference, root)

        if reference.tag is None:
            self._ensure(reference, root)
        else:
            self._replaced.of(_place(reference, root), replace)

    def _set_tag(self, part: Part) -> None:
        """Put an image under its tag, and check that the registry has it there."""
        reference, root = part.reference, part.graph.root
        place = _place(reference, root)

        def put() -> bool:
            was_put = self._ensured.known(place)  # an image without a tag that has referrers
            # A tag that is right may be immutable. If blobs were missing, it can hardly be there.
            has_sent_blobs = any(map(self._blobs.has_stored, part.blobs))
            is_new = was_put or has_sent_blobs or not self._is_right(reference, root)
            if is_new:
                if not was_put:
                    self._put(reference, root)
                self._client.check_manifest(reference.repository, reference.target, root)
            return is_new

        self._arrived(part.image.name, self._tagged.of(place, put))

    def _ensure(self, reference: Reference, manifest: Manifest) -> None:
        """Put a manifest by its digest unless it is there; remember whether it was put."""

        def ensure() -> bool:
            if self._is_there(reference):
                self._lists.check(reference.repository, manifest)
                return False
            self._put(reference, manifest)
            return True

        self._ensured.of(_place(reference, manifest), ensure)

    def _is_there(self, reference: Reference) -> bool:
        try:
            repository, digest = reference.repository, reference.target
            return self._client.head_manifest(repository, digest, to_push=True) is not None
        except DockerCharonError as error:
            if ends_all(error):
                raise
            return False  # an error does not say whether it is there

    def _is_right(self, reference: Reference, manifest: Manifest) -> bool:
        """Whether the registry has this manifest under this tag or digest."""
        present = self._present(reference)
        return present is not None and present.content == manifest.content

    def _present(self, reference: Reference) -> Manifest | None:
        """Return the manifest under a tag or digest; ``None`` if there is none, or no answer."""
        try:
            return self._client.get_manifest(
                reference.repository, reference.target, to_push=True, statuses=WHEN_ASKING
            )
        except DockerCharonError as error:
            if ends_all(error):
                raise
            return None

    def _put(self, reference: Reference, manifest: Manifest) -> None:
        """Put a manifest by tag or digest, and first the parts that the registry says it lacks."""
        repository, target = reference.repository, reference.target
        try:
            try:
                is_listed = self._client.put_manifest(
                    repository, target, manifest, waits_for_parts=False
                )
            except RegistryError as error:
                if not self._send_parts(repository, manifest, error):
                    raise
                is_listed = self._client.put_manifest(repository, target, manifest)
        except RegistryError as error:
            # Another client may have put it first, which some registries answer with an error.
            present = None if ends_all(error) else self._present(reference)
            if present is None or present.content != manifest.content:
                if present is not None and reference.tag is not None and not error.hint:
                    error.hint = (
                        f"{present.digest} has this tag there, and the registry may not let it be "
                        "replaced: remove it there, or transfer this image under another tag"
                    )
                raise
            self._lists.check(repository, manifest)
        else:
            if not is_listed:
                self._lists.add(repository, manifest)

    def _send_parts(self, repository: str, manifest: Manifest, error: RegistryError) -> bool:
        """Send the parts that the registry lacks of a manifest, which it refused with ``error``.

        Return whether the manifest is worth another try. The registry may have said before that it
        has these parts, or it may be slow to see what it has just stored.
        """
        blobs = [blob for blob in manifest.blobs if blob.digest in error.digests]
        children = [child for child in manifest.manifests if child.digest in error.digests]
        if error.code not in UNKNOWN_PART and not (blobs or children):
            return False
        if not (blobs or children):  # the answer does not name them
            blobs, children = list(manifest.blobs), list(manifest.manifests)
        for needed in dict.fromkeys(RepositoryBlob(repository, blob) for blob in blobs):
            if not self._blobs.has_stored(needed) and not self._blobs.send_again(needed):
                return False
        for child in children:
            reference = Reference(repository, None, child.digest)
            self._put(reference, self._manifests[reference])
        return True

    def _may_replace(self, reference: Reference, new: Manifest) -> bool:
        """Whether one of cosign's tags may be set: other signatures under it must not be lost."""
        repository, tag = reference.repository, reference.target
        try:
            present = self._client.get_manifest(repository, tag, to_push=True)
        except ManifestNotFound:
            return True
        if present.digest == new.digest:
            return False
        lost = {blob.digest for blob in present.layers} - {blob.digest for blob in new.blobs}
        if lost:
            warnings.warn(
                f"{self._client.registry} has content under {repository}:{tag} that the payload "
                "lacks; the tag is left unchanged",
                UserWarning,
                stacklevel=2,
            )
        return not lost

    def _add_to_lists(self) -> None:
        """Add referrers to the lists that the registry does not keep itself.

        A referrer of several images is listed once, and if that fails, it fails for all of them.
        """
        by_root: dict[tuple[str, Digest], list[Part]] = {}
        for part in self._outcome.parts:
            by_root.setdefault((part.repository, part.graph.root.digest), []).append(part)

        def update(item: tuple[Reference, Mapping[Digest, Manifest]]) -> None:
            subject, referrers = item
            try:
                self._lists.update(subject, list(referrers.values()))
            except DockerCharonError as error:
                owners = (by_root.get((subject.repository, digest), []) for digest in referrers)
                self._outcome.fail([part for several in owners for part in several], error)

        self._workers.map(update, self._lists.take().items())


def _levels(referrers: Sequence[Part]) -> list[list[Part]]:
    """Return referrers level by level: those of images, those of these referrers, and so on."""
    levels: list[list[Part]] = []
    level_of: dict[tuple[str, str], int] = {}
    for part in referrers:
        subject, name = part.graph.root.subject_digest, part.image.name
        level = level_of.get((name, part.reference.tag or subject or ""), 0)
        for manifest in part.graph.manifests:
            for target in (manifest.digest, *cosign_tags(manifest.digest)):
                level_of[name, target] = level + 1
        if level == len(levels):
            levels.append([])
        levels[level].append(part)
    return levels


def _place(reference: Reference, manifest: Manifest) -> _Place:
    """Return where a manifest is put, and its digest."""
    return reference.repository, reference.target, manifest.digest


def _by_digest(part: Part, manifest: Manifest) -> Reference:
    """Return how a manifest is named by its digest in the repository of a part."""
    return Reference(part.repository, None, manifest.digest)
