"""The catalog of a layout that is being opened: its images, their children and their referrers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from docker_charon.errors import DockerCharonError, InvalidReference
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor
from docker_charon.server.layouts.layout_index import LayoutIndex
from docker_charon.server.manifest import StoredManifest
from docker_charon.server.store import Catalog

_log = get_logger(__name__)


class CatalogLoader:
    """Fills a catalog from ``index.json``. What cannot be served is logged.

    ``read`` returns the manifest with a digest and a media type; it raises `DockerCharonError` or
    ``OSError``. ``has_blob`` says whether the layout has a blob.
    """

    def __init__(
        self,
        catalog: Catalog,
        read: Callable[[Digest, str], StoredManifest],
        has_blob: Callable[[Digest], bool],
    ) -> None:
        self._catalog = catalog
        self._read = read
        self._has_blob = has_blob
        self._repositories: defaultdict[Digest, set[str]] = defaultdict(set)

    def load(self, index: LayoutIndex, payload: PayloadDescriptor | None) -> None:
        """Add what the index lists; ``payload`` is given if the layout is an unzipped payload."""
        for name, (reference, descriptor) in index.named.items():
            self._add(name, reference.repository, descriptor, reference.tag)
        self._add_referrers(index.unnamed)
        if payload is not None:
            self._add_cosign_tags(payload, index.unnamed)
        for descriptor in index.unnamed:
            if not self._repositories[descriptor.digest]:
                _log.warning(
                    "%s is not served: it has no name, and what it refers to is not here",
                    descriptor.digest,
                )

    def _add(self, name: str, repository: str, root: Descriptor, tag: str | None = None) -> None:
        """Add a manifest under a tag, with its child manifests; log what is missing."""
        waiting, missing = [root], []
        while waiting:
            descriptor = waiting.pop()
            if descriptor is not root and repository in self._repositories[descriptor.digest]:
                continue
            try:
                manifest = self._read(descriptor.digest, descriptor.media_type)
            except (DockerCharonError, OSError) as error:
                problem = "not served" if descriptor is root else "incomplete"
                _log.warning("%s is %s: a manifest cannot be read: %s", name, problem, error)
                continue
            self._catalog.add(repository, manifest, tag if descriptor is root else None)
            self._repositories[manifest.digest].add(repository)
            waiting.extend(manifest.manifests)
            missing += [digest for digest in manifest.blobs if not self._has_blob(digest)]
        if missing:
            _log.warning(
                "%s is incomplete: %d of its blobs are not here, the first is %s; "
                "push the payload that this one builds on",
                name,
                len(missing),
                missing[0],
            )

    def _add_referrers(self, unnamed: list[Descriptor]) -> None:
        """Add each manifest without a name to the repositories that have its subject."""
        by_subject: defaultdict[Digest, list[Descriptor]] = defaultdict(list)
        for descriptor in unnamed:
            try:
                subject = self._read(descriptor.digest, descriptor.media_type).subject
            except (DockerCharonError, OSError) as error:
                _log.warning("%s cannot be read: %s", descriptor.digest, error)
                continue
            if subject is not None:
                by_subject[subject].append(descriptor)
        waiting = [digest for digest in self._repositories if digest in by_subject]
        while waiting:
            subject = waiting.pop()
            for descriptor in by_subject[subject]:
                missing = self._repositories[subject] - self._repositories[descriptor.digest]
                for repository in missing:
                    self._add(descriptor.digest, repository, descriptor)
                if missing:
                    waiting.append(descriptor.digest)  # it may have referrers as well

    def _add_cosign_tags(self, payload: PayloadDescriptor, unnamed: list[Descriptor]) -> None:
        """Add the referrers that have a tag, which is in ``payload_descriptor.json``."""
        descriptors = {descriptor.digest: descriptor for descriptor in unnamed}
        for name, referrers in payload.referrers.items():
            try:
                repository = Reference.parse(name).repository
            except InvalidReference:
                continue  # with its registry in front; that its image is not served is logged
            for digest, tag in referrers:
                is_new = tag is not None and self._catalog.tagged(repository, tag) is None
                if is_new and digest in descriptors:
                    self._add(f"{repository}:{tag}", repository, descriptors[digest], tag)
