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

from docker_charon.errors import AuthenticationError, ConnectionFailed, RegistryError
from docker_charon.messages import one_line
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
_TLS_ERRORS = (ssl.SSLError, requests.exceptions.SSLError)
_ADDRESS_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationValueError,
)
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_NO_CONNECTION = (
    requests.ConnectTimeout,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    socket.gaierror,
    ConnectionRefusedError,
    *_PROXY_ERRORS,
)
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
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
_LOGIN_HINTS = {
    (401, True): "check the username and the password, and what this user may do",
    (401, False): "it does not exist, or needs a login: give a username and a password, or log in "
    "with docker login",
    (403, True): "this user is not allowed to do it",
    (403, False): "without a login this is not allowed: give a username and a password",
}
"""What to do about a status, with or without credentials."""
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
    bundle = _unreadable_bundle() if secure else None
    no_route = [c for c in causes if isinstance(c, OSError) and c.errno in _NO_ROUTE]

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    hint = ""
    if caused_by(*_PROXY_ERRORS):
        message = f"the proxy on the way to {host} does not answer, or is not a proxy"
        hint = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    elif caused_by(ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in text:
        message = f"the certificate of {host} is not trusted"
        hint = "name your own authority's certificate with --cacert FILE, or in REQUESTS_CA_BUNDLE"
    elif bundle:
        message = f"{bundle} is not a file of certificates, so {host} cannot be trusted"
        hint = "check REQUESTS_CA_BUNDLE"
    elif caused_by(*_TLS_ERRORS) and any(sign in text for sign in _PLAIN_HTTP_SIGNS):
        message = f"{host} does not speak TLS"
        hint = "if it is a registry on plain HTTP, use --insecure (secure=False)"
    elif caused_by(*_TLS_ERRORS):
        reasons = [getattr(cause, "reason", None) for cause in causes]
        reason = next((reason for reason in reasons if isinstance(reason, str)), "no handshake")
        message = f"cannot agree on TLS with {host}: {reason.replace('_', ' ').lower()}"
    elif caused_by(socket.gaierror):
        message, hint = f"the name of {host} is unknown", "is it spelled right?"
    elif caused_by(ConnectionRefusedError):
        message = f"nothing listens at {host}"
        hint = "is the registry running, the port right?"
    elif caused_by(*_TIMEOUTS):
        message, hint = f"{host} does not answer in time", "try again later"
    elif no_route:
        message = f"{host} cannot be reached: {no_route[0].strerror}"
    elif caused_by(requests.TooManyRedirects):
        message = f"{host} redirects in a circle"
    elif caused_by(*_ADDRESS_ERRORS):
        message = f"{host} leads to an address that is not valid"
    else:
        message = f"the connection to {host} broke"
        hint = "try again" if secure else "try again; if it speaks TLS, leave --insecure out"
    failure = ConnectionFailed(prefix + message, hint=hint)
    failure.unreachable = caused_by(*_NO_CONNECTION) or bool(no_route)
    failure.permanent = not caused_by(*_PROXY_ERRORS, ssl.SSLEOFError) and (
        caused_by(*_TLS_ERRORS, *_ADDRESS_ERRORS, requests.TooManyRedirects) or bool(bundle)
    )
    return failure


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
        hint = _LOGIN_HINTS[status, has_credentials]
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
        return float(urllib3.Retry().parse_retry_after(headers["Retry-After"]))
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
