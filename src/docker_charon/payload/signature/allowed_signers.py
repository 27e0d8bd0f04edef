"""The file of allowed signers: people and their public keys (ssh-keygen(1), ALLOWED SIGNERS)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.payload.random_access import file_errors

_KEY_LINE = re.compile(rb"\s*(?:(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+\s+AAAA|-----BEGIN )")
"""How lines of public keys (a type and base64) and of private keys begin."""


def readable_signers(allowed_signers: str | os.PathLike[str]) -> Path:
    """Return the path of a file that can be one of allowed signers.

    Raises `PayloadError` if it cannot be read, is not text, or has keys without names. ssh-keygen
    would not say why, and would say of such keys that they are others.
    """
    path = Path(allowed_signers)
    with file_errors(f"cannot read the allowed signers in {path}"):
        content = path.read_bytes()
    if b"\0" in content:
        raise PayloadError(
            f"{path} is not a file of allowed signers: it is not text in UTF-8",
            hint="save it as UTF-8",
        )
    if any(_KEY_LINE.match(line) for line in content.splitlines()):
        raise PayloadError(
            f"{path} is not a file of allowed signers: it has keys without names",
            hint="write the name of the signer before each public key: me@example.com ssh-ed25519 "
            "AAAA...",
        )
    return path
