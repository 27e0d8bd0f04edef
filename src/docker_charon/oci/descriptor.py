"""A descriptor: what a manifest says of a piece of content (OCI image-spec 1.1, descriptor)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from docker_charon.errors import DigestMismatch, InvalidDigest, InvalidManifest
from docker_charon.oci.digest import Digest
from docker_charon.oci.platform import Platform

_LARGEST = 2**63 - 1  # what a signed 64-bit integer holds, as in every other implementation


class Body(Protocol):
    """Content that knows its length in bytes and can be read more than once, from its start.

    It comes in pieces, each of them valid until the next one is asked for.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes | memoryview]: ...


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A piece of content: its media type, its digest and its size in bytes.

    ``urls`` are the places where a foreign layer may be had, and ``annotations`` the
    descriptor's own. Two descriptors of one content can differ in everything but the digest
    and the size.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, value: Any, where: str) -> Descriptor:
        """Read a descriptor out of a JSON value; ``where`` names its place in messages.

        Raises `InvalidManifest` unless it is a well-formed one.
        """
        if not isinstance(value, dict):
            raise InvalidManifest(f"{where} is not a descriptor (a JSON object)")
        media_type = value.get("mediaType")
        if not isinstance(media_type, str) or not media_type:
            raise InvalidManifest(f"{where} has no mediaType")
        try:
            digest = Digest(value.get("digest"))
        except InvalidDigest as error:
            raise InvalidManifest(f"{where}: {error}") from None
        size = value.get("size")
        if type(size) is not int or not 0 <= size <= _LARGEST:
            raise InvalidManifest(f"{where}: the size is not a number of bytes")
        return cls(
            media_type=sys.intern(media_type),  # there are few of them, and many descriptors
            digest=digest,
            size=size,
            urls=tuple(_strings(value.get("urls"), f"{where}: urls")),
            platform=_platform(value.get("platform"), f"{where}: platform"),
            annotations=_annotations(value.get("annotations"), f"{where}: annotations"),
        )

    def verifier(self) -> Verifier:
        """Return a check that the content is fed through, piece by piece."""
        return Verifier(self)

    def verified(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield ``chunks``; raise `DigestMismatch` unless they are exactly this content.

        The last piece is held back until the whole has been checked: a consumer that counts
        bytes, as an HTTP server does, never has all of a content that is wrong.
        """
        check = self.verifier()
        last = self.size
        for chunk in chunks:
            check.update(chunk)
            last -= len(chunk)
            if last == 0:
                check.finish()
            yield chunk
        if last or not self.size:
            check.finish()


class Verifier:
    """Counts and hashes the bytes of one content as they pass."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._hasher = descriptor.digest.hasher()
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes; raise `DigestMismatch` when there are more than there should be."""
        self.size += len(chunk)
        if self.size > self._descriptor.size:
            raise DigestMismatch(
                f"{self._descriptor.digest} is longer than the {self._descriptor.size} bytes "
                "that its manifest says"
            )
        self._hasher.update(chunk)

    def finish(self) -> None:
        """Raise `DigestMismatch` unless the bytes so far are the whole, right content."""
        if self.size != self._descriptor.size:
            raise DigestMismatch(
                f"{self._descriptor.digest} ends after {self.size} of {self._descriptor.size} bytes"
            )
        if self._hasher.hexdigest() != self._descriptor.digest.encoded:
            raise DigestMismatch(
                f"{self._descriptor.digest} is damaged: its bytes have the digest "
                f"{self._descriptor.digest.algorithm}:{self._hasher.hexdigest()}"
            )


def _strings(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidManifest(f"{where} is not a list of strings")
    return value


def _annotations(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise InvalidManifest(f"{where} is not a map of strings")
    return value


def _platform(value: Any, where: str) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidManifest(f"{where} is not a JSON object")
    if not all(isinstance(value.get(key) or "", str) for key in ("os", "architecture", "variant")):
        raise InvalidManifest(f"{where} has a part that is not a string")
    return Platform.of(value)
