"""Layers as podman and buildah build them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from conftest import require


def built_layer(files: Mapping[str, bytes], builder: str = "podman") -> bytes:
    """Build an image of one layer with ``files``, push it, and return the layer."""
    require(shutil.which(builder) is not None, builder)
    with tempfile.TemporaryDirectory() as name:  # podman refuses long paths
        folder = Path(name)
        context, image, recipe = folder / "context", folder / "image", folder / "Containerfile"
        context.mkdir()
        for file, content in files.items():
            (context / file).write_bytes(content)
        recipe.write_text("FROM scratch\nCOPY . /app\n")
        command = [
            *(builder, "--root", str(folder / "root"), "--runroot", str(folder / "run")),
            *("--storage-driver", "vfs"),
        ]
        compress = ["--compress"] if builder == "podman" else []
        for arguments in (
            ["build", "--quiet", "--tag", "built", "--file", str(recipe), str(context)],
            ["push", "--quiet", *compress, "built", f"dir:{image}"],
        ):
            subprocess.run([*command, *arguments], capture_output=True, check=True)
        manifest = json.loads((image / "manifest.json").read_text())
        (layer,) = manifest["layers"]
        return (image / str(layer["digest"]).removeprefix("sha256:")).read_bytes()
