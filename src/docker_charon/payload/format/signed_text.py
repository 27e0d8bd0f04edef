"""The text that a signature covers: the digests of what describes a payload.

It is what ``sha256sum`` prints for all entries outside of ``blobs/`` and ``deltas/`` except the
signature itself, sorted by name::

    <hexadecimal SHA-256>  index.json
    <hexadecimal SHA-256>  oci-layout
    <hexadecimal SHA-256>  payload_descriptor.json

These entries contain the digests of all manifests, and the manifests those of all blobs, also of
those that are rebuilt from deltas. So nothing else has to be signed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from docker_charon.errors import PayloadError

UNSIGNED_FOLDERS = ("blobs/", "deltas/")
"""Where the entries are whose content is compared with digests in the signed ones."""

_NAME = r"[A-Za-z0-9_./-]+"


def signed_text(documents: Mapping[str, bytes]) -> bytes:
    """Return the text to sign for these entries, whose content is given by name.

    Raises `PayloadError` if a name has characters that would make the text ambiguous.
    """
    for path in documents:
        if not re.fullmatch(_NAME, path):
            raise PayloadError(f"the payload has an entry {path!r}, which cannot be signed")
    return "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(documents.items())
    ).encode()
