"""A signed archive: its signature, compared with the entries that the signature covers."""

from __future__ import annotations

import os

from docker_charon.errors import PayloadError
from docker_charon.messages import argument, get_logger
from docker_charon.payload.archives.archive import Archive
from docker_charon.payload.format.limits import LONGEST_DOCUMENT
from docker_charon.payload.format.paths import SIGNATURE_PATH
from docker_charon.payload.format.signed_text import UNSIGNED_FOLDERS, signed_text
from docker_charon.payload.signature.allowed_signers import readable_signers
from docker_charon.payload.signature.signature import LONGEST_SIGNATURE, Signature

_MOST_DOCUMENTS = 16  # entries that are signed; a payload has three of them

_log = get_logger(__name__)


def read_signature(archive: Archive) -> Signature | None:
    """Return the signature of a payload, or ``None`` if it has none.

    Raises `PayloadError` if the entry is not a signature.
    """
    info = archive.entries.get(SIGNATURE_PATH)
    if info is None:
        return None
    return Signature.parse(archive.read(info, LONGEST_SIGNATURE))


def verify_signature(archive: Archive, allowed_signers: str | os.PathLike[str]) -> str:
    """Verify the signature of a payload; return which of the ``allowed_signers`` signed it.

    The content that was verified is kept and used later, because the file could give other bytes
    when it is read again. Raises `PayloadError` if none of them signed what is in the payload.
    """
    signers = readable_signers(allowed_signers)
    signature = read_signature(archive)
    if signature is None:
        raise PayloadError(
            f"{archive.name} is not signed, and only signers in {signers} are allowed",
            hint=f"get one that was written with {argument('--sign', 'sign=')}",
        )
    documents = [
        info
        for path, info in archive.entries.items()
        if not path.startswith(UNSIGNED_FOLDERS) and path != SIGNATURE_PATH
    ]
    if len(documents) > _MOST_DOCUMENTS:
        raise PayloadError(
            f"the payload has {len(documents)} entries outside of blobs/ and deltas/"
        )
    for info in documents:
        archive.verified[info.filename] = archive.read(info, LONGEST_DOCUMENT)
    signer = signature.verify(signed_text(archive.verified), signers, archive.name)
    _log.info("%s is signed by %s, with the key %s", archive.name, signer, signature.key)
    return signer
