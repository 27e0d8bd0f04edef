"""Layers as podman and buildah build them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from conftest import require


def built_layer(folder: Path, files: Mapping[str, bytes], builder: str = "podman") -> bytes:
    """Build an image of one layer with ``files``, push it, and return the layer."""
    require(shutil.which(builder) is not None, builder)
    context, image = folder / "context", folder / "image"
    context.mkdir(parents=True)
    recipe = folder / "Containerfile"
    for name, content in files.items():
        (context / name).write_bytes(content)
    recipe.write_text("FROM scratch\nCOPY . /app\n")
    command = [
        *(builder, "--root", str(folder / "root"), "--runroot", str(folder / "run")),
        *("--storage-driver", "vfs"),
    ]
    for arguments in (
        [
            "build",
            "--quiet",
            "--tag",
            "built",
            "--file",
            str(folder / "Containerfile"),
            str(folder),
        ],
        ["push", "--quiet", "--compress", "built", f"dir:{image}"],
    ):
        subprocess.run([*command, *arguments], capture_output=True, check=True)
    manifest = json.loads((image / "manifest.json").read_text())
    (layer,) = manifest["layers"]
    return (image / layer["digest"].removeprefix("sha256:")).read_bytes()
