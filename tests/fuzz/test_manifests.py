"""Manifests and indexes: any JSON, and right ones with wrong members."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from docker_charon.digest import Digest
from docker_charon.errors import DigestMismatch, DockerCharonError
from docker_charon.manifest import MANIFEST_TYPES, Image, Manifest
from fuzz.documents import anything, changed, texts
from fuzz.promise import kept
from images import DOCKER_LIST, OCI, artifact, image, index, layer

APP = image(layer(1, 10), layer(2, 10))
OTHER = image(layer(3, 10), media_type=OCI, annotations={"a": "b"}, subject=APP.descriptor)
ALL = [APP, OTHER, artifact(b"x"), index(APP, OTHER), index(APP, media_type=DOCKER_LIST)]
DOCUMENTS = [json.loads(one.manifest) for one in ALL]
DOCUMENTS[0]["layers"][0].update(urls=["https://example.com/x"], platform={"os": "linux"})

contents = anything | st.sampled_from(DOCUMENTS).flatmap(changed)


@given(contents, st.sampled_from([None, *MANIFEST_TYPES]) | texts)
def test_a_document_is_a_manifest_or_is_refused(content: bytes, media_type: str | None) -> None:
    found = kept(lambda: Manifest.parse(content, media_type))
    if isinstance(found, DockerCharonError):
        return
    assert found.content == content
    assert found.digest == Digest.of(content)
    assert found.media_type in MANIFEST_TYPES
    assert not (found.manifests and not found.is_index)
    for part in (*found.manifests, *found.blobs):
        assert part.digest.encode() in content.replace(b"\\u003a", b":")
        assert 0 <= part.size < 2**63
        assert part.size == 0 or str(part.size).encode() in content
    assert kept(lambda: Manifest.of(found.descriptor, content)) == found


@given(contents)
def test_an_image_of_it_has_every_part_once(content: bytes) -> None:
    found = kept(lambda: Manifest.parse(content))
    if isinstance(found, DockerCharonError):
        return
    known = {one.digest: one.manifest for one in ALL}

    def child(descriptor: object) -> Manifest:
        digest = getattr(descriptor, "digest", "")
        if digest not in known:
            raise DigestMismatch(f"{digest} is not there")
        return Manifest.parse(known[digest], digest=digest)

    collected = kept(lambda: Image.collect(found, child))
    if not isinstance(collected, DockerCharonError):
        assert collected.root is found
        for parts in (collected.manifests, collected.blobs):
            assert len({part.digest for part in parts}) == len(parts)


@given(contents, st.sampled_from(ALL))
def test_no_other_bytes_pass_for_a_digest(content: bytes, one: object) -> None:
    digest = Digest(getattr(one, "digest", ""))
    found = kept(lambda: Manifest.parse(content, digest=digest))
    assert isinstance(found, DockerCharonError) or content == getattr(one, "manifest", b"")
