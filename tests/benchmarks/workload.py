"""The images that a benchmark carries: incompressible, and put into a registry as they are made."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

import requests

import images

SHARED_LAYERS = 5
SMALL_LAYER = 20_000
REPOSITORIES = 8
PIECE = 1024 * 1024


@dataclass(frozen=True)
class Image:
    """An image in the source registry."""

    repository: str
    tag: str
    blobs: Sequence[dict[str, Any]]
    """Descriptors: the config's, then the layers'."""

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def size(self) -> int:
        """Bytes of its blobs."""
        return sum(blob["size"] for blob in self.blobs)


def put_image(registry: str, repository: str, folder: Path, sizes: Sequence[int]) -> Image:
    """Put an image with layers of these sizes into a registry, by way of files in ``folder``."""
    layers, diff_ids = [], []
    for size in sizes:
        file = folder / "layer"
        layer, diff_id = _write_layer(file, size)
        with file.open("rb") as content:
            _put_blob(registry, repository, layer["digest"], content)
        file.unlink()
        layers.append(layer)
        diff_ids.append(diff_id)
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    images.put_blob(registry, repository, config)
    described = images.descriptor(images.CONFIG_TYPES[images.DOCKER], config)
    document = {"schemaVersion": 2, "mediaType": images.DOCKER}
    manifest = json.dumps({**document, "config": described, "layers": layers}).encode()
    images.put(registry, f"{repository}:1", images.TestImage(manifest, images.DOCKER))
    return Image(repository, "1", [described, *layers])


def put_small_images(registry: str, count: int) -> list[str]:
    """Put images of six layers, five of them everybody's, into a registry; return their names."""
    shared = [images.layer(number, SMALL_LAYER) for number in range(SHARED_LAYERS)]
    for repository in range(REPOSITORIES):
        for layer in shared:
            images.put_blob(registry, f"family-{repository}", layer)

    def put(number: int) -> str:
        own = images.layer(SHARED_LAYERS + number, SMALL_LAYER)
        image = images.image(*shared, own)
        name = f"family-{number % REPOSITORIES}:{number}"
        images.put(registry, name, dataclasses.replace(image, blobs=[image.blobs[0], own]))
        return name

    with ThreadPoolExecutor(4) as workers:
        return list(workers.map(put, range(count)))


def _write_layer(path: Path, size: int) -> tuple[dict[str, Any], str]:
    """Write a gzipped tar of one file of ``size`` bytes; return its descriptor and diff ID."""
    diff_id, digest = hashlib.sha256(), hashlib.sha256()
    with gzip.open(path, "wb", compresslevel=0) as compressed:
        for piece in _archive(size):
            diff_id.update(piece)
            compressed.write(piece)
    with path.open("rb") as file:
        while content := file.read(PIECE):
            digest.update(content)
    described = {
        "mediaType": images.LAYER_TYPES[images.DOCKER],
        "digest": f"sha256:{digest.hexdigest()}",
        "size": path.stat().st_size,
    }
    return described, f"sha256:{diff_id.hexdigest()}"


def _archive(size: int) -> Iterator[bytes]:
    """Yield a tar of one file that nobody can compress."""
    member = tarfile.TarInfo("noise")
    member.size = size
    yield member.tobuf()
    for start in range(0, size, PIECE):
        yield os.urandom(min(PIECE, size - start))
    yield bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def _put_blob(registry: str, repository: str, digest: str, content: IO[bytes]) -> None:
    """Put a blob from a file: in memory it would count as the memory of every child."""
    base = f"http://{registry}/v2/{repository}/blobs"
    started = requests.post(f"{base}/uploads/", timeout=20)
    location = urljoin(started.url, started.headers["Location"])
    answer = requests.put(location, params={"digest": digest}, data=content, timeout=600)
    answer.raise_for_status()
