"""The signature of a payload: it says who made the payload, with an SSH key and ``ssh-keygen``.

The entry ``signature`` is the output of ``ssh-keygen -Y sign`` for the signed text, with the
namespace ``docker-charon`` (OpenSSH, PROTOCOL.sshsig). An Ed25519 key always makes the same
signature of the same payload; an ECDSA key or a security token does not.

The key may be in a file, in an agent or on a security token, and may have a passphrase;
``ssh-keygen`` handles this.
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
from collections.abc import Iterator
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.messages import one_line
from docker_charon.payload.format.paths import SIGNATURE_PATH
from docker_charon.payload.random_access import file_errors
from docker_charon.value import dataclass

LONGEST_SIGNATURE = 64 * 1024
"""Bytes; a signature of the longest RSA key has 6,000, and it may include a certificate."""

NAMESPACE = "docker-charon"

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE = 70  # characters of base64, as ssh-keygen writes them
_MAGIC = b"SSHSIG"
_INSTALL = "install OpenSSH 8.2 or newer (the package openssh-client)"
_NOT_BELIEVED = "ask the sender, and do not use the payload"
_KEY_LINE = re.compile(rb"\s*(?:(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+\s+AAAA|-----BEGIN )")
"""How lines of public keys (a type and base64) and of private keys begin."""
_FRAME = "@"
"""What the lines around a warning of ssh-keygen begin with."""


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
        if namespace != NAMESPACE.encode() or reserved:
            raise PayloadError(
                f"the payload's {SIGNATURE_PATH} was made for something else than payloads",
                hint=_NOT_BELIEVED,
            )
        fingerprint = base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
        return cls(content, one_line(f"{key_type} SHA256:{fingerprint}"))

    def verify(self, text: bytes, allowed_signers: str | os.PathLike[str], payload: str) -> str:
        """Return the name, in the file ``allowed_signers``, of the person who signed ``text``.

        The format of the file is described in ssh-keygen(1), ALLOWED SIGNERS. ``payload`` is the
        name of what is signed. Raises `PayloadError` if none of these persons signed it, or if
        ``ssh-keygen`` or the file is missing.
        """
        allowed = readable_signers(allowed_signers)
        with _temporary_file(self.content, "check the signature") as file:
            options = ["-f", str(allowed), "-s", str(file)]
            search = _ssh_keygen(["-Y", "find-principals", *options], b"")
            names = search.stdout.decode("utf-8", "replace").splitlines()
            if search.returncode or not names:
                raise PayloadError(
                    f"{payload} is signed with {self.key}, which is not in {allowed}"
                    f"{_reason(search)}",
                    hint=_NOT_BELIEVED,
                )
            for name in names:
                verify = ["-Y", "verify", "-n", NAMESPACE, "-I", name, *options]
                checked = _ssh_keygen(verify, text)
                if not checked.returncode:
                    return one_line(name)
        raise PayloadError(
            f"{payload} is not what {one_line(names[0])} signed with {self.key}, or this key may "
            f"not sign payloads{_reason(checked)}",
            hint=_NOT_BELIEVED,
        )


def sign(text: bytes, key: str | os.PathLike[str]) -> bytes:
    """Return the signature of ``text``: the content of the entry.

    ``key`` is the file of a private key, or of a public key whose private key is in an agent.
    Raises `PayloadError` if ``ssh-keygen`` is missing, or cannot sign with the key.
    """
    path = Path(key)
    with _temporary_file(text, "sign the payload") as file:
        # The text is in a file, so that ssh-keygen can ask for a passphrase on standard input.
        done = _ssh_keygen(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(path), str(file)])
        if done.returncode:
            raise PayloadError(
                f"cannot sign with {path}{_reason(done)}",
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


def readable_signers(allowed_signers: str | os.PathLike[str]) -> Path:
    """Return the path of a file that can be one of allowed signers.

    ssh-keygen does not say why it cannot be read, and takes keys without names for other keys.
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


@contextlib.contextmanager
def _temporary_file(content: bytes, purpose: str) -> Iterator[Path]:
    """Yield a file in a new directory that other users cannot read."""
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
    """Run ssh-keygen, with ``text`` as its standard input, or with ours."""
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
    """Return the error message of ssh-keygen in parentheses, if there is one."""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    reasons = [line.strip() for line in lines if not line.startswith(_FRAME)]
    return f" ({reasons[0]})" if reasons else ""
