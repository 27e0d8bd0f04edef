"""A registry in memory that checks everything; it replaces the client of a real one.

What arrives is hashed again, and a manifest is taken only when all that it refers to is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from docker_charon.errors import BlobNotFound, ManifestNotFound
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import Manifest
from docker_charon.registry.blobs import BlobState
from images import TestImage, digest_of


class Destination:
    """Content by repository and digest, and tags; it stands in for `open_registry`, as a call."""

    registry = "the destination"

    def __init__(self, there: Mapping[str, TestImage]) -> None:
        self.contents: dict[tuple[str, str], bytes] = {}
        self.tags: dict[tuple[str, str], bytes] = {}
        for name, one in there.items():
            repository, _, tag = name.partition(":")
            for digest, content in one.contents().items():
                self.contents[repository, digest] = content
            self.tags[repository, tag] = one.manifest
        self.before = dict(self.tags)

    def __call__(self, *_: object) -> Destination:
        return self

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _manifest(self, repository: str, reference: str) -> bytes | None:
        if ":" in reference:
            return self.contents.get((repository, reference))
        return self.tags.get((repository, reference))

    def get_manifest(self, repository: str, reference: str, *, to_push: bool = False) -> Manifest:
        content = self._manifest(repository, reference)
        if content is None:
            raise ManifestNotFound(f"no {repository}:{reference}")
        return Manifest.parse(content)

    def head_manifest(
        self, repository: str, reference: str, *, to_push: bool = False
    ) -> Digest | None:
        content = self._manifest(repository, reference)
        return None if content is None else Digest.of(content)

    def head_blob(self, repository: str, digest: Digest, *, to_push: bool = False) -> int | None:
        content = self.contents.get((repository, digest))
        return None if content is None else len(content)

    def blob_state(self, repository: str, blob: Descriptor, *, to_push: bool = False) -> BlobState:
        content = self.contents.get((repository, blob.digest))
        if content is None:
            return BlobState.ABSENT
        return BlobState.PRESENT if len(content) == blob.size else BlobState.DAMAGED

    def check_blob(self, repository: str, blob: Descriptor) -> None:
        assert self.blob_state(repository, blob) is BlobState.PRESENT

    def check_manifest(self, repository: str, reference: str, manifest: Manifest) -> None:
        assert self._manifest(repository, reference) == manifest.content

    def get_blob(self, repository: str, blob: Descriptor) -> _Stream:
        if (repository, blob.digest) not in self.contents:
            raise BlobNotFound("it is gone")
        return _Stream(self.contents[repository, blob.digest])

    def mount_blob(self, repository: str, digest: Digest, *, source: str) -> bool:
        assert (source, digest) in self.contents, "mounted from where it is not"
        self.contents[repository, digest] = self.contents[source, digest]
        return True

    def upload_blob(self, repository: str, blob: Descriptor, body: Body) -> None:
        content = b"".join(bytes(chunk) for chunk in body)
        assert len(content) == len(body) == blob.size, "a body of another length"
        self._keep(repository, blob.digest, content)

    def put_manifest(
        self, repository: str, reference: str, manifest: Manifest, *, waits_for_parts: bool = True
    ) -> bool:
        document = json.loads(manifest.content)
        children = document.get("manifests") or []
        config = document.get("config")
        blobs = [] if children else [*([config] if config else ()), *(document.get("layers") or ())]
        for part in [*children, *blobs]:
            stored = self.contents.get((repository, part["digest"]))
            assert stored is not None, "a manifest of what is not there"
            assert len(stored) == part["size"], "a manifest of something else"
        self._keep(repository, manifest.digest, manifest.content)
        if ":" in reference:
            assert reference == manifest.digest
        else:
            self.tags[repository, reference] = manifest.content
        return True

    def _keep(self, repository: str, digest: Digest, content: bytes) -> None:
        algorithm, _, encoded = digest.partition(":")
        assert hashlib.new(algorithm, content).hexdigest() == encoded, "content of another digest"
        self.contents[repository, digest] = content
        self.contents[repository, digest_of(content)] = content


class _Stream:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
