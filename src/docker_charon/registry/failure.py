"""A failure on the way to a server: what it means, in one line that says what to do."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
from pathlib import Path

import requests
import urllib3

from docker_charon.errors import ConnectionFailed

FAILURES = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""What a session, or a body that is read from it, raises; `explain` makes one line of it.

A ``ValueError`` comes of an address that a redirect names and that cannot be one.
"""

_PROXY_ERRORS = (
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.ProxySchemeUnknown,
)
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
_PLAIN_HTTP_SIGNS = ("WRONG_VERSION_NUMBER", "record layer failure", "HTTP_REQUEST", "TOO_LONG")
"""How OpenSSL takes a server that answers a TLS greeting in plain text."""


def explain(error: Exception, registry: str, *, secure: bool) -> ConnectionFailed:
    """Make one line of a failure on the way to, or from, ``registry``."""
    causes = list(_causes(error))
    text = " ".join(str(cause) for cause in causes)
    if any(isinstance(cause, _PROXY_ERRORS) for cause in causes):
        return ConnectionFailed(
            f"the proxy on the way to {registry} does not answer, or is none",
            hint="see HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        )
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes) or (
        "CERTIFICATE_VERIFY_FAILED" in text
    ):
        return ConnectionFailed(
            f"the certificate of {registry} is not trusted",
            hint="name your own authority's certificate with --cacert FILE, or in "
            "REQUESTS_CA_BUNDLE",
        )
    if secure and (bundle := _unreadable_bundle()):
        return ConnectionFailed(
            f"{bundle} is no file of certificates, so that {registry} cannot be trusted",
            hint="see REQUESTS_CA_BUNDLE",
        )
    if any(isinstance(cause, (ssl.SSLError, requests.exceptions.SSLError)) for cause in causes):
        if any(sign in text for sign in _PLAIN_HTTP_SIGNS):
            return ConnectionFailed(
                f"{registry} does not speak TLS",
                hint="if it is a registry on plain HTTP, use --insecure (secure=False)",
            )
        return ConnectionFailed(f"{registry} and we cannot agree on TLS: {_reason(causes)}")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return ConnectionFailed(f"the name of {registry} is unknown", hint="is it spelled right?")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return ConnectionFailed(
            f"nothing listens at {registry}", hint="is the registry running, the port right?"
        )
    if any(
        isinstance(cause, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError))
        for cause in causes
    ):
        return ConnectionFailed(f"{registry} does not answer in time", hint="try again later")
    unreachable = [c for c in causes if isinstance(c, OSError) and c.errno in _UNREACHABLE]
    if unreachable:
        return ConnectionFailed(f"{registry} cannot be reached: {unreachable[0].strerror}")
    if any(isinstance(cause, requests.TooManyRedirects) for cause in causes):
        return ConnectionFailed(f"{registry} redirects in a circle")
    hint = "try again" if secure else "try again; if it speaks TLS, leave --insecure out"
    return ConnectionFailed(f"the connection to {registry} broke", hint=hint)


def _unreadable_bundle() -> str | None:
    """Return what the environment names as certificates to trust, if it cannot be that."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle or Path(bundle).is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except OSError:  # an SSLError is one
        return bundle
    return None


def _reason(causes: list[BaseException]) -> str:
    reasons = [
        str(getattr(cause, "reason", "")) for cause in causes if isinstance(cause, ssl.SSLError)
    ]
    return (reasons or ["the handshake failed"])[0].replace("_", " ").lower()


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return ``error`` and what lies behind it, as deep as `requests` and urllib3 wrap it."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found
