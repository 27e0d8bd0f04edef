"""The descriptor of a payload: ``payload_descriptor.json``, which says where each blob is.

A payload is an OCI image layout (image-spec 1.1, image-layout) in a zip. The descriptor is beside
the files of the layout, in the form that docker-charon 0.4 reads::

    {"format_version": 1,
     "manifests_paths": {IMAGE: ZIP PATH, or null for an image that was already transferred},
     "blobs_paths": {DIGEST: {"zip_path": ZIP PATH}
                             or {"repository": NAME} for a blob that the destination already has,
                             with {"repositories": [NAME, ...]} if several of them have it},
     "referrers": {IMAGE: [{"digest": DIGEST}, with {"tag": TAG} for one under a cosign tag, ...]},
     "foreign_blobs": [DIGEST of a non-distributable layer that is not in the payload, ...],
     "narrowed": [IMAGE that was filtered by platform, so its digest is not the one in its name],
     "registries": [HOST that stands in front of names of images and repositories, ...]}

The last four keys are present only if they have content. Payloads that are made with a ledger,
ledgers and receipts have more keys (see `delivery`). Blobs may also be carried as their difference
to older ones (see `layer_delta`). The format version is 2 if there are ``registries`` or such
deltas, which older releases do not understand.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import parse_json_object
from docker_charon.oci.host import host_in_front, is_host
from docker_charon.oci.reference import check_named_repository, check_tag
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.delivery import LEDGER, RECEIPT, Arrival, Delivery
from docker_charon.payload.format.layer_delta import LAYER_DELTAS, LayerDelta, parse_layer_deltas
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, blob_path
from docker_charon.value import dataclass

FORMAT_VERSION = 2
"""The newest version that is read. A payload says the oldest one that has all its keys."""

# The keys of the document, and those of the objects in it.
_VERSION = "format_version"
_MANIFESTS = "manifests_paths"
_BLOBS = "blobs_paths"
_ZIP_PATH, _REPOSITORY, _REPOSITORIES = "zip_path", "repository", "repositories"
_REFERRERS = "referrers"
_DIGEST, _TAG = "digest", "tag"
_NON_DISTRIBUTABLE = "foreign_blobs"
_FILTERED = "narrowed"
_REGISTRIES = "registries"


def descriptor_document(contents: Contents) -> bytes:
    """Return ``payload_descriptor.json`` of a payload with these contents."""
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
    document = {
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
    return json.dumps(document, separators=(",", ":")).encode()


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
        try:
            document = parse_json_object(content)
        except ValueError as error:
            raise PayloadError(f"{DESCRIPTOR_PATH} is {error}") from None
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
