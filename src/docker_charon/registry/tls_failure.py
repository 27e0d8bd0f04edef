"""A failed TLS handshake: the reason, and what to do, in one line."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence

from docker_charon.messages import argument
from docker_charon.registry.certificates import ClientCertificate

NGINX_CLIENT_CERTIFICATE = b"SSL certificate"
"""What nginx writes into a 400 about a client certificate; it sends no alert."""

_PLAIN_HTTP_SIGNS = ("WRONG_VERSION_NUMBER", "record layer failure", "HTTP_REQUEST", "TOO_LONG")
"""What OpenSSL says when the answer to its TLS greeting is plain text."""

_NOT_YET_VALID, _EXPIRED, _OTHER_NAMES, _WEAK = 9, 10, (62, 63, 64), (66, 67, 68)
"""Why a certificate is not trusted: ``X509_V_ERR_*`` of OpenSSL."""
_NO_CLIENT_CERTIFICATE = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE")
_BAD_CLIENT_CERTIFICATE = (
    *_NO_CLIENT_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_ACCESS_DENIED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
)
"""The alerts of a server that does not get a client certificate, or refuses the one it gets."""


def tls_failure(
    causes: Sequence[BaseException], host: str, client: ClientCertificate | None
) -> tuple[str, str]:
    """Return the message and the hint for a failed TLS handshake with ``host``.

    ``causes`` are the exceptions of the failure, and ``client`` is the client certificate.
    """
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_failure(getattr(cause, "verify_code", 0), host)
    tls_errors = [cause for cause in causes if isinstance(cause, ssl.SSLError)]
    reasons = list(filter(None, (getattr(error, "reason", None) for error in tls_errors)))
    text = " ".join(str(cause) for cause in causes)
    if any(sign in text for sign in _PLAIN_HTTP_SIGNS):
        hint = f"if it is a registry on plain HTTP, use {argument('--insecure', 'secure=False')}"
        return f"{host} does not speak TLS", hint
    alerts = _NO_CLIENT_CERTIFICATE if client is None else _BAD_CLIENT_CERTIFICATE
    if any(reason in alerts for reason in reasons):
        return client_certificate_refusal(host, client)
    reason = reasons[0].replace("_", " ").lower() if reasons else "the handshake failed"
    hint = ""
    if "SSLV3_ALERT_HANDSHAKE_FAILURE" in reasons and client is None:
        option = argument("--cert FILE and --key FILE", "cert=")
        hint = f"it may want a client certificate: {option}"
    return f"cannot agree on TLS with {host}: {reason}", hint


def _certificate_failure(verify_code: int, host: str) -> tuple[str, str]:
    """Return the message and the hint for a server's certificate; the code is OpenSSL's."""
    today = f"the clock of this machine says {datetime.date.today()}: if that is right,"
    if verify_code == _EXPIRED:
        return (
            f"the certificate of {host}, or of its authority, has expired",
            f"{today} the registry needs a new one",
        )
    if verify_code == _NOT_YET_VALID:
        return (
            f"the certificate of {host}, or of its authority, is not yet valid",
            f"{today} the clock was wrong where the certificate was made",
        )
    if verify_code in _OTHER_NAMES:
        return (
            f"the certificate of {host} is for another name",
            "use the name that it is for, or let this name be added to it (as a subjectAltName: "
            "its common name does not count)",
        )
    if verify_code in _WEAK:
        return (
            f"the certificate of {host}, or of its authority, is too weak for this machine",
            "the registry needs a new one, with a key of 2048 bits or more and SHA-256",
        )
    return (
        f"the certificate of {host} is not trusted",
        "name your own authority's certificate with "
        f"{argument('--cacert FILE', 'cacert=')}, or in REQUESTS_CA_BUNDLE; the file needs the "
        "certificates between the two as well, if the registry does not send them",
    )


def client_certificate_refusal(host: str, client: ClientCertificate | None) -> tuple[str, str]:
    """Return the message and the hint for a server that refuses ``client``, or that wants one."""
    if client is None:
        return (
            f"{host} wants a client certificate",
            f"give one with {argument('--cert FILE and --key FILE', 'cert=')}, or put it into "
            f"certs.d/{host}",
        )
    return (
        f"{host} refuses the client certificate in {client.file}",
        "check that it is still valid, and from an authority that this server knows",
    )
