"""A manifest as a registry keeps it: of any media type, with what has to be known of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docker_charon.errors import InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import (
    MANIFEST_TYPES,
    Manifest,
    annotations_of,
    artifact_type_of,
)

# RFC 6838, "Naming Requirements"; it goes into a header as it is.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """What is kept in memory of a manifest; its bytes are where the store has them.

    ``manifests`` are those below an index, and ``blobs`` what else has to be there; layers that
    have ``urls`` are the ``non_distributable_blobs``, which need not. ``annotations`` are kept for
    referrers only, in whose list they are shown.
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
        """Read a manifest's bytes.

        ``media_type`` is what its carrier says of it. A type that nobody here has heard of is
        taken as well: its members ``config``, ``layers``, ``blobs`` and ``manifests`` are read as
        everywhere else.

        Raises `InvalidManifest` unless it is a JSON object, when it is one of the known kinds and
        is not as that kind has to be, and when it says of itself that it is of another type.
        """
        document = _document(content)
        own = document.get("mediaType")
        if own is not None and media_type is not None and own != media_type:
            raise InvalidManifest(
                f"it says that it is {str(own)[:100]!r}, and was sent as {media_type[:100]!r}"
            )
        kind = own or media_type
        if kind is None or kind in MANIFEST_TYPES:
            known = Manifest.parse(content, kind)
            kind, manifests, blobs = known.media_type, known.manifests, known.blobs
        elif isinstance(kind, str) and _MEDIA_TYPE.fullmatch(kind):
            manifests, blobs = _references(document)
        else:
            raise InvalidManifest(f"{str(kind)[:100]!r} is not a media type")
        subject = document.get("subject")
        described = None if subject is None else Descriptor.parse(subject, "subject")
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
            subject=described.digest if described else None,
            artifact_type=artifact_type_of(document, kind) or None,
            annotations=annotations_of(document) if described else {},
        )

    def as_referrer(self) -> dict[str, Any]:
        """Return the descriptor that stands for it in a list of referrers.

        Distribution-spec 1.1, "Listing Referrers": with the manifest's own annotations.
        """
        return Descriptor(self.media_type, self.digest, self.size).index_entry(
            artifact_type=self.artifact_type or "", annotations=self.annotations
        )


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidManifest("it is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidManifest("it is not a JSON object")
    if document.get("schemaVersion") == 1:
        raise InvalidManifest("it is a Docker schema 1 manifest, which registries have given up")
    return document


def _references(document: dict[str, Any]) -> tuple[tuple[Descriptor, ...], tuple[Descriptor, ...]]:
    """Return the manifests and the blobs that a document of an unknown type refers to."""
    manifests: list[Descriptor] = []
    blobs: list[Descriptor] = []
    for key in ("config", "layers", "blobs", "manifests"):
        value = document.get(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        for n, each in enumerate(values):
            described = Descriptor.parse(each, f"{key}[{n}]")
            (manifests if described.media_type in MANIFEST_TYPES else blobs).append(described)
    return tuple(manifests), tuple(blobs)
