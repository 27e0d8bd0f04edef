"""A manifest: the document that describes an image (OCI image-spec 1.1, manifest and index)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from docker_charon.errors import DigestMismatch, InvalidManifest
from docker_charon.oci.descriptor import Descriptor, annotations_of
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import parse_json_object
from docker_charon.value import dataclass

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
_IMAGE_MEMBERS = ("config", "layers")
_INDEX_MEMBERS = ("manifests",)
_OTHERS_MEMBERS = {True: _IMAGE_MEMBERS, False: _INDEX_MEMBERS}
"""The members that an index (``True``) or an image manifest (``False``) cannot have."""
MANIFEST_TYPES = (OCI_INDEX, DOCKER_MANIFEST_LIST, OCI_MANIFEST, DOCKER_MANIFEST)

_GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""

MAX_SIZE = 4 * 1024 * 1024
"""The most bytes of a manifest. Registries should accept as many (OCI distribution-spec 1.1,
"Pushing Manifests"); most accept no more."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest or an index: its exact bytes, and what they refer to.

    ``descriptor`` has its media type, its digest and its size. ``manifests`` are the manifests that
    an index lists, also those without a media type. ``config`` is ``None`` for an index, and for a
    manifest without a config. ``layers`` are all other content, in the document's order and as
    often as it is there. ``subject`` is the manifest that this one refers to, or ``None``.
    """

    content: bytes
    descriptor: Descriptor
    manifests: tuple[Descriptor, ...]
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
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
        """Parse the bytes of a manifest.

        ``media_type`` comes from the ``Content-Type`` of a response or from a descriptor; the
        ``mediaType`` in the document takes precedence. ``digest`` is the expected digest.
        ``document`` is the result of `parse_object` for these bytes, if the caller has it already.

        Content is carried as it is. Members that are missing or malformed are no error, as long as
        the digests and sizes of everything that the document refers to are known.

        Raises `DigestMismatch` if the bytes have another digest, and `InvalidManifest` if they are
        more than `MAX_SIZE`, or not an OCI or Docker schema 2 manifest or index.
        """
        if len(content) > MAX_SIZE:
            raise InvalidManifest(f"it has more than {MAX_SIZE // 1024 // 1024} MiB")
        actual = Digest.of(content, digest.algorithm if digest else "sha256")
        if digest is not None and actual != digest:
            raise DigestMismatch(f"the manifest {digest} is damaged: its bytes have {actual}")
        document = parse_object(content) if document is None else document
        kind = _media_type(document, media_type)
        # Another tool could read such a document as a different image.
        if not document.keys().isdisjoint(_OTHERS_MEMBERS[kind in INDEX_TYPES]):
            raise InvalidManifest("it is both an image manifest and an index")
        children: list[Descriptor] = []
        layers: list[Descriptor] = []
        config = None
        if kind in INDEX_TYPES:
            for child in _descriptors(document, "manifests"):
                # An index may list content of any type; build caches list layers.
                is_manifest = not child.media_type or child.media_type in MANIFEST_TYPES
                (children if is_manifest else layers).append(child)
        else:
            if document.get("config") is not None:
                config = Descriptor.parse(document["config"], "config")
            layers = _descriptors(document, "layers")
        return cls(
            content=content,
            descriptor=Descriptor(kind, actual, len(content)),
            manifests=tuple(children),
            config=config,
            layers=tuple(layers),
            subject=subject_of(document),
        )

    @classmethod
    def of(cls, descriptor: Descriptor, content: bytes) -> Manifest:
        """Parse the bytes that ``descriptor`` refers to.

        Raises as `parse` does, and `DigestMismatch` if they have another size.
        """
        if len(content) != descriptor.size:
            raise DigestMismatch(
                f"the manifest {descriptor.digest} has {len(content)} bytes where its index says "
                f"{descriptor.size}"
            )
        return cls.parse(content, descriptor.media_type, descriptor.digest)

    @property
    def media_type(self) -> str:
        """The media type with which registries store and serve it."""
        return self.descriptor.media_type

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return self.descriptor.digest

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The digests under which others may know it: its own, and the one by sha256."""
        return tuple(dict.fromkeys((self.digest, Digest.of(self.content))))

    def has_digest(self, digest: Digest) -> bool:
        """Whether ``digest``, of any algorithm, is the digest of its bytes."""
        return digest == self.digest or digest == Digest.of(self.content, digest.algorithm)

    @property
    def is_index(self) -> bool:
        """Whether it is an index, which lists manifests, and not an image manifest."""
        return self.media_type in INDEX_TYPES

    @property
    def subject_digest(self) -> Digest | None:
        """The digest of its subject, the manifest that it refers to, if it has one."""
        return self.subject.digest if self.subject else None

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config, if there is one, and the layers."""
        return self.layers if self.config is None else (self.config, *self.layers)

    @property
    def artifact_type(self) -> str:
        """Its artifact type, by `artifact_type_of`."""
        return artifact_type_of(json.loads(self.content), self.media_type)

    def as_referrer(self) -> dict[str, Any]:
        """Return its entry in the list of its subject's referrers, as a JSON object.

        OCI distribution-spec 1.1, "Listing Referrers": the entry has its artifact type and its
        annotations.
        """
        annotations = annotations_of(json.loads(self.content))
        return self.descriptor.as_json(artifact_type=self.artifact_type, annotations=annotations)


def artifact_type_of(document: Mapping[str, Any], media_type: str) -> str:
    """Return the artifact type of a manifest, or ``""`` if it has none.

    OCI distribution-spec 1.1, "Listing Referrers": it is ``artifactType``; in an image manifest
    without that, it is the media type of the config.
    """
    own = document.get("artifactType")
    if isinstance(own, str) and own:
        return own
    config = None if media_type in INDEX_TYPES else document.get("config")
    config_type = config.get("mediaType") if isinstance(config, dict) else None
    return config_type if isinstance(config_type, str) else ""


def subject_of(document: Mapping[str, Any]) -> Descriptor | None:
    """Return the subject of a manifest, or ``None`` if it has none or a malformed one."""
    subject = document.get("subject")
    try:
        return None if subject is None else Descriptor.parse(subject, "subject")
    except InvalidManifest:
        return None  # it is not part of the content


def encode_index(entries: Iterable[Any], members: Mapping[str, Any] | None = None) -> bytes:
    """Return an index that lists ``entries``; ``members`` are other members of the document."""
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, **(members or {})}
    # In ASCII: annotations may contain half of a surrogate pair, which UTF-8 cannot represent.
    return json.dumps({**document, "manifests": list(entries)}, separators=(",", ":")).encode()


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a manifest's bytes, whatever its media type is.

    Raises `InvalidManifest` when it is not a JSON object, when it has too many values, and when it
    is a Docker schema 1 manifest.
    """
    if content.lstrip()[:1] == b"<":
        raise InvalidManifest("it is a web page, not a manifest")
    if content[:2] == _GZIP:
        raise InvalidManifest(
            "it is compressed", hint="something on the way to the registry compresses its answers"
        )
    try:
        document = parse_json_object(content)
    except ValueError as error:
        raise InvalidManifest(f"it is {error}") from None
    if document.get("schemaVersion") == 1:
        raise InvalidManifest(
            "it is a Docker schema 1 manifest, which registries no longer support",
            hint="pull the image and push it again with a current client",
        )
    return document


def _media_type(document: dict[str, Any], given: str | None) -> str:
    own = document.get("mediaType")
    if own and isinstance(own, str):
        if own not in MANIFEST_TYPES:
            raise InvalidManifest(
                f"its media type is {own[:100]!r}",
                hint="only manifests of OCI and of Docker's schema 2 can be transferred",
            )
        return own
    # OCI 1.0 has no such member, and a proxy may drop the header: look at the other members.
    guessed = (
        OCI_INDEX
        if not document.keys().isdisjoint(_INDEX_MEMBERS)
        else OCI_MANIFEST
        if not document.keys().isdisjoint(_IMAGE_MEMBERS)
        else None
    )
    if guessed is None:
        raise InvalidManifest("it has neither manifests nor a config nor layers")
    return given if given in MANIFEST_TYPES else guessed


def _descriptors(document: dict[str, Any], key: str) -> list[Descriptor]:
    values = document.get(key)
    if values is None:
        return []  # Go writes an empty list as null, and other tools leave it out
    if not isinstance(values, list):
        raise InvalidManifest(f"{key} is not a list")
    return [Descriptor.parse(value, f"{key}[{n}]") for n, value in enumerate(values)]
