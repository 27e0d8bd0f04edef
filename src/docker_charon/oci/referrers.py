"""A referrer: a signature, an SBOM or another artifact about an image (distribution-spec 1.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import OCI_INDEX, Manifest
from docker_charon.oci.reference import LONGEST_TAG

_COSIGN_SUFFIXES = (".sig", ".att", ".sbom")
_LONGEST_ALGORITHM, _LONGEST_ENCODED = 32, 64  # characters of a fallback tag's two parts


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the list of referrers where there is no referrers API.

    Distribution-spec 1.1, "Referrers Tag Schema".
    """
    return f"{subject.algorithm[:_LONGEST_ALGORITHM]}-{subject.encoded[:_LONGEST_ENCODED]}"


def cosign_tags(subject: Digest) -> list[str]:
    """Return the tags under which cosign keeps what it knows of a manifest.

    There are none for a sha512 digest, with which they would be longer than a tag can be: some
    registries answer 400 to those.
    """
    tags = (f"{subject.algorithm}-{subject.encoded}{suffix}" for suffix in _COSIGN_SUFFIXES)
    return [tag for tag in tags if len(tag) <= LONGEST_TAG]


def with_referrers(present: Manifest | None, manifests: Iterable[Manifest]) -> Manifest | None:
    """Return the list of a subject's referrers with ``manifests`` added to it.

    ``present`` is the list that the registry has; what else it says stays in it. ``None`` means
    that nothing is missing there.
    """
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX}
    document |= json.loads(present.content) if present else {}
    listed = document.get("manifests") or []  # Go writes an empty list as null
    known = {value["digest"] for value in listed}
    new = [m.as_referrer() for m in manifests if m.digest not in known]
    if not new:
        return None
    content = json.dumps({**document, "manifests": [*listed, *new]}, separators=(",", ":"))
    return Manifest.parse(content.encode())
