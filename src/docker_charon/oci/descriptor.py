"""A descriptor: how a manifest refers to content (OCI image-spec 1.1, descriptor)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Protocol

from docker_charon.errors import DigestMismatch, InvalidDigest, InvalidManifest
from docker_charon.oci.digest import Digest
from docker_charon.oci.platform import Platform
from docker_charon.value import dataclass

LARGEST_SIZE = 2**63 - 1
"""Bytes: what a signed 64-bit integer holds, as in every other implementation."""


class Body(Protocol):
    """Content that knows its length in bytes and can be read more than once.

    Iterating yields its bytes in chunks; a chunk is valid only until the next one is requested.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes | memoryview]: ...


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: its media type, its digest and its size in bytes.

    ``urls`` are the addresses where a non-distributable layer can be downloaded. ``platform`` is
    ``None`` where a document has none, and ``media_type`` is ``""``. ``annotations`` are those of
    the descriptor, not of the content. Two descriptors of the same content have the same digest and
    size; the rest may differ.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, value: Any, where: str) -> Descriptor:
        """Parse a JSON value; ``where`` says in error messages which part of a document it is.

        Registries accept descriptors with missing or malformed members, and content is carried as
        it is. So only the digest and the size must be valid; other members that do not follow the
        specification count as missing. Raises `InvalidManifest` if the value is not an object, or
        if its digest or its size is not valid.
        """
        if not isinstance(value, dict):
            raise InvalidManifest(f"{where} is not a descriptor (a JSON object)")
        media_type = value.get("mediaType")
        try:
            digest = Digest(value.get("digest"))
        except InvalidDigest as error:
            raise InvalidManifest(f"{where}: {error}") from None
        size = value.get("size")
        if type(size) is not int or not 0 <= size <= LARGEST_SIZE:
            raise InvalidManifest(f"{where}: the size is not a number of bytes")
        return cls(
            # Few different values, in many descriptors.
            media_type=sys.intern(media_type) if isinstance(media_type, str) else "",
            digest=digest,
            size=size,
            urls=_urls(value.get("urls")),
            platform=_platform(value.get("platform")),
            annotations=annotations_of(value),
        )

    @property
    def is_non_distributable(self) -> bool:
        """Whether it is a layer that registries need not have, because it has ``urls``.

        OCI image-spec 1.1, "Non-Distributable Layers".
        """
        return bool(self.urls)

    def as_json(
        self, *, artifact_type: str = "", annotations: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the descriptor as a JSON object, without ``urls`` and ``platform``.

        ``artifact_type`` and ``annotations`` are members that only some entries of an index have.
        """
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            **({"artifactType": artifact_type} if artifact_type else {}),
            **({"annotations": dict(annotations)} if annotations else {}),
        }

    def verifier(self) -> Verifier:
        """Return a new check for the bytes of this content."""
        return Verifier(self)

    def verified(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield ``chunks``; raise `DigestMismatch` unless they are exactly this content.

        The last chunk is yielded only after the whole content has been checked, so a consumer
        that counts bytes, such as an HTTP server, never receives all of a wrong content.
        """
        verifier = self.verifier()
        remaining = self.size
        for chunk in chunks:
            verifier.update(chunk)
            remaining -= len(chunk)
            if remaining == 0:
                verifier.finish()
            yield chunk
        if remaining or not self.size:
            verifier.finish()


class Verifier:
    """Counts and hashes the bytes of one content, chunk by chunk."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._hasher = descriptor.digest.hasher()
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Add the next bytes; raise `DigestMismatch` if there are more than the descriptor says."""
        self.size += len(chunk)
        if self.size > self._descriptor.size:
            raise DigestMismatch(
                f"{self._descriptor.digest} is longer than the {self._descriptor.size} bytes "
                "that its descriptor says"
            )
        self._hasher.update(chunk)

    def finish(self) -> None:
        """Raise `DigestMismatch` unless the bytes so far are exactly this content."""
        if self.size != self._descriptor.size:
            raise DigestMismatch(
                f"{self._descriptor.digest} ends after {self.size} of {self._descriptor.size} bytes"
            )
        if self._hasher.hexdigest() != self._descriptor.digest.encoded:
            raise DigestMismatch(
                f"{self._descriptor.digest} is damaged: its bytes have the digest "
                f"{self._descriptor.digest.algorithm}:{self._hasher.hexdigest()}"
            )


def annotations_of(value: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations of a descriptor or a manifest, without those that are not strings."""
    annotations = value.get("annotations")
    if not isinstance(annotations, dict):
        return {}
    return {key: text for key, text in annotations.items() if isinstance(text, str)}


def _urls(value: Any) -> tuple[str, ...]:
    return tuple(url for url in value if isinstance(url, str)) if isinstance(value, list) else ()


def _platform(value: Any) -> Platform | None:
    return Platform.of(value) if isinstance(value, dict) else None
