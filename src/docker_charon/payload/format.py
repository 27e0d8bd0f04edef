"""The payload's format: which documents and entries it has, and how they are written and read.

A payload is an OCI image layout (image-spec 1.1, image-layout) in a zip. Beside the layout's own
files it has ``payload_descriptor.json``, in the shape that docker-charon 0.4 reads::

    {"format_version": 1,
     "manifests_paths": {IMAGE: ZIP PATH, or null for an image that was already transferred},
     "blobs_paths": {DIGEST: {"zip_path": ZIP PATH}
                             or {"repository": NAME} of one that the destination has already,
                             with {"repositories": [NAME, ...]} where several have it},
     "referrers": {IMAGE: [{"digest": DIGEST}, with {"tag": TAG} for those of cosign's, ...]},
     "foreign_blobs": [DIGEST of a layer that neither side has, ...],
     "narrowed": [IMAGE that has another digest than its name says, as it has fewer platforms, ...]}

The last three are there only where there is something to say. A referrer has a descriptor in
``index.json`` as well, without a name, so that readers of layouts find it by its subject.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import MOST_VALUES, count_values, parse_json
from docker_charon.oci.manifest import OCI_INDEX
from docker_charon.oci.reference import check_repository, check_tag
from docker_charon.payload.contents import Contents
from docker_charon.payload.limits import LONGEST_DOCUMENT, MOST_ENTRIES, SPLIT, Memory, TooLarge

LAYOUT_PATH = "oci-layout"
INDEX_PATH = "index.json"
DESCRIPTOR_PATH = "payload_descriptor.json"
FORMAT_VERSION = 1

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that names an image in ``index.json`` (image-spec 1.1, annotations)."""


def blob_path(digest: Digest) -> str:
    """Return where the layout keeps content of this digest."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a payload to be written.

    A document or a manifest brings its ``content``. A blob has a descriptor, ``blob``, instead,
    and is fetched from ``repository`` when its turn comes.
    """

    path: str
    size: int
    content: bytes = b""
    blob: Descriptor | None = None
    repository: str = ""


def payload_entries(plan: Contents) -> Iterator[Entry]:
    """Yield a payload's entries in their order: metadata, manifests, blobs.

    Raises `PayloadError` for more than can be opened again.
    """
    _check_limits(plan)
    yield _document(LAYOUT_PATH, {"imageLayoutVersion": "1.0.0"})
    yield _document(INDEX_PATH, _index(plan))
    yield _document(DESCRIPTOR_PATH, _payload_descriptor(plan))
    for manifest in plan.manifests:
        yield Entry(blob_path(manifest.digest), len(manifest.content), manifest.content)
    carried = {manifest.digest for manifest in plan.manifests}
    for blob, repository in plan.blobs.items():
        if blob.digest not in carried:  # a manifest may also be somebody's layer
            yield Entry(blob_path(blob.digest), blob.size, blob=blob, repository=repository)


def _check_limits(plan: Contents) -> None:
    count = 3 + len(plan.manifests) + len(plan.blobs)
    if count > MOST_ENTRIES:
        raise TooLarge(f"there is too much in one payload: {count:,} entries", hint=SPLIT)
    memory = Memory()
    memory.take_entries(count)
    memory.take_names(len(plan.images), len(plan.blobs) + len(plan.at_destination))
    for manifest in plan.manifests:
        memory.take_manifest(manifest)
    for named in plan.images:
        for manifest in named.manifests:
            memory.take_use(manifest)


def _document(path: str, value: object) -> Entry:
    # In ASCII: the annotations of a referrer may hold half of a character, which UTF-8 cannot.
    content = json.dumps(value, separators=(",", ":")).encode()
    if len(content) > LONGEST_DOCUMENT or count_values(content) > MOST_VALUES:
        raise TooLarge(f"there is too much in one payload, in its {path}", hint=SPLIT)
    return Entry(path, len(content), content)


def _index(plan: Contents) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": named.image.root.media_type,
                "digest": named.image.root.digest,
                "size": named.image.root.descriptor.size,
                "annotations": {REF_NAME: named.name},
            }
            for named in plan.images
        ]
        + list(_listed_referrers(plan).values()),
    }


def _listed_referrers(plan: Contents) -> dict[Digest, dict[str, Any]]:
    listed = {
        referrer.manifest.digest: referrer.manifest.as_referrer()
        for named in plan.images
        for referrer in named.referrers
    }
    for value in listed.values():
        value.get("annotations", {}).pop(REF_NAME, None)  # here it would name an image
    return listed


def _payload_descriptor(plan: Contents) -> dict[str, Any]:
    blobs: dict[str, Any] = {
        blob.digest: {"zip_path": blob_path(blob.digest)} for blob in plan.blobs
    }
    for digest, repositories in plan.at_destination.items():
        blobs[digest] = {"repository": repositories[0]}
        if len(repositories) > 1:
            blobs[digest]["repositories"] = repositories
    referrers = {
        named.name: [
            {"digest": r.manifest.digest, **({"tag": r.tag} if r.tag else {})}
            for r in named.referrers
        ]
        for named in plan.images
        if named.referrers
    }
    filtered = [named.name for named in plan.images if named.is_filtered]
    return {
        "format_version": FORMAT_VERSION,
        "manifests_paths": {
            named.name: None if named.name in plan.skipped else blob_path(named.image.root.digest)
            for named in plan.images
        },
        "blobs_paths": blobs,
        **({"referrers": referrers} if referrers else {}),
        **({"foreign_blobs": sorted(plan.non_distributable)} if plan.non_distributable else {}),
        **({"narrowed": filtered} if filtered else {}),
    }


@dataclass(frozen=True, slots=True)
class PayloadDescriptor:
    """What ``payload_descriptor.json`` says, of whatever release.

    ``manifests`` are all images in their order, with the zip path of their manifest or ``None``.
    ``zip_paths`` and ``at_destination`` tell where blobs are; both are ``None`` for docker-charon
    0.1, which did not write them down. ``ours`` tells that there is an image layout around it.
    ``referrers`` are, by image, the digests of what refers to it, with cosign's tags, and
    ``non_distributable`` those of the layers that neither side has. ``filtered`` are the images
    that have another digest than their names say.
    """

    manifests: Mapping[str, str | None]
    zip_paths: Mapping[Digest, str] | None
    at_destination: Mapping[Digest, tuple[str, ...]] | None
    ours: bool
    referrers: Mapping[str, tuple[tuple[Digest, str | None], ...]] = field(default_factory=dict)
    non_distributable: frozenset[Digest] = frozenset()
    filtered: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, content: bytes) -> PayloadDescriptor:
        """Read the document; raise `PayloadError` when it is none."""
        document = parse_document(DESCRIPTOR_PATH, content)
        version = document.get("format_version")
        if version is not None and type(version) is not int:
            # docker-charon 0.1 has images as keys, and this is a name that an image can have.
            version = None
        if version is not None and version > FORMAT_VERSION:
            raise PayloadError(
                f"the payload has the format {version}, and this docker-charon reads up to "
                f"{FORMAT_VERSION}",
                hint="use the docker-charon that made it, or a newer one",
            )
        if not isinstance(document.get("manifests_paths"), dict):
            return cls(_manifests(document), None, None, ours=False)
        zip_paths: dict[Digest, str] = {}
        at_destination: dict[Digest, tuple[str, ...]] = {}
        locations = document.get("blobs_paths")
        if not isinstance(locations, dict):
            raise PayloadError(f"{DESCRIPTOR_PATH} has no blobs_paths")
        for digest, location in locations.items():
            try:
                path, repositories = _location(location)
                if path is not None:
                    zip_paths[Digest(digest)] = path
                else:
                    at_destination[Digest(digest)] = repositories
            except DockerCharonError as error:
                raise PayloadError(f"{DESCRIPTOR_PATH} is malformed: {error}") from None
        manifests = _manifests(document["manifests_paths"])
        if version is None:
            return cls(manifests, zip_paths, at_destination, ours=False)
        try:
            referrers = _referrers(document.get("referrers", {}), manifests)
            non_distributable = frozenset(map(Digest, _list(document.get("foreign_blobs", []))))
            filtered = _names(document.get("narrowed", []))
        except DockerCharonError as error:
            raise PayloadError(f"{DESCRIPTOR_PATH} is malformed: {error}") from None
        return cls(
            manifests, zip_paths, at_destination, True, referrers, non_distributable, filtered
        )


def parse_document(path: str, content: bytes) -> dict[str, Any]:
    """Read one of the payload's own JSON objects; raise `PayloadError` when it is none."""
    try:
        document = parse_json(content)
    except ValueError as error:
        raise PayloadError(f"{path} is not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise PayloadError(f"{path} is not a JSON object")
    return document


def parse_index(content: bytes) -> list[tuple[str | None, Descriptor]]:
    """Return the descriptors of ``index.json``, each with the name that it may have.

    Raises `PayloadError` for what is no index.
    """
    manifests = parse_document(INDEX_PATH, content).get("manifests")
    if not isinstance(manifests, list):
        raise PayloadError(f"{INDEX_PATH} has no manifests")
    found: list[tuple[str | None, Descriptor]] = []
    for n, value in enumerate(manifests):
        try:
            descriptor = Descriptor.parse(value, f"manifests[{n}]")
        except DockerCharonError as error:
            raise PayloadError(f"{INDEX_PATH} is malformed: {error}") from None
        found.append((descriptor.annotations.get(REF_NAME), descriptor))
    return found


def _referrers(
    value: Any, names: Mapping[str, object]
) -> dict[str, tuple[tuple[Digest, str | None], ...]]:
    if not isinstance(value, dict) or not value.keys() <= names.keys():
        raise PayloadError("its referrers are not those of its images")
    found = {}
    for name, listed in value.items():
        each = []
        for one in _list(listed):
            if not isinstance(one, dict):
                raise PayloadError("a referrer is not a JSON object")
            tag = one.get("tag")
            each.append((Digest(one.get("digest")), None if tag is None else check_tag(tag)))
        found[name] = tuple(each)
    return found


def _names(value: Any) -> frozenset[str]:
    if not all(isinstance(name, str) for name in _list(value)):
        raise PayloadError("an image's name is not a string")
    return frozenset(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PayloadError("something in it is not a list")
    return value


def _manifests(value: dict[str, Any]) -> dict[str, str | None]:
    if not all(path is None or isinstance(path, str) for path in value.values()):
        raise PayloadError(f"{DESCRIPTOR_PATH} is malformed: an image's path is not a string")
    return value


def _location(value: Any) -> tuple[str | None, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise PayloadError("a blob's place is not a JSON object")
    if isinstance(value.get("zip_path"), str):
        return value["zip_path"], ()
    repositories = value.get("repositories", [value.get("repository")])
    if not isinstance(repositories, list) or not all(isinstance(r, str) for r in repositories):
        raise PayloadError("a blob's repository is not a string")
    return None, tuple(check_repository(repository) for repository in repositories)
