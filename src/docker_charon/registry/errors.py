"""Errors of a registry: from an exception, or from an answer, to one line that says what to do.

Error bodies follow OCI distribution-spec 1.1, "Error Codes"; many servers send something else.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import requests
import urllib3

from docker_charon.errors import AuthenticationError, ConnectionFailed, RegistryError, one_line
from docker_charon.registry.http import is_docker_hub

NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
"""What sending a request, or reading the body of its answer, raises when the network fails."""

_PROXY_ERRORS = (
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.ProxySchemeUnknown,
)
_ADDRESS_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationValueError,
)
_TLS_ERRORS = (ssl.SSLError, requests.exceptions.SSLError)
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_CONNECT_TIMEOUTS = (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
_PLAIN_HTTP_SIGNS = ("WRONG_VERSION_NUMBER", "record layer failure", "HTTP_REQUEST", "TOO_LONG")
"""What OpenSSL says when the answer to its TLS greeting is plain text."""

_HINTS = {
    "NAME_UNKNOWN": "some registries, as ECR, want a repository to be created before a first push",
    "MANIFEST_BLOB_UNKNOWN": "the registry lost a blob in the meantime: push again",
    "BLOB_UPLOAD_INVALID": "try again; if it fails again, check the registry's storage",
    "SIZE_INVALID": "something between here and the registry changes or cuts what is sent",
    "DIGEST_INVALID": "something between here and the registry changes or cuts what is sent",
    "UNSUPPORTED": "the registry does not allow this",
}
_FULL = ("quota", "insufficient storage", "no space", "exceed")
"""How registries say that there is no room left; some do so with 403, some with 412 or 413."""


def connection_error(
    error: Exception, host: str, *, secure: bool, prefix: str = ""
) -> ConnectionFailed:
    """Return what one of `NETWORK_ERRORS` on the way to or from ``host`` means.

    ``secure`` is ``False`` where plain HTTP was wanted. ``prefix`` begins the message.
    """
    causes = _causes(error)
    text = " ".join(str(cause) for cause in causes)

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    def failed(
        message: str, hint: str = "", *, unreachable: bool = False, permanent: bool = False
    ) -> ConnectionFailed:
        result = ConnectionFailed(prefix + message, hint=hint)
        result.unreachable, result.permanent = unreachable, permanent
        return result

    if caused_by(*_PROXY_ERRORS):
        return failed(
            f"the proxy on the way to {host} does not answer, or is not a proxy",
            "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            unreachable=True,
        )
    if caused_by(ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in text:
        return failed(
            f"the certificate of {host} is not trusted",
            "name your own authority's certificate with --cacert FILE, or in REQUESTS_CA_BUNDLE",
            permanent=True,
        )
    if secure and (bundle := _unreadable_bundle()):
        return failed(
            f"{bundle} is not a file of certificates, so {host} cannot be trusted",
            "check REQUESTS_CA_BUNDLE",
            permanent=True,
        )
    if caused_by(*_TLS_ERRORS):
        if any(sign in text for sign in _PLAIN_HTTP_SIGNS):
            return failed(
                f"{host} does not speak TLS",
                "if it is a registry on plain HTTP, use --insecure (secure=False)",
                permanent=True,
            )
        return failed(
            f"cannot agree on TLS with {host}: {_tls_reason(causes)}",
            permanent=not caused_by(ssl.SSLEOFError),
        )
    if caused_by(socket.gaierror):
        return failed(f"the name of {host} is unknown", "is it spelled right?", unreachable=True)
    if caused_by(ConnectionRefusedError):
        return failed(
            f"nothing listens at {host}",
            "is the registry running, the port right?",
            unreachable=True,
        )
    if caused_by(*_TIMEOUTS):
        return failed(
            f"{host} does not answer in time",
            "try again later",
            unreachable=caused_by(*_CONNECT_TIMEOUTS),
        )
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
            return failed(f"{host} cannot be reached: {cause.strerror}", unreachable=True)
    if caused_by(requests.TooManyRedirects):
        return failed(f"{host} redirects in a circle", permanent=True)
    if caused_by(*_ADDRESS_ERRORS):
        return failed(f"{host} leads to an address that cannot be one", permanent=True)
    hint = "try again" if secure else "try again; if it speaks TLS, leave --insecure out"
    return failed(f"the connection to {host} broke", hint)


def answer_error(
    answer: requests.Response,
    body: bytes,
    doing: str,
    registry: str,
    *,
    secure: bool,
    has_credentials: bool,
    other_host: str = "",
) -> RegistryError:
    """Return what an unexpected answer means; ``doing`` names the request in the message.

    ``secure`` is ``False`` where plain HTTP was wanted. ``other_host`` is the host that answered,
    if the registry sent us to another one: in most cases the storage behind it.
    """
    status, (code, message) = answer.status_code, _first_error(body)
    said = " ".join(part for part in (str(status), code, message) if part)
    who = f"{other_host}, where {registry} sends us," if other_host else registry
    kind: type[RegistryError] = RegistryError
    if status == 429 or code == "TOOMANYREQUESTS":
        hint = "the limit of requests is reached: wait, and run the same command again"
        if is_docker_hub(registry) and not has_credentials:
            hint = "Docker Hub limits anonymous pulls: log in (docker login, or --username)"
    elif status == 507 or any(word in message.lower() for word in _FULL):
        hint = "the registry, or this user's quota there, is full"
    elif status in (401, 403) and other_host:
        hint = "that host, or something on the way to it, refuses access: a login would not help"
    elif status in (401, 403):
        kind = AuthenticationError
        if has_credentials and status == 401:
            hint = "check the username and the password, and what this user may do"
        elif has_credentials:
            hint = "this user is not allowed to do it"
        elif status == 401:
            hint = (
                "it does not exist, or needs a login: give a username and a password, or log in "
                "with docker login"
            )
        else:
            hint = "without a login this is not allowed: give a username and a password"
    elif code in _HINTS:
        hint = _HINTS[code]
    elif status == 400 and not secure and b"HTTPS" in body:
        hint = "it speaks TLS: leave --insecure (secure=False) out"
    elif status == 405:
        hint = "it may be read-only, or a cache of another registry"
    elif status == 413:
        hint = "something before the registry limits the size of requests: raise the limit there"
    elif status >= 500:
        hint = "try again later, or look into the registry's log"
    else:
        hint = ""
    error = kind(f"{who} answers {said} to {doing}", hint=hint, status=status, code=code)
    error.retry_after = retry_after(answer.headers)
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, section 10.2.3), if it does."""
    try:
        return urllib3.Retry().parse_retry_after(headers["Retry-After"])
    except (KeyError, urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _unreadable_bundle() -> str | None:
    """Return the file of certificates that the environment names, if it is not one."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle or Path(bundle).is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except OSError:  # an SSLError is one
        return bundle
    return None


def _tls_reason(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
    return "the handshake failed"


def _causes(error: BaseException) -> list[BaseException]:
    """Return ``error`` and what caused it, as deep as `requests` and urllib3 wrap it."""
    causes: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop()
        if isinstance(item, BaseException) and item not in causes:
            causes.append(item)
            waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return causes


def _first_error(body: bytes) -> tuple[str, str]:
    """Return code and message of the first error in a body; plain text is all message."""
    text = body.decode("utf-8", "replace")
    try:
        first = json.loads(text)["errors"][0]
        code, message = first.get("code"), first.get("message")
        detail = first.get("detail")
        if not message and isinstance(detail, str):
            message = detail
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        code, message = "", "" if text.lstrip()[:1] in ("<", "{", "[") else text
    return _shortened(code, 60), _shortened(message, 200)


def _shortened(value: object, longest: int) -> str:
    """Return a server's words, short enough for a part of one line."""
    text = value if isinstance(value, str) else ""
    return " ".join(one_line(text[: 4 * longest]).split())[:longest]
