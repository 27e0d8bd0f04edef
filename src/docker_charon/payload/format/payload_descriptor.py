"""The payload format: the entries of the zip, and the documents that describe the others.

A payload is an OCI image layout (image-spec 1.1, image-layout) in a zip. Beside the files of the
layout it has ``payload_descriptor.json``, in the form that docker-charon 0.4 reads::

    {"format_version": 1,
     "manifests_paths": {IMAGE: ZIP PATH, or null for an image that was already transferred},
     "blobs_paths": {DIGEST: {"zip_path": ZIP PATH}
                             or {"repository": NAME} for a blob that the destination already has,
                             with {"repositories": [NAME, ...]} if several of them have it},
     "referrers": {IMAGE: [{"digest": DIGEST}, with {"tag": TAG} for one under a cosign tag, ...]},
     "foreign_blobs": [DIGEST of a non-distributable layer that is not in the payload, ...],
     "narrowed": [IMAGE that was filtered by platform, so its digest is not the one in its name],
     "registries": [HOST that stands in front of names of images and repositories, ...]}

A signed payload also has the entry ``signature`` (see the module of that name). Payloads that are
made with a ledger, ledgers and receipts have more keys (see `delivery`). Blobs may also be carried
as their difference to older ones (see `layer_delta`). The format version is 2 if there are
``registries`` or such deltas, which older releases do not understand.

The last four keys are present only if they have content. ``index.json`` lists the referrers too,
so that other tools find them: by their subjects, or those under a cosign tag by that name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import MOST_VALUES, count_values, parse_json
from docker_charon.oci.host import host_in_front, is_host
from docker_charon.oci.manifest import Manifest, encode_index
from docker_charon.oci.reference import Reference, check_named_repository, check_tag
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.delivery import LEDGER, RECEIPT, Arrival, Delivery
from docker_charon.payload.format.layer_delta import (
    LAYER_DELTAS,
    LayerDelta,
    count_bases,
    delta_path,
    parse_layer_deltas,
)
from docker_charon.payload.format.limits import (
    LONGEST_DOCUMENT,
    MOST_ENTRIES,
    SPLIT,
    Memory,
    TooLarge,
)
from docker_charon.payload.format.signed_text import SIGNATURE_PATH, signed_text
from docker_charon.value import dataclass

LAYOUT_PATH = "oci-layout"
INDEX_PATH = "index.json"
DESCRIPTOR_PATH = "payload_descriptor.json"
FORMAT_VERSION = 2
"""The newest version that is read. A payload says the oldest one that has all its keys."""

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation with an image's name in ``index.json`` (image-spec 1.1, annotations)."""

# The keys of payload_descriptor.json, and those of the objects in it.
_VERSION = "format_version"
_MANIFESTS = "manifests_paths"
_BLOBS = "blobs_paths"
_ZIP_PATH, _REPOSITORY, _REPOSITORIES = "zip_path", "repository", "repositories"
_REFERRERS = "referrers"
_DIGEST, _TAG = "digest", "tag"
_NON_DISTRIBUTABLE = "foreign_blobs"
_FILTERED = "narrowed"
_REGISTRIES = "registries"


def blob_path(digest: Digest) -> str:
    """Return the path of the content with this digest in an image layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a payload that is to be written; ``size`` is in bytes.

    Documents and manifests have ``content``. A blob has a descriptor, ``blob``, instead, and is
    fetched from ``repository`` when it is written, or read from ``file``. The descriptor of a delta
    is that of its own bytes.
    """

    path: str
    size: int
    content: bytes = b""
    blob: Descriptor | None = None
    repository: str = ""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class LocalBlob:
    """Bytes that are in a local file already, complete and verified: a blob, or a delta."""

    blob: Descriptor
    file: Path


def payload_entries(
    contents: Contents,
    sign: Callable[[bytes], bytes] | None = None,
    local: Mapping[str, LocalBlob] = MappingProxyType({}),
) -> Iterator[Entry]:
    """Yield the entries of a payload in their order: documents, manifests, deltas, blobs.

    ``sign`` returns the signature of a text; with it, the documents are signed (see `signature`).
    ``local`` has, by the paths of their entries, all deltas, and blobs that need not be fetched.

    Raises `TooLarge` if the payload would be too large to be opened again.
    """
    _check_limits(contents)
    documents = [
        _document(LAYOUT_PATH, _encode({"imageLayoutVersion": "1.0.0"})),
        _document(INDEX_PATH, _encode_index(contents)),
        _document(DESCRIPTOR_PATH, _encode_descriptor(contents)),
    ]
    yield from documents
    if sign is not None:
        signature = sign(signed_text({entry.path: entry.content for entry in documents}))
        yield Entry(SIGNATURE_PATH, len(signature), signature)
    for manifest in contents.manifests:
        yield Entry(blob_path(manifest.digest), len(manifest.content), manifest.content)
    for path in map(delta_path, contents.deltas):
        delta = local[path]
        yield Entry(path, delta.blob.size, blob=delta.blob, file=delta.file)
    manifest_digests = {manifest.digest for manifest in contents.manifests}
    for blob, repository in contents.blobs.items():
        if blob.digest not in manifest_digests:  # an image may use a manifest as a layer
            path = blob_path(blob.digest)
            file = local[path].file if path in local else None
            yield Entry(path, blob.size, blob=blob, repository=repository, file=file)


def _check_limits(contents: Contents) -> None:
    count = 4 + len(contents.manifests) + len(contents.blobs) + len(contents.deltas)
    if count > MOST_ENTRIES:
        raise TooLarge(f"the payload is too large: it has {count:,} entries", hint=SPLIT)
    memory = Memory()
    memory.take_entries(count)
    locations = len(contents.blobs) + len(contents.at_destination) + count_bases(contents.deltas)
    memory.take_names(len(contents.images), locations)
    for manifest in contents.manifests:
        memory.take_manifest(manifest)
    for named in contents.images:
        for manifest in named.manifests:
            memory.take_use(manifest)


def _document(path: str, content: bytes) -> Entry:
    if len(content) > LONGEST_DOCUMENT or count_values(content) > MOST_VALUES:
        raise TooLarge(f"the payload is too large: there is too much in its {path}", hint=SPLIT)
    return Entry(path, len(content), content)


def _encode(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _encode_index(contents: Contents) -> bytes:
    images = [
        named.image.root.descriptor.as_json(annotations={REF_NAME: named.name})
        for named in contents.images
    ]
    image_names = {named.name for named in contents.images}
    referrers: dict[Digest, dict[str | None, Manifest]] = {}
    for named in contents.images:
        for referrer in named.referrers:
            name = cosign_name(named.reference, referrer.tag) if referrer.tag else None
            by_name = referrers.setdefault(referrer.manifest.digest, {})
            by_name[None if name in image_names else name] = referrer.manifest
    entries = [
        _referrer_entry(manifest, name)
        for by_name in referrers.values()
        for name, manifest in by_name.items()
        if name is not None or len(by_name) == 1
    ]
    return encode_index([*images, *entries])


def _referrer_entry(manifest: Manifest, name: str | None) -> dict[str, Any]:
    """Return the entry of a referrer in ``index.json``, with its own annotations."""
    entry = manifest.as_referrer()
    annotations = entry.get("annotations", {})
    annotations.pop(REF_NAME, None)  # here it would be the name of an image
    if name is not None:
        entry["annotations"] = {**annotations, REF_NAME: name}
    return entry


def cosign_name(image: Reference, tag: str) -> str:
    """Return the name in ``index.json`` of what refers to ``image`` under one of cosign's tags."""
    return f"{image.repository}:{tag}"


def _encode_descriptor(contents: Contents) -> bytes:
    blobs: dict[str, Any] = {
        blob.digest: {_ZIP_PATH: blob_path(blob.digest)} for blob in contents.blobs
    }
    for digest, repositories in contents.at_destination.items():
        blobs[digest] = {_REPOSITORY: repositories[0]}
        if len(repositories) > 1:
            blobs[digest][_REPOSITORIES] = repositories
    optional = {
        _REFERRERS: {
            named.name: [
                {_DIGEST: r.manifest.digest, **({_TAG: r.tag} if r.tag else {})}
                for r in named.referrers
            ]
            for named in contents.images
            if named.referrers
        },
        _NON_DISTRIBUTABLE: sorted(contents.non_distributable),
        _FILTERED: [named.name for named in contents.images if named.is_filtered],
        LEDGER: contents.delivery and contents.delivery.as_json(),
        RECEIPT: contents.arrival and contents.arrival.as_json(),
        _REGISTRIES: sorted(contents.registries),
        LAYER_DELTAS: {digest: delta.as_json() for digest, delta in contents.deltas.items()},
    }
    return _encode(
        {
            _VERSION: FORMAT_VERSION if contents.registries or contents.deltas else 1,
            _MANIFESTS: {
                named.name: None
                if named.name in contents.skipped
                else blob_path(named.image.root.digest)
                for named in contents.images
            },
            _BLOBS: blobs,
            **{key: value for key, value in optional.items() if value},
        }
    )


@dataclass(frozen=True, slots=True)
class PayloadDescriptor:
    """The content of ``payload_descriptor.json``, written by any release.

    ``manifests`` are all images in their order, with the zip path of their manifest or ``None``.
    ``zip_paths`` and ``at_destination`` say where each blob is: its path in the zip, or the
    repositories of the destination that have it. Both are ``None`` for docker-charon 0.1, which
    did not record this. ``has_layout`` is whether the payload is an image layout. ``referrers``
    are, for each image, the digests of its referrers with their cosign tags; ``non_distributable``
    are the layers that the payload leaves out because of their ``urls``; ``filtered`` are the
    images whose digest is not the one in their name. ``delivery``, ``arrival``, ``registries`` and
    ``deltas`` are described in `Contents`.
    """

    manifests: Mapping[str, str | None]
    zip_paths: Mapping[Digest, str] | None
    at_destination: Mapping[Digest, tuple[str, ...]] | None
    has_layout: bool
    referrers: Mapping[str, tuple[tuple[Digest, str | None], ...]] = field(default_factory=dict)
    non_distributable: frozenset[Digest] = frozenset()
    filtered: frozenset[str] = frozenset()
    delivery: Delivery | None = None
    arrival: Arrival | None = None
    registries: frozenset[str] = frozenset()
    deltas: Mapping[Digest, LayerDelta] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes) -> PayloadDescriptor:
        """Parse the document; raise `PayloadError` if it is not valid."""
        document = _parse_object(DESCRIPTOR_PATH, content)
        version = document.get(_VERSION)
        if version is not None and type(version) is not int:
            # The keys of docker-charon 0.1 are image names, and this may be one of them.
            version = None
        if version is not None and version > FORMAT_VERSION:
            raise PayloadError(
                f"the payload has format version {version}, and this docker-charon reads versions "
                f"up to {FORMAT_VERSION}",
                hint="use the docker-charon that made it, or a newer one",
            )
        try:
            if not isinstance(document.get(_MANIFESTS), dict):
                return cls(_manifest_paths(document), None, None, has_layout=False)
            manifests = _manifest_paths(document[_MANIFESTS])
            registries = _parse_registries(document.get(_REGISTRIES, []))
            zip_paths, at_destination = _locations(document.get(_BLOBS), registries)
            if version is None:
                return cls(manifests, zip_paths, at_destination, has_layout=False)
            return cls(
                manifests,
                zip_paths,
                at_destination,
                has_layout=True,
                referrers=_referrers(document.get(_REFERRERS, {}), manifests),
                non_distributable=frozenset(
                    map(Digest, _list(_NON_DISTRIBUTABLE, document.get(_NON_DISTRIBUTABLE, [])))
                ),
                filtered=_names(document.get(_FILTERED, [])),
                delivery=Delivery.parse(document[LEDGER]) if LEDGER in document else None,
                arrival=Arrival.parse(document[RECEIPT], registries)
                if RECEIPT in document
                else None,
                registries=registries,
                deltas=parse_layer_deltas(document.get(LAYER_DELTAS, {}), registries),
            )
        except DockerCharonError as error:
            raise PayloadError(f"{DESCRIPTOR_PATH} is malformed: {error}") from None


def parse_index(content: bytes) -> list[tuple[str | None, Descriptor]]:
    """Return the descriptors in ``index.json``, each with its image name or ``None``.

    Raises `PayloadError` if the document is not a valid index.
    """
    entries = _parse_object(INDEX_PATH, content).get("manifests")
    if not isinstance(entries, list):
        raise PayloadError(f"{INDEX_PATH} has no manifests")
    try:
        descriptors = [Descriptor.parse(v, f"manifests[{n}]") for n, v in enumerate(entries)]
    except DockerCharonError as error:
        raise PayloadError(f"{INDEX_PATH} is malformed: {error}") from None
    return [(descriptor.annotations.get(REF_NAME), descriptor) for descriptor in descriptors]


def _parse_object(path: str, content: bytes) -> dict[str, Any]:
    try:
        document = parse_json(content)
    except ValueError as error:
        raise PayloadError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise PayloadError(f"{path} is not a JSON object")
    return document


def _manifest_paths(value: dict[str, Any]) -> dict[str, str | None]:
    if not all(path is None or isinstance(path, str) for path in value.values()):
        raise PayloadError("the path of a manifest is not a string")
    return value


def _parse_registries(value: Any) -> frozenset[str]:
    for host in _list(_REGISTRIES, value):
        is_valid = isinstance(host, str) and is_host(host) and host == host.lower()
        if not is_valid or host_in_front(f"{host}/") != host:
            raise PayloadError(f"a name in its {_REGISTRIES} is not a registry")
    return frozenset(value)


def _locations(
    value: Any, registries: Collection[str]
) -> tuple[dict[Digest, str], dict[Digest, tuple[str, ...]]]:
    """Return the zip paths of blobs, and the repositories of the blobs at the destination."""
    if not isinstance(value, dict):
        raise PayloadError(f"it has no {_BLOBS}")
    zip_paths: dict[Digest, str] = {}
    at_destination: dict[Digest, tuple[str, ...]] = {}
    for digest, location in value.items():
        if not isinstance(location, dict):
            raise PayloadError("the location of a blob is not a JSON object")
        if isinstance(location.get(_ZIP_PATH), str):
            zip_paths[Digest(digest)] = location[_ZIP_PATH]
            continue
        repositories = location.get(_REPOSITORIES, [location.get(_REPOSITORY)])
        if not isinstance(repositories, list) or not all(isinstance(r, str) for r in repositories):
            raise PayloadError("the repository of a blob is not a string")
        at_destination[Digest(digest)] = tuple(
            check_named_repository(repository, registries) for repository in repositories
        )
    return zip_paths, at_destination


def _referrers(
    value: Any, names: Mapping[str, object]
) -> dict[str, tuple[tuple[Digest, str | None], ...]]:
    if not isinstance(value, dict) or not value.keys() <= names.keys():
        raise PayloadError(f"its {_REFERRERS} are not those of its images")
    return {
        name: tuple(map(_referrer, _list(_REFERRERS, entries))) for name, entries in value.items()
    }


def _referrer(value: Any) -> tuple[Digest, str | None]:
    if not isinstance(value, dict):
        raise PayloadError("a referrer is not a JSON object")
    tag = value.get(_TAG)
    return Digest(value.get(_DIGEST)), None if tag is None else check_tag(tag)


def _names(value: Any) -> frozenset[str]:
    if not all(isinstance(name, str) for name in _list(_FILTERED, value)):
        raise PayloadError(f"a name in {_FILTERED} is not a string")
    return frozenset(value)


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PayloadError(f"{key} is not a list")
    return value
