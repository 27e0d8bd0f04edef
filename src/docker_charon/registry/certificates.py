"""Certificates: the authorities to trust, and the client certificate to show to a registry.

Docker and Podman read them from a folder for each registry, ``certs.d/HOST[:PORT]``: files
``*.crt`` are authorities to trust besides the usual ones, and ``NAME.cert`` with ``NAME.key`` are a
client certificate and its key. All files are in PEM; an authority may be in DER.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from docker_charon.errors import RegistryError
from docker_charon.messages import get_logger
from docker_charon.oci.host import DOCKER_HUB_HOSTS, is_docker_hub
from docker_charon.special_file import StrPath, read_all, require_file
from docker_charon.value import dataclass
from docker_charon.written_text import decoded, is_marked

SYSTEM_FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
"""Where the machine's own folders are; each user may have others, which come before them."""

BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name the usual authorities, the first one that is set.

Without them, the usual ones are those of the machine, and those that come with requests.
"""

SYSTEM_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)
"""Where systems keep their authorities, for a Python that does not know that of this system."""
_DER = b"\x30\x82"
"""What a certificate in DER begins with: a sequence whose length takes two bytes."""

_LONGEST_FILE = 64 * 1024 * 1024
"""Bytes of a file; the authorities of a system take less than one million."""

_log = get_logger(__name__)

CertificateArgument = StrPath | tuple[StrPath, StrPath]
"""One file with a certificate and its key, or two files."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The files of a client certificate and of its key; they may be one file."""

    file: Path
    key: Path

    @classmethod
    def of(cls, argument: CertificateArgument) -> ClientCertificate:
        """Return what a caller names: one path, or the pair of the certificate's and the key's."""
        file, key = argument if isinstance(argument, tuple) else (argument, argument)
        return cls(Path(file), Path(key))


@dataclass(frozen=True, slots=True)
class Certificates:
    """Authorities to trust besides the usual ones, and the client certificate, if there is one."""

    authorities: tuple[Path, ...] = ()
    client: ClientCertificate | None = None


def find_certificates(registry: str) -> Certificates:
    """Return the certificates in ``certs.d`` for ``registry``: the user's, then the machine's.

    The authorities of all folders are trusted. The client certificate is the first one, by folder
    and by name. What this user may not read is left out with a warning. Raises `RegistryError` for
    a certificate without its key, and for a key without its certificate.
    """
    authorities: list[Path] = []
    clients: list[ClientCertificate] = []
    for folder in _folders(registry):
        names = _names(folder)
        for name in names:
            path = folder / name
            if path.suffix == ".crt" and _is_readable(path):
                authorities.append(path)
            elif path.suffix == ".cert":
                key = path.with_suffix(".key")
                _require(key, names, f"the client certificate {path} has no key beside it")
                if _is_readable(path) and _is_readable(key):
                    clients.append(ClientCertificate(path, key))
            elif path.suffix == ".key":
                file = path.with_suffix(".cert")
                _require(file, names, f"the key {path} has no client certificate beside it")
    return Certificates(tuple(authorities), clients[0] if clients else None)


def tls_context(certificates: Certificates, cacert: StrPath | None = None) -> ssl.SSLContext:
    """Return settings of TLS that trust the usual authorities, ``cacert`` and ``certificates``.

    Raises `RegistryError` for a file that cannot be read or is in neither PEM nor DER, for a client
    certificate or a key that is not in PEM, and for a key that is encrypted: no password is asked
    for.
    """
    context = create_urllib3_context()
    # As Docker does, trust an authority in the middle of a chain, and take certificates that lack
    # extensions which RFC 5280 wants: those of many private authorities do.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    variable = next((name for name in BUNDLE_VARIABLES if os.environ.get(name)), None)
    if variable is None:
        _trust_system(context)
        _trust(context, DEFAULT_CA_BUNDLE_PATH)
    else:
        _trust(context, os.environ[variable], f", which {variable} names,")
    if cacert is not None:
        _trust(context, cacert)
    for authority in certificates.authorities:
        try:
            _trust(context, authority)
        except RegistryError as error:  # Docker and Podman ignore it
            _log.warning("%s; it is ignored", error)
    if certificates.client is not None:
        _identify(context, certificates.client)
    return context


def _folders(registry: str) -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises where there is none
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    names = [registry]
    if is_docker_hub(registry):
        names = sorted(DOCKER_HUB_HOSTS)
    elif registry.endswith(":443"):
        names.append(registry.removesuffix(":443"))
    elif not registry.rpartition(":")[2].isdigit():
        names.append(f"{registry}:443")
    for folder in (config / "containers/certs.d", config / "docker/certs.d", *SYSTEM_FOLDERS):
        for name in names:
            # A file's name has no colon on Windows, and Docker leaves it out there.
            yield folder / (name.replace(":", "") if os.name == "nt" else name)


def _names(folder: Path) -> list[str]:
    """Return the names of the files in a folder; one that cannot be read has none."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _log.debug("cannot read %s: %s", folder, error.strerror)
        return []


def _require(path: Path, names: list[str], problem: str) -> None:
    if path.name not in names:
        raise RegistryError(
            problem,
            hint=f"add {path.name}, or move the file away; an authority's file ends in .crt",
        )


def _is_readable(path: Path) -> bool:
    if os.access(path, os.R_OK):
        return True
    _log.warning("%s cannot be read by this user; it is ignored", path)
    return False


def _trust_system(context: ssl.SSLContext) -> None:
    """Trust the authorities of the machine, as Docker and Podman do, if it has any.

    Companies install their own authority there. A file in a folder that this user may not search is
    passed over.
    """
    context.load_default_certs()
    # Path.is_file() raises PermissionError before Python 3.14.
    bundle = next((path for path in SYSTEM_BUNDLES if os.path.isfile(path)), None)  # noqa: PTH113
    if ssl.get_default_verify_paths().cafile is None and bundle is not None:
        with contextlib.suppress(OSError):  # an SSLError is an OSError
            context.load_verify_locations(bundle)


def _trust(context: ssl.SSLContext, path: StrPath, origin: str = "") -> None:
    """Trust the authorities in a file, or in a folder that OpenSSL can search (``c_rehash``).

    A file is in PEM, or a single certificate in DER, as Windows exports it. ``origin`` says in the
    message who names the file.
    """
    name = os.fspath(path)
    content = None
    if not os.path.isdir(name):  # noqa: PTH112  # Path.is_dir() may raise
        content = _content_of(name, f"the certificates in {name}{origin.rstrip(',')}")
    try:
        if content is None:
            context.load_verify_locations(capath=name)
        elif content.startswith(_DER):
            context.load_verify_locations(cadata=content)
        elif is_marked(content):  # OpenSSL reads no text of Windows
            context.load_verify_locations(
                cadata=decoded(content).encode("ascii", "ignore").decode()
            )
        else:
            context.load_verify_locations(name)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise RegistryError(f"{name}{origin} holds no certificates in PEM or DER") from error


def _identify(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """Load the client certificate and its key."""
    _check_pem(client.file, b"CERTIFICATE-----", "certificate")
    _check_pem(client.key, b"PRIVATE KEY-----", "private key")
    is_encrypted = False

    def password() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        return ""

    try:
        context.load_cert_chain(client.file, client.key, password)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        if is_encrypted:
            raise RegistryError(
                f"the private key in {client.key} is encrypted",
                hint="decrypt it, for example with: openssl pkey -in KEY -out NEW-KEY",
            ) from error
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise RegistryError(
                f"the private key in {client.key} does not belong to the certificate in "
                f"{client.file}"
            ) from error
        raise RegistryError(
            f"{client.file} and {client.key} are not a certificate and its private key in PEM"
        ) from error


def _check_pem(path: Path, marker: bytes, what: str) -> None:
    content = _content_of(path, f"the {what} in {path}")
    if is_marked(content):
        raise RegistryError(
            f"{path} is not a {what} in PEM: it begins with the byte order mark of a text",
            hint="save it without that mark, as plain text (ASCII, or UTF-8 without BOM)",
        )
    if marker not in content:
        raise RegistryError(f"{path} holds no {what} in PEM")


def _content_of(path: StrPath, what: str) -> bytes:
    """Return the content of a file; OpenSSL reads it too, and each connection may."""
    try:
        require_file(path)
        return read_all(path, _LONGEST_FILE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RegistryError(f"cannot read {what}: {reason}") from error
