"""The index of a payload: ``index.json``, which lists its images and what refers to them.

It is that of an OCI image layout (image-spec 1.1, image-layout). The referrers are in it so that
other tools find them: by their subjects, or those under a cosign tag by that name.
"""

from __future__ import annotations

from typing import Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.document import parse_json_object
from docker_charon.oci.manifest import Manifest, encode_index
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.paths import INDEX_PATH

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation with an image's name in ``index.json`` (image-spec 1.1, annotations)."""


def index_document(contents: Contents) -> bytes:
    """Return ``index.json`` with the images, and with what refers to them."""
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


def parse_index(content: bytes) -> list[tuple[str | None, Descriptor]]:
    """Return the descriptors in ``index.json``, each with its image name or ``None``.

    Raises `PayloadError` if the document is not a valid index.
    """
    try:
        entries = parse_json_object(content).get("manifests")
    except ValueError as error:
        raise PayloadError(f"{INDEX_PATH} is {error}") from None
    if not isinstance(entries, list):
        raise PayloadError(f"{INDEX_PATH} has no manifests")
    try:
        descriptors = [Descriptor.parse(v, f"manifests[{n}]") for n, v in enumerate(entries)]
    except DockerCharonError as error:
        raise PayloadError(f"{INDEX_PATH} is malformed: {error}") from None
    return [(descriptor.annotations.get(REF_NAME), descriptor) for descriptor in descriptors]
