"""The image of the tour: a few megabytes of noise for two platforms, and a signature of it."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Manifest
from docker_charon.registry.client import RegistryClient

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_SIGNATURE = "application/vnd.example.signature.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"
_BASE_SIZES = (2_000_000, 1_000_000, 500_000)  # bytes of the layers that all versions share
_APP_SIZE = 300_000  # and of the one that is new in each
_ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class _Part:
    """A blob to be put."""

    media_type: str
    content: bytes

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self.content), len(self.content))

    def as_json(self) -> dict[str, Any]:
        own = self.descriptor
        return {"mediaType": own.media_type, "digest": own.digest, "size": own.size}


@dataclass(frozen=True, slots=True)
class Parts:
    """All of an image: its manifests, the root before the last, which signs it, and its blobs."""

    manifests: Sequence[Manifest]
    blobs: dict[Digest, _Part]


def build(version: int) -> Parts:
    """Return a version of the image, the same each time: for two platforms, and signed."""
    blobs: list[_Part] = []
    manifests: list[Manifest] = []
    for n, architecture in enumerate(_ARCHITECTURES):
        layers = [_layer(f"base-{i}", 10 * n + i, size) for i, size in enumerate(_BASE_SIZES)]
        layers += [_layer(f"app-{v}", 1000 * v + n, _APP_SIZE) for v in range(1, version + 1)]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(tar) for tar, _ in layers]},
        }
        parts = [_Part(OCI_CONFIG, _json(config)), *(part for _, part in layers)]
        blobs += parts
        manifests.append(
            _manifest(
                OCI_MANIFEST,
                config=parts[0].as_json(),
                layers=[part.as_json() for part in parts[1:]],
            )
        )
    children = [
        {**_listed(manifest), "platform": {"os": "linux", "architecture": architecture}}
        for manifest, architecture in zip(manifests, _ARCHITECTURES, strict=True)
    ]
    root = _manifest(OCI_INDEX, manifests=children)
    empty, signature = _Part(_EMPTY, b"{}"), _Part(_SIGNATURE, _json({"signs": root.digest}))
    signed = _manifest(
        OCI_MANIFEST,
        artifactType=_SIGNATURE,
        config=empty.as_json(),
        layers=[signature.as_json()],
        subject=_listed(root),
    )
    every = [*blobs, empty, signature]
    return Parts([*manifests, root, signed], {part.descriptor.digest: part for part in every})


def _layer(name: str, seed: int, size: int) -> tuple[bytes, _Part]:
    """Return a layer of one file of noise: its tar, and what is stored of it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(f"srv/{name}")
        info.size = size
        archive.addfile(info, io.BytesIO(random.Random(seed).randbytes(size)))  # noqa: S311  # no secret
    tar = file.getvalue()
    return tar, _Part(LAYER, gzip.compress(tar, 1, mtime=0))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _manifest(media_type: str, **members: object) -> Manifest:
    return Manifest.parse(_json({"schemaVersion": 2, "mediaType": media_type, **members}))


def _listed(manifest: Manifest) -> dict[str, Any]:
    own = manifest.descriptor
    return {"mediaType": own.media_type, "digest": own.digest, "size": own.size}


def put(client: RegistryClient, repository: str, tag: str, parts: Parts) -> None:
    """Push an image, as a build would."""
    for part in parts.blobs.values():
        if client.head_blob(repository, part.descriptor.digest, to_push=True) is None:
            client.upload_blob(repository, part.descriptor, _Bytes(part.content))
    *_, root, _ = parts.manifests
    for manifest in parts.manifests:
        client.put_manifest(repository, tag if manifest is root else manifest.digest, manifest)


class _Bytes:
    """Content at hand as a body."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
