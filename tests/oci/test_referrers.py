"""Referrers: the tags that find them, and the list that names them."""

from __future__ import annotations

import json

from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.referrers import fallback_tag, with_referrers
from images import OCI_INDEX, artifact, descriptor

SBOM = Manifest.parse(artifact(b"sbom").manifest)


def test_the_fallback_tag_has_at_most_64_digits() -> None:
    assert fallback_tag(Digest.of(b"")) == f"sha256-{Digest.of(b'').encoded}"
    sha512 = Digest.of(b"", "sha512")
    assert fallback_tag(sha512) == f"sha512-{sha512.encoded[:64]}"


def test_a_new_list_has_the_referrers() -> None:
    listed = with_referrers(None, [SBOM])
    assert listed is not None
    assert json.loads(listed.content)["manifests"] == [SBOM.as_referrer()]


def test_what_a_list_has_already_stays_in_it() -> None:
    other = descriptor("application/vnd.example.other", b"other")
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other], "x": 1}
    listed = with_referrers(Manifest.parse(json.dumps(document).encode()), [SBOM])
    assert listed is not None
    assert json.loads(listed.content) == {**document, "manifests": [other, SBOM.as_referrer()]}
    assert with_referrers(listed, [SBOM]) is None


def test_a_list_that_go_wrote_empty_is_extended() -> None:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None}
    listed = with_referrers(Manifest.parse(json.dumps(document).encode()), [SBOM])
    assert listed is not None
    assert listed.manifests[0].digest == SBOM.digest
