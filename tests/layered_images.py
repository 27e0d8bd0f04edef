"""Images whose layers change a little every week, and the deltas of such layers in payloads."""

from __future__ import annotations

import functools
import gzip
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from deltas.layers import noise, tar, text
from docker_charon.deltas import apply_delta
from images import CONFIG_TYPES, DOCKER, LAYER_TYPES, TestImage, descriptor, digest_of

SIZE = 40_000
"""Bytes of the layers, which count as worth it here."""


@functools.cache
def app_layer(week: int, name: str = "app", size: int = SIZE) -> bytes:
    """Return a layer whose content changes a little every week, and all of whose times do."""
    files = {f"{name}/{n}": noise(size // 4, n + 10 * len(name)) for n in range(4)}
    files["version"] = text(1000, week)
    return gzip.compress(tar(files, mtime=week), 1, mtime=0)


def image_of(*layers: bytes, steps: Sequence[str] = ("ADD base", "COPY app")) -> TestImage:
    """Return an image, with the steps that made its layers in its config."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "history": [{"created_by": "ENV A=1", "empty_layer": True}]
        + [{"created_by": step} for step in steps],
        "rootfs": {"type": "layers", "diff_ids": [digest_of(gzip.decompress(x)) for x in layers]},
    }
    content = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER,
        "config": descriptor(CONFIG_TYPES[DOCKER], content),
        "layers": [descriptor(LAYER_TYPES[DOCKER], layer) for layer in layers],
    }
    return TestImage(json.dumps(manifest).encode(), DOCKER, [content, *layers])


@functools.cache
def release(week: int, base: int = 0) -> TestImage:
    return image_of(app_layer(base, "base"), app_layer(week))


def deltas_in(payload: Path) -> dict[str, bytes]:
    """Return the deltas of a payload by the digests of the layers."""
    with zipfile.ZipFile(payload) as archive:
        return {
            ":".join(path.split("/")[1:]): archive.read(path)
            for path in archive.namelist()
            if path.startswith("deltas/")
        }


def rebuilt(payload: Path, olds: Iterable[bytes], tmp_path: Path) -> dict[str, bytes]:
    """Return the layers that a payload has as deltas, rebuilt from old layers."""
    old_files = {}
    for old in olds:
        old_files[digest_of(old)] = tmp_path / f"{digest_of(old)}.old"
        old_files[digest_of(old)].write_bytes(old)
    result = {}
    for digest, delta in deltas_in(payload).items():
        (tmp_path / "delta").write_bytes(delta)
        apply_delta(tmp_path / "delta", old_files, tmp_path / "rebuilt")
        result[digest] = (tmp_path / "rebuilt").read_bytes()
    return result
