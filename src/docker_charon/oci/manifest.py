"""A manifest: the document that makes blobs an image (OCI image-spec 1.1, manifest and index)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from docker_charon.errors import DigestMismatch, InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import parse_json

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
MANIFEST_TYPES = (OCI_INDEX, DOCKER_MANIFEST_LIST, OCI_MANIFEST, DOCKER_MANIFEST)

MAX_SIZE = 4 * 1024 * 1024
"""Bytes; distribution-spec 1.1 asks registries to take at least this, and most take no more."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest or an index: its bytes, verbatim, and what they refer to.

    ``manifests`` are the manifests below an index, and ``blobs`` everything else: a config and
    layers, in the document's order and as often as it names them.
    """

    content: bytes
    descriptor: Descriptor
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    subject: Descriptor | None

    @classmethod
    def parse(
        cls,
        content: bytes,
        media_type: str | None = None,
        digest: Digest | None = None,
        *,
        document: dict[str, Any] | None = None,
    ) -> Manifest:
        """Read a manifest's bytes.

        ``media_type`` is what its carrier says of it (a registry's ``Content-Type``, the
        descriptor in an index); the document's own ``mediaType`` goes before it. ``digest`` is
        the one that it was asked for by. ``document`` is what `parse_object` returns for these
        bytes, for a caller that has called it already.

        Raises `DigestMismatch` when the bytes have another digest, and `InvalidManifest` when
        they are no OCI or Docker schema 2 manifest or index.
        """
        if len(content) > MAX_SIZE:
            raise InvalidManifest(f"a manifest of more than {MAX_SIZE // 1024 // 1024} MiB")
        actual = Digest.of(content, digest.algorithm if digest else "sha256")
        if digest is not None and actual != digest:
            raise DigestMismatch(f"the manifest {digest} is damaged: its bytes have {actual}")
        document = parse_object(content) if document is None else document
        version = document.get("schemaVersion")
        if version != 2 or type(version) is not int:
            raise InvalidManifest("its schemaVersion is not 2")
        kind = _media_type(document, media_type)
        # A document that is both could be read as one image here and as another one elsewhere.
        if "manifests" in document and ("layers" in document or "config" in document):
            raise InvalidManifest("it is both an image manifest and an index")
        children: list[Descriptor] = []
        blobs: list[Descriptor] = []
        if kind in INDEX_TYPES:
            for child in _descriptors(document, "manifests"):
                # An index may hold content of any type, as build caches do with layers.
                (children if child.media_type in MANIFEST_TYPES else blobs).append(child)
        else:
            blobs.append(Descriptor.parse(document.get("config"), "config"))
            blobs.extend(_descriptors(document, "layers"))
        subject = document.get("subject")
        return cls(
            content=content,
            descriptor=Descriptor(kind, actual, len(content)),
            manifests=tuple(children),
            blobs=tuple(blobs),
            subject=None if subject is None else Descriptor.parse(subject, "subject"),
        )

    @classmethod
    def of(cls, descriptor: Descriptor, content: bytes) -> Manifest:
        """Read the bytes that ``descriptor`` refers to; as `parse`, and the size must agree."""
        if len(content) != descriptor.size:
            raise DigestMismatch(
                f"the manifest {descriptor.digest} has {len(content)} bytes where its index says "
                f"{descriptor.size}"
            )
        return cls.parse(content, descriptor.media_type, descriptor.digest)

    @property
    def media_type(self) -> str:
        """The media type that it is stored and served with."""
        return self.descriptor.media_type

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return self.descriptor.digest

    def has_digest(self, digest: Digest) -> bool:
        """Whether this is a digest of its bytes; it has one of every algorithm."""
        return digest == self.digest or digest == Digest.of(self.content, digest.algorithm)

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests rather than layers."""
        return self.media_type in INDEX_TYPES

    @property
    def subject_digest(self) -> Digest | None:
        """The digest of what it refers to, if it does."""
        return self.subject.digest if self.subject else None

    @property
    def config(self) -> Descriptor | None:
        """The config of an image manifest; an index has none."""
        return None if self.is_index else self.blobs[0]

    @property
    def artifact_type(self) -> str:
        """What kind of artifact it is: its own word, or the media type of its config."""
        kind = json.loads(self.content).get("artifactType")
        if not isinstance(kind, str) or not kind:
            kind = self.config.media_type if self.config else ""
        return kind

    def as_referrer(self) -> dict[str, Any]:
        """Return how the list of its subject's referrers describes it, as JSON.

        Distribution-spec 1.1, "Listing Referrers": with its annotations and its artifact type.
        """
        annotations = json.loads(self.content).get("annotations")
        if isinstance(annotations, dict):
            # A manifest may say anything of itself; what a descriptor says is text.
            annotations = {key: v for key, v in annotations.items() if isinstance(v, str)}
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.descriptor.size,
            **({"artifactType": self.artifact_type} if self.artifact_type else {}),
            **({"annotations": annotations} if annotations else {}),
        }


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a manifest's bytes, whatever its media type is.

    Raises `InvalidManifest` when it is not a JSON object, when it has too many values, and when it
    is a Docker schema 1 manifest.
    """
    if content.lstrip()[:1] == b"<":
        raise InvalidManifest("it is a web page, not a manifest")
    try:
        document = parse_json(content)
    except ValueError as error:
        raise InvalidManifest(f"it is not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise InvalidManifest("it is not a JSON object")
    if document.get("schemaVersion") == 1:
        raise InvalidManifest(
            "it is a Docker schema 1 manifest, which registries have given up",
            hint="pull and push the image once with a current client",
        )
    return document


def _media_type(document: dict[str, Any], carried: str | None) -> str:
    own = document.get("mediaType")
    if own is not None:
        if own not in MANIFEST_TYPES:
            raise InvalidManifest(f"its media type is {str(own)[:100]!r}")
        return str(own)
    if carried in MANIFEST_TYPES:
        return carried
    # OCI 1.0 left the field out, and a proxy may have lost the header: the shape tells.
    if "manifests" in document:
        return OCI_INDEX
    if "config" in document:
        return OCI_MANIFEST
    raise InvalidManifest("it has neither manifests nor a config")


def _descriptors(document: dict[str, Any], key: str) -> list[Descriptor]:
    values = document.get(key, ())
    if values is None and key in document:
        return []  # how Go writes an empty list
    if not isinstance(values, list):
        raise InvalidManifest(f"{key} is not a list")
    return [Descriptor.parse(value, f"{key}[{n}]") for n, value in enumerate(values)]
