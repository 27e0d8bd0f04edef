"""A manifest as a registry stores it: it has any media type, and only its references are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docker_charon.errors import InvalidManifest
from docker_charon.oci.descriptor import Descriptor, annotations_of
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import (
    MANIFEST_TYPES,
    Manifest,
    artifact_type_of,
    parse_object,
    subject_of,
)

# RFC 6838, "Naming Requirements". The server sends it in a header, as it is.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """What the server keeps in memory of a manifest; the store has the bytes.

    ``manifests`` are the manifests of an index, and ``blobs`` the config and the layers, all of
    which have to be pushed before. ``non_distributable_blobs`` are the layers with ``urls``, which
    may be missing. ``annotations`` are kept only for a manifest with a subject: the list of
    referrers shows them.
    """

    media_type: str
    digest: Digest
    size: int
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Digest, ...]
    non_distributable_blobs: tuple[Digest, ...]
    subject: Digest | None
    artifact_type: str | None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(
        cls, content: bytes, media_type: str | None = None, algorithm: str = "sha256"
    ) -> StoredManifest:
        """Parse the bytes of a manifest.

        ``media_type`` is the ``Content-Type`` with which it was sent, and ``algorithm`` is that of
        its digest. Unknown media types are accepted: ``config``, ``layers``, ``blobs`` and
        ``manifests`` are read as in the known ones.

        Raises `InvalidManifest` if it is not a JSON object, if its ``mediaType`` differs from
        ``media_type``, and if a manifest of a known type is not well-formed.
        """
        document = parse_object(content)
        own = document.get("mediaType")
        if own and media_type is not None and own != media_type:
            raise InvalidManifest(
                f"its mediaType is {str(own)[:100]!r}, and it was sent as {media_type[:100]!r}"
            )
        kind = own or media_type
        if kind is None or kind in MANIFEST_TYPES:
            known = Manifest.parse(content, kind, document=document)
            kind, manifests, blobs = known.media_type, known.manifests, known.blobs
        elif isinstance(kind, str) and _MEDIA_TYPE.fullmatch(kind):
            manifests, blobs = _references(document)
        else:
            raise InvalidManifest(f"{str(kind)[:100]!r} is not a media type")
        subject = subject_of(document)
        return cls(
            media_type=kind,
            digest=Digest.of(content, algorithm),
            size=len(content),
            manifests=manifests,
            blobs=tuple(
                dict.fromkeys(blob.digest for blob in blobs if not blob.is_non_distributable)
            ),
            non_distributable_blobs=tuple(
                dict.fromkeys(blob.digest for blob in blobs if blob.is_non_distributable)
            ),
            subject=subject.digest if subject else None,
            artifact_type=artifact_type_of(document, kind) or None,
            annotations=annotations_of(document) if subject else {},
        )

    def as_referrer(self) -> dict[str, Any]:
        """Return its entry in the list of its subject's referrers, as a JSON object.

        OCI distribution-spec 1.1, "Listing Referrers": the entry has its artifact type and its
        annotations.
        """
        return Descriptor(self.media_type, self.digest, self.size).as_json(
            artifact_type=self.artifact_type or "", annotations=self.annotations
        )


def _references(document: dict[str, Any]) -> tuple[tuple[Descriptor, ...], tuple[Descriptor, ...]]:
    """Return the manifests and the blobs that a manifest of an unknown type refers to."""
    manifests: list[Descriptor] = []
    blobs: list[Descriptor] = []
    for key in ("config", "layers", "blobs", "manifests"):
        value = document.get(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        for n, item in enumerate(values):
            descriptor = Descriptor.parse(item, f"{key}[{n}]")
            (manifests if descriptor.media_type in MANIFEST_TYPES else blobs).append(descriptor)
    return tuple(manifests), tuple(blobs)
