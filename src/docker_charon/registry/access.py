"""How to reach a registry, and as whom: one value for what the callers give."""

from __future__ import annotations

import math
from dataclasses import field, replace

from docker_charon.errors import AuthenticationError, DockerCharonError, RegistryError
from docker_charon.messages import argument
from docker_charon.registry.certificates import (
    CertificateArgument,
    Certificates,
    ClientCertificate,
    find_certificates,
)
from docker_charon.registry.credentials import Credentials, FoundLogin, GivenLogin, Keychain, Logins
from docker_charon.registry.retry import RetryPolicy
from docker_charon.special_file import StrPath
from docker_charon.value import dataclass

RETRY = RetryPolicy()
"""The policy of an `Access` that names no other."""


def waiting_for(seconds: float) -> RetryPolicy:
    """Return the usual policy, with ``seconds`` as the longest wait of one operation.

    Raises ``TypeError``, and `DockerCharonError` for a negative or endless wait.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"retry_for is a number of seconds, not {type(seconds).__name__}")
    if not 0 <= seconds < math.inf:
        raise DockerCharonError(f"retry_for must be a number of seconds from 0 on, not {seconds}")
    return replace(RETRY, longest_wait=float(seconds))


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a registry, and as whom.

    ``secure`` is ``False`` for plain HTTP. Without a username and a password, those that Docker or
    Podman know are used, unless ``anonymous`` is set. ``cacert`` is a file of certificates to trust
    besides the usual ones and those of ``certs.d``. ``cert`` is a client certificate: a file that
    holds its key as well, or a pair of two files; without it, that of ``certs.d`` is used.
    ``retry`` says how often and for how long a failing request is tried again.
    """

    secure: bool = True
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cacert: StrPath | None = None
    cert: CertificateArgument | None = None
    anonymous: bool = False
    retry: RetryPolicy = field(default_factory=lambda: RETRY)

    @property
    def files(self) -> list[StrPath]:
        """The files of certificates and keys."""
        files = [self.cacert, *(self.cert if isinstance(self.cert, tuple) else [self.cert])]
        return [file for file in files if file is not None]


def certificates_for(registry: str, access: Access) -> Certificates:
    """Return the certificates for a registry: those that the caller names come first.

    Raises `RegistryError` for a client certificate with plain HTTP, and as `find_certificates`.
    """
    if not access.secure:
        if access.cert is not None:
            raise RegistryError(
                f"a client certificate is of no use with plain HTTP to {registry}",
                hint=f"leave {argument('--insecure', 'secure=False')} out, or the certificate",
            )
        return Certificates()
    certificates = find_certificates(registry)
    if access.cert is None:
        return certificates
    return replace(certificates, client=ClientCertificate.of(access.cert))


def logins_of(registry: str, access: Access) -> Logins:
    """Return the logins for the repositories of ``registry``.

    Raises `AuthenticationError` for a username without a password, for a password without a
    username, and for a login in an access that is anonymous.
    """
    username, password = access.username, access.password
    if not all(value is None or isinstance(value, str) for value in (username, password)):
        raise TypeError("a username and a password are a str")
    if access.anonymous and (username is not None or password is not None):
        raise AuthenticationError(
            f"access to {registry} is either anonymous or with a username and a password"
        )
    if access.anonymous:
        return GivenLogin(FoundLogin())
    if username is not None and password is not None:
        return GivenLogin(FoundLogin(Credentials(username, password)))
    if username is not None or password is not None:
        raise AuthenticationError(
            f"a login to {registry} takes a username and a password, and one is missing"
        )
    return Keychain(registry)
