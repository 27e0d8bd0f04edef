"""The demo's image: a few megabytes of random bytes for two platforms, and its signature."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Manifest
from docker_charon.registry.client import RegistryClient

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_SIGNATURE = "application/vnd.example.signature.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"
_BASE_SIZES = (2_000_000, 1_000_000, 500_000)  # bytes of the layers that all versions share
_APP_SIZE = 300_000  # bytes of the layer that each version adds
_ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class Blob:
    """A config or a layer in memory, which can be uploaded: see `oci.descriptor.Body`."""

    media_type: str
    content: bytes

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor with which a manifest refers to it."""
        return Descriptor(self.media_type, Digest.of(self.content), len(self.content))

    def __len__(self) -> int:
        return len(self.content)

    def __iter__(self) -> Iterator[bytes]:
        yield self.content


@dataclass(frozen=True, slots=True)
class DemoImage:
    """A version of the image: its children, its index, its signature's manifest, and all blobs."""

    children: Sequence[Manifest]
    index: Manifest
    signature: Manifest
    blobs: dict[Digest, Blob]

    @property
    def manifests(self) -> list[Manifest]:
        """All manifests, in the order in which a registry takes them."""
        return [*self.children, self.index, self.signature]


def build(version: int) -> DemoImage:
    """Return a version of the image for two platforms, with its signature.

    The bytes of a version are always the same.
    """
    blobs: list[Blob] = []
    children: list[Manifest] = []
    for n, architecture in enumerate(_ARCHITECTURES):
        layers = [_layer(f"base-{i}", 10 * n + i, size) for i, size in enumerate(_BASE_SIZES)]
        layers += [_layer(f"app-{v}", 1000 * v + n, _APP_SIZE) for v in range(1, version + 1)]
        diff_ids = [Digest.of(gzip.decompress(layer.content)) for layer in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        children.append(_add_manifest(blobs, Blob(OCI_CONFIG, _json(config)), *layers))
    entries = [
        {
            **child.descriptor.as_json(),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for child, architecture in zip(children, _ARCHITECTURES, strict=True)
    ]
    index = _manifest(OCI_INDEX, manifests=entries)
    signature = _add_manifest(
        blobs,
        Blob(_EMPTY, b"{}"),
        Blob(_SIGNATURE, _json({"signs": index.digest})),
        artifactType=_SIGNATURE,
        subject=index.descriptor.as_json(),
    )
    blobs_by_digest = {blob.descriptor.digest: blob for blob in blobs}
    return DemoImage(children, index, signature, blobs_by_digest)


def _layer(name: str, seed: int, size: int) -> Blob:
    """Return a compressed layer with one file of random bytes."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(f"srv/{name}")
        info.size = size
        archive.addfile(info, io.BytesIO(random.Random(seed).randbytes(size)))  # noqa: S311  # no secret
    return Blob(LAYER, gzip.compress(file.getvalue(), 1, mtime=0))


def _add_manifest(blobs: list[Blob], config: Blob, *layers: Blob, **members: object) -> Manifest:
    """Add a config and layers to ``blobs``; return the manifest of them."""
    blobs += [config, *layers]
    return _manifest(
        OCI_MANIFEST,
        config=config.descriptor.as_json(),
        layers=[layer.descriptor.as_json() for layer in layers],
        **members,
    )


def _manifest(media_type: str, **members: object) -> Manifest:
    return Manifest.parse(_json({"schemaVersion": 2, "mediaType": media_type, **members}))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def put(client: RegistryClient, repository: str, tag: str, image: DemoImage) -> None:
    """Push an image under a tag, as a build does."""
    for blob in image.blobs.values():
        if client.head_blob(repository, blob.descriptor.digest, to_push=True) is None:
            client.upload_blob(repository, blob.descriptor, blob)
    for manifest in image.manifests:
        is_tagged = manifest is image.index
        client.put_manifest(repository, tag if is_tagged else manifest.digest, manifest)
