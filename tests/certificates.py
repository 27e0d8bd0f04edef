"""A certificate authority of our own, and what it signs: made with the ``openssl`` program."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "openssl"
NAMES = ("DNS:localhost", "IP:127.0.0.1")
"""What the servers of the tests are called."""

_CONFIG = """
[req]
prompt = no
distinguished_name = subject
[subject]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {alternatives}
"""

_CA = """
[ca]
default_ca = these
[these]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
default_startdate = {start}
default_enddate = {end}
policy = any
[any]
commonName = supplied
"""


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


@dataclass(frozen=True)
class Certificate:
    """A certificate and its RSA key, as PEM files."""

    file: Path
    key: Path

    @property
    def der(self) -> str:
        """The certificate as an ``x5c`` header carries it (RFC 7515, section 4.1.6)."""
        return base64.b64encode(ssl.PEM_cert_to_DER_cert(self.file.read_text())).decode()

    def sign(self, content: bytes) -> bytes:
        """Sign as RS256 does: RSASSA-PKCS1-v1_5 with SHA-256."""
        return _openssl("dgst", "-sha256", "-sign", str(self.key), stdin=content)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def authority(folder: Path, name: str = "authority") -> Certificate:
    """Make an authority that nobody trusts yet."""
    return _make(folder, name, "authority", ())


def install(issuer: Certificate, folder: Path) -> None:
    """Put the certificate of an authority into a folder as OpenSSL looks for it there."""
    name = _openssl("x509", "-hash", "-noout", "-in", str(issuer.file)).decode().strip()
    shutil.copy(issuer.file, folder / f"{name}.0")


def server_certificate(
    issuer: Certificate, folder: Path, alternatives: tuple[str, ...] = NAMES
) -> Certificate:
    """Make a certificate that ``issuer`` gives to the server of these names."""
    return _make(folder, "server", "server", _signed_by(issuer), alternatives)


EXPIRED = ("20200101000000Z", "20210101000000Z")
NOT_YET_VALID = ("20900101000000Z", "20910101000000Z")


def server_certificate_valid(
    issuer: Certificate, folder: Path, period: tuple[str, str]
) -> Certificate:
    """Make a server's certificate that is valid from one time until another (in ASN.1's form)."""
    made = server_certificate(issuer, folder)
    request = folder / "server.csr"
    _openssl(
        "x509", "-x509toreq", "-in", str(made.file), "-signkey", str(made.key), "-out", request
    )
    (folder / "index").touch()
    (folder / "serial").write_text("1000\n")
    config = folder / "ca.cnf"
    config.write_text(
        (folder / "server.cnf").read_text()
        + _CA.format(folder=folder, start=period[0], end=period[1])
    )
    _openssl(
        *("ca", "-batch", "-notext", "-config", config, "-extensions", "server"),
        *("-cert", issuer.file, "-keyfile", issuer.key, "-in", request, "-out", made.file),
    )
    return made


def client_certificate(issuer: Certificate, folder: Path, name: str = "client") -> Certificate:
    """Make a certificate by which ``issuer`` lets a user identify himself."""
    return _make(folder, name, "client", _signed_by(issuer))


def encrypted(key: Path, target: Path) -> Path:
    """Write ``key`` to ``target``, under a password."""
    _openssl("pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(target))
    return target


def _signed_by(issuer: Certificate) -> tuple[str, ...]:
    return "-CA", str(issuer.file), "-CAkey", str(issuer.key)


def _make(
    folder: Path,
    name: str,
    kind: str,
    signing: tuple[str, ...],
    alternatives: tuple[str, ...] = NAMES,
) -> Certificate:
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    config = folder / f"{name}.cnf"
    config.write_text(_CONFIG.format(name=f"test {name}", alternatives=", ".join(alternatives)))
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", str(config)),
        *("-extensions", kind, "-keyout", str(made.key), "-out", str(made.file), *signing),
    )
    return made


def _openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{PROGRAM} {arguments[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout
