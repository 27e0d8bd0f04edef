"""The signature of a payload: who made it, by a key of SSH and the ``ssh-keygen`` of OpenSSH.

What is signed is the text that ``sha256sum`` prints of all entries outside of ``blobs/``, in the
order of their names, without the signature itself::

    <hexadecimal SHA-256>  index.json
    <hexadecimal SHA-256>  oci-layout
    <hexadecimal SHA-256>  payload_descriptor.json

These entries name every manifest and every blob that is believed by its digest, so that nothing
else needs a signature. The entry ``signature`` has the signature as ``ssh-keygen -Y sign`` writes
it, in the namespace ``docker-charon`` (OpenSSH, PROTOCOL.sshsig). The same key signs the same
payload with the same bytes if it is an Ed25519 key.

Keys may be in files, in an agent or on a security token, and may have a passphrase: ``ssh-keygen``
deals with that.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.messages import one_line
from docker_charon.payload.random_access import file_errors

SIGNATURE_PATH = "signature"
"""The name of the entry."""

LONGEST_SIGNATURE = 64 * 1024
"""Bytes; those of the longest RSA keys have 6,000, and a certificate may be in it."""

NAMESPACE = "docker-charon"

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE = 70  # characters of base64, as ssh-keygen writes them
_MAGIC = b"SSHSIG"
_NAME = re.compile(r"[\w./-]+", re.ASCII)
_INSTALL = "install OpenSSH 8.2 or newer (the package openssh-client)"
_NOT_BELIEVED = "ask the sender, and do not use the payload"


def signed_text(documents: Mapping[str, bytes]) -> bytes:
    """Return the text that is signed, of the content of entries by name.

    Raises `PayloadError` for a name that would make two texts of one, or one of two.
    """
    for path in documents:
        if not _NAME.fullmatch(path):
            raise PayloadError(f"the payload has {path!r}, which no signature covers")
    return "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(documents.items())
    ).encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as a payload has it; nothing is known of who made it until `verify`.

    ``key`` is the type and the fingerprint of the key that it claims, as ``ssh-keygen -l`` shows
    them: ``ssh-ed25519 SHA256:...``.
    """

    content: bytes
    key: str

    @classmethod
    def parse(cls, content: bytes) -> Signature:
        """Read a signature; raise `PayloadError` for anything that ssh-keygen would not write."""
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
        if namespace != NAMESPACE.encode() or reserved:
            raise PayloadError(
                f"the payload's {SIGNATURE_PATH} was made for something else than payloads",
                hint=_NOT_BELIEVED,
            )
        fingerprint = base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
        return cls(content, one_line(f"{key_type} SHA256:{fingerprint}"))

    def verify(self, text: bytes, allowed_signers: str | os.PathLike[str]) -> str:
        """Return who of ``allowed_signers`` signed ``text``: the name that stands there.

        ``allowed_signers`` is a file as ssh-keygen(1) describes it under ALLOWED SIGNERS. Raises
        `PayloadError` when nobody of them did, and when ``ssh-keygen`` or the file is missing.
        """
        allowed = _readable(allowed_signers)
        with _temporary_file(self.content, "check the signature") as file:
            options = ["-f", str(allowed), "-s", str(file)]
            found = _ssh_keygen(["-Y", "find-principals", *options], b"")
            names = found.stdout.decode("utf-8", "replace").splitlines()
            if found.returncode or not names:
                raise PayloadError(
                    f"the payload is signed with {self.key}, which is no key of {allowed}"
                    f"{_reason(found)}",
                    hint=_NOT_BELIEVED,
                )
            for name in names:
                verify = ["-Y", "verify", "-n", NAMESPACE, "-I", name, *options]
                checked = _ssh_keygen(verify, text)
                if not checked.returncode:
                    return one_line(name)
        raise PayloadError(
            f"the payload is not what {one_line(names[0])} signed with {self.key}, or this key may "
            f"not sign payloads{_reason(checked)}",
            hint=_NOT_BELIEVED,
        )


def sign(text: bytes, key: str | os.PathLike[str]) -> bytes:
    """Return the signature of ``text``, as an entry has it.

    ``key`` is the file of a private key, or of the public key whose private one an agent has.
    Raises `PayloadError` when ``ssh-keygen`` is missing, or cannot sign with it.
    """
    path = Path(key)
    with _temporary_file(text, "sign the payload") as file:
        # The text is in a file, so that ssh-keygen can ask for a passphrase on standard input.
        done = _ssh_keygen(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(path), str(file)])
        if done.returncode:
            raise PayloadError(
                f"cannot sign with {path}{_reason(done)}",
                hint="name the file of a private key, or of a public key that an agent has",
            )
        content = file.with_name(f"{file.name}.sig").read_bytes()
    Signature.parse(content)
    return content


def _dearmored(content: bytes) -> bytes:
    """Return what is between the first and the last line, if it is written as ssh-keygen does."""
    lines = content.decode("ascii").splitlines()[1:-1]
    blob = base64.b64decode("".join(lines), validate=True)
    encoded = base64.b64encode(blob).decode()
    expected = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    if content.decode("ascii") != "\n".join([_BEGIN, *expected, _END, ""]):
        raise ValueError("it is written differently")
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


def _readable(allowed_signers: str | os.PathLike[str]) -> Path:
    """Return a file that can be read; ssh-keygen says less about one that cannot."""
    path = Path(allowed_signers)
    with file_errors(f"cannot read the allowed signers in {path}"), path.open("rb"):
        return path


@contextlib.contextmanager
def _temporary_file(content: bytes, purpose: str) -> Iterator[Path]:
    """Yield a file in a directory of its own, which nobody else can read."""
    with (
        file_errors(f"cannot {purpose}"),
        tempfile.TemporaryDirectory(prefix="docker-charon-") as folder,
    ):
        path = Path(folder) / "file"
        path.write_bytes(content)
        yield path


def _ssh_keygen(
    arguments: list[str], text: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen; ``text`` takes the place of standard input."""
    try:
        return subprocess.run(  # noqa: S603  # no shell, and the arguments are paths and names
            ["ssh-keygen", *arguments],  # noqa: S607  # OpenSSH's, wherever it is installed
            input=text,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise PayloadError("there is no ssh-keygen on this machine", hint=_INSTALL) from error


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what ssh-keygen says of a failure, if it says something."""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f" ({lines[0].strip()})" if lines else ""
