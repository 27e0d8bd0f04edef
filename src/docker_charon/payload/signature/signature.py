"""The signature of a payload: it says who made the payload, with an SSH key and ``ssh-keygen``.

The entry ``signature`` is the output of ``ssh-keygen -Y sign`` for the signed text, with the
namespace ``docker-charon`` (OpenSSH, PROTOCOL.sshsig). An Ed25519 key always makes the same
signature of the same payload; an ECDSA key or a security token does not.

The key may be in a file, in an agent or on a security token, and may have a passphrase;
``ssh-keygen`` handles this.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.messages import one_line
from docker_charon.payload.format.paths import SIGNATURE_PATH
from docker_charon.payload.signature.ssh_keygen import file_with, reason, ssh_keygen
from docker_charon.value import dataclass

LONGEST_SIGNATURE = 64 * 1024
"""Bytes; a signature of the longest RSA key has 6,000, and it may include a certificate."""

_NAMESPACE = "docker-charon"

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE = 70  # characters of base64, as ssh-keygen writes them
_MAGIC = b"SSHSIG"
_NOT_BELIEVED = "ask the sender, and do not use the payload"


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature in a payload. Until `verify` it is not known whether it is genuine.

    ``key`` is the type and the fingerprint of the key that it claims to be made with, as
    ``ssh-keygen -l`` shows them: ``ssh-ed25519 SHA256:...``.
    """

    content: bytes
    key: str

    @classmethod
    def parse(cls, content: bytes) -> Signature:
        """Parse a signature; raise `PayloadError` unless ssh-keygen would write it like this."""
        try:
            blob = _dearmored(content)
            fields = list(_fields(blob))
            public_key, namespace, reserved, _, _ = fields
            key_type = next(_strings(public_key)).decode("ascii")
        except (ValueError, StopIteration, struct.error):
            raise PayloadError(
                f"the payload's {SIGNATURE_PATH} is not a signature of ssh-keygen",
                hint=_NOT_BELIEVED,
            ) from None
        if namespace != _NAMESPACE.encode() or reserved:
            raise PayloadError(
                f"the payload's {SIGNATURE_PATH} was made for something else than payloads",
                hint=_NOT_BELIEVED,
            )
        fingerprint = base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
        return cls(content, one_line(f"{key_type} SHA256:{fingerprint}"))

    def verify(self, text: bytes, allowed: Path, payload: str) -> str:
        """Return the name, in the file of allowed signers, of the person who signed ``text``.

        ``allowed`` is that file (see `readable_signers`), and ``payload`` is the name of what is
        signed. Raises `PayloadError` if none of these persons signed it, or if ``ssh-keygen`` is
        missing.
        """
        with file_with(self.content, "check the signature") as file:
            options = ["-f", str(allowed), "-s", str(file)]
            search = ssh_keygen(["-Y", "find-principals", *options], b"")
            names = search.stdout.decode("utf-8", "replace").splitlines()
            if search.returncode or not names:
                raise PayloadError(
                    f"{payload} is signed with {self.key}, which is not in {allowed}"
                    f"{reason(search)}",
                    hint=_NOT_BELIEVED,
                )
            for name in names:
                verify = ["-Y", "verify", "-n", _NAMESPACE, "-I", name, *options]
                checked = ssh_keygen(verify, text)
                if not checked.returncode:
                    return one_line(name)
        raise PayloadError(
            f"{payload} is not what {one_line(names[0])} signed with {self.key}, or this key may "
            f"not sign payloads{reason(checked)}",
            hint=_NOT_BELIEVED,
        )


def sign(text: bytes, key: str | os.PathLike[str]) -> bytes:
    """Return the signature of ``text``: the content of the entry.

    ``key`` is the file of a private key, or of a public key whose private key is in an agent.
    Raises `PayloadError` if ``ssh-keygen`` is missing, or cannot sign with the key.
    """
    path = Path(key)
    with file_with(text, "sign the payload") as file:
        # The text is in a file, so that ssh-keygen can ask for a passphrase on standard input.
        done = ssh_keygen(["-Y", "sign", "-q", "-n", _NAMESPACE, "-f", str(path), str(file)])
        if done.returncode:
            raise PayloadError(
                f"cannot sign with {path}{reason(done)}",
                hint="use the file of a private key that only you can read (chmod 600), or of a "
                "public key that an agent has",
            )
        content = file.with_name(f"{file.name}.sig").read_bytes()
    Signature.parse(content)
    return content


def _dearmored(content: bytes) -> bytes:
    """Decode the base64 between the first and the last line; no other way to write it is valid."""
    lines = content.decode("ascii").splitlines()[1:-1]
    blob = base64.b64decode("".join(lines), validate=True)
    encoded = base64.b64encode(blob).decode()
    expected = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    if content.decode("ascii") != "\n".join([_BEGIN, *expected, _END, ""]):
        raise ValueError("it is not written as ssh-keygen does it")
    return blob


def _fields(blob: bytes) -> Iterator[bytes]:
    """Yield the strings of a signature: key, namespace, reserved, hash algorithm, signature."""
    if blob[: len(_MAGIC)] != _MAGIC or blob[len(_MAGIC) :][:4] != struct.pack(">L", 1):
        raise ValueError("it is not a signature of version 1")
    yield from _strings(blob[len(_MAGIC) + 4 :])


def _strings(blob: bytes) -> Iterator[bytes]:
    """Yield strings, each after its length (RFC 4251, section 5)."""
    while blob:
        (size,) = struct.unpack_from(">L", blob)
        if size > len(blob) - 4:
            raise ValueError("it was cut short")
        yield blob[4 : 4 + size]
        blob = blob[4 + size :]
