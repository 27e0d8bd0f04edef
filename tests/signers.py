"""People who sign: their keys, and the files of those who are allowed to."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_key(folder: Path, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a key; return the file of its private part."""
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", str(path)], check=True
    )
    return path


def allow(file: Path, *keys: Path, options: str = "") -> Path:
    """Write the file of those who are allowed to sign: each under ``NAME@example.com``."""
    lines = []
    for key in keys:
        kind, content, _ = key.with_name(f"{key.name}.pub").read_text().split()
        lines.append(f"{key.name}@example.com {options} {kind} {content}\n")
    file.write_text("".join(lines))
    return file
