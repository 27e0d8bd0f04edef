"""Referrers: signatures, SBOMs and other artifacts about an image (distribution-spec 1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import Manifest, encode_index
from docker_charon.oci.reference import LONGEST_TAG

_COSIGN_SUFFIXES = (".sig", ".att", ".sbom")
_LONGEST_ALGORITHM, _LONGEST_ENCODED = 32, 64  # characters of the two parts of a fallback tag
_TAG_OF_REFERRERS = re.compile(rf"sha(?:256|512)-[0-9a-f]{{{_LONGEST_ENCODED}}}(?:[^0-9a-f].*)?")


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the list of referrers in a registry without a referrers API.

    Distribution-spec 1.1, "Referrers Tag Schema".
    """
    return f"{subject.algorithm[:_LONGEST_ALGORITHM]}-{subject.encoded[:_LONGEST_ENCODED]}"


def cosign_tags(subject: Digest) -> list[str]:
    """Return the tags under which cosign stores signatures, attestations and SBOMs.

    There are none for a sha512 digest: they would be too long for a tag, and some registries
    answer 400 to those.
    """
    tags = (f"{subject.algorithm}-{subject.encoded}{suffix}" for suffix in _COSIGN_SUFFIXES)
    return [tag for tag in tags if len(tag) <= LONGEST_TAG]


def is_tag_of_referrers(tag: str) -> bool:
    """Whether a tag is a fallback tag, or one of cosign's, and not that of an image."""
    return _TAG_OF_REFERRERS.fullmatch(tag) is not None


def with_referrers(present: Manifest | None, manifests: Iterable[Manifest]) -> Manifest | None:
    """Return a subject's list of referrers with ``manifests`` added to it.

    Distribution-spec 1.1, "Pushing Manifests with Subject". ``present`` is the index that the
    registry has now, or ``None``; its other entries and members stay. The result is ``None`` if it
    lists all of ``manifests`` already.
    """
    document = json.loads(present.content) if present else {}
    entries = document.get("manifests") or []  # Go writes an empty list as null
    listed = {entry["digest"] for entry in entries}
    new = [manifest.as_referrer() for manifest in manifests if manifest.digest not in listed]
    return Manifest.parse(encode_index([*entries, *new], document)) if new else None
