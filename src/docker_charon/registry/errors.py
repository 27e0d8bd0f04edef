"""Errors of a registry: what an exception or an answer means, and what to do, in one line.

Error bodies follow OCI distribution-spec 1.1, "Error Codes"; many servers send something else.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import re
import socket
import ssl
from collections.abc import Iterator, Sequence

import requests
import urllib3

from docker_charon.errors import AuthenticationError, ConnectionFailed, RegistryError
from docker_charon.messages import argument, one_line
from docker_charon.oci.host import is_docker_hub
from docker_charon.oci.manifest import Manifest
from docker_charon.registry.certificates import ClientCertificate
from docker_charon.registry.credentials import FoundLogin
from docker_charon.registry.error_body import first_error
from docker_charon.registry.proxies import ProxyRefused, offered_schemes
from docker_charon.registry.response import SLOWEST, TooSlow
from docker_charon.registry.retry import TRANSIENT
from docker_charon.registry.retry_after import duration, retry_after
from docker_charon.registry.secrets import sent_secrets
from docker_charon.registry.storage_failure import storage_failure
from docker_charon.registry.tls_failure import (
    NGINX_CLIENT_CERTIFICATE,
    client_certificate_refusal,
    tls_failure,
)

NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
"""What sending a request, or reading the body of its answer, raises when the network fails."""

_PROXY_ERRORS = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)
_TLS_ERRORS = (ssl.SSLError, requests.exceptions.SSLError)
_BROKEN = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
"""Errors of an established connection; some systems raise them while they connect."""
_ADDRESS_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationValueError,
)
_PERMANENT_ERRORS = (
    *_ADDRESS_ERRORS,
    requests.TooManyRedirects,
    requests.exceptions.ContentDecodingError,
)
FEW_TRIES = 2
"""The most tries of a request that takes long to fail and hardly ever succeeds after that."""
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_NO_CONNECTION = (
    requests.ConnectTimeout,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    socket.gaierror,
    ConnectionRefusedError,
)
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)

_LOST_UPLOAD = (
    "the registry lost the upload on its way: if several servers answer for it, they need the same "
    "storage and the same http.secret; else check its storage, and the proxy in front of it"
)
_HINTS = {
    "MANIFEST_BLOB_UNKNOWN": "the registry lost a blob in the meantime: push again",
    "BLOB_UPLOAD_INVALID": _LOST_UPLOAD,
    "BLOB_UPLOAD_UNKNOWN": _LOST_UPLOAD,
    "SIZE_INVALID": "something between here and the registry changes or cuts what is sent",
    "DIGEST_INVALID": "something between here and the registry changes or cuts what is sent",
    "UNSUPPORTED": "the registry does not allow this",
}
_NO_PUSHES = (
    "it is a pull-through cache of another registry, or read-only: push to another registry"
)
_NO_PROJECT = (
    "some registries, as Harbor and ECR, want a project or a repository to be created before a "
    "first push: create it, or name another one with "
)
_NO_ACCESS = (400, 403)
"""How storage answers to an address that has expired; the registry has a new one."""
_NOT_FOUND = ("", "NOT_FOUND", "NAME_UNKNOWN")
"""The codes of a 404 to a push into a project or a repository that does not exist."""
_TOO_MANY = "TOOMANYREQUESTS"
"""The code of a limit of requests."""
_DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
_PULLS_LAST = 21_600.0
"""Seconds for which Docker Hub counts pulls, and allows no more than a number of them."""
_LONG = 60.0  # seconds of waiting that a message names
_FULL = ("quota", "insufficient storage", "no space", "exceed")
"""Words of registries that have no space left; they come with 403, 412 or 413."""


def connection_error(
    error: Exception,
    host: str,
    *,
    secure: bool,
    prefix: str = "",
    proxy: str = "",
    client: ClientCertificate | None = None,
) -> ConnectionFailed:
    """Return what one of `NETWORK_ERRORS` means for a request to ``host``.

    ``secure`` is ``False`` if the request was to use plain HTTP. ``prefix`` begins the message.
    ``proxy`` is the ``host:port`` of the proxy that was used, or ``""``. ``client`` is the client
    certificate.
    """
    causes = _causes(error)
    refusals = [cause for cause in causes if isinstance(cause, ProxyRefused)]
    no_route = [c for c in causes if isinstance(c, OSError) and c.errno in _NO_ROUTE]

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    is_broken = caused_by(*_BROKEN)
    no_connection = not is_broken and (caused_by(*_NO_CONNECTION) or bool(no_route))
    hint = ""
    if refusals:
        message, hint = _proxy_refusal(host, proxy, refusals[0].status, refusals[0].schemes)
    elif proxy and no_connection:
        message = f"{_proxy_before(host, proxy)} does not answer, or cannot connect to it"
        hint = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    elif proxy and caused_by(*_PROXY_ERRORS) and caused_by(*_TLS_ERRORS):
        # There is no tunnel yet: it is the proxy that TLS is spoken with.
        message, _ = tls_failure(causes, f"the proxy {proxy}", None)
        hint = "check HTTPS_PROXY and HTTP_PROXY: most proxies want http:// there"
    elif caused_by(*_TLS_ERRORS):
        message, hint = tls_failure(causes, host, client)
    elif caused_by(socket.gaierror):
        message, hint = f"the name of {host} is unknown", "is it spelled right?"
        if is_docker_hub(host):
            hint = f"to use another registry, name it with {argument('--registry', 'registry=')}"
    elif caused_by(ConnectionRefusedError):
        message = f"nothing listens at {host}"
        hint = "is the registry running, and is the port right?"
    elif caused_by(TooSlow):
        message = f"{host} sends its answer too slowly, less than {SLOWEST} bytes a second"
        hint = "try again later"
    elif caused_by(requests.exceptions.ContentDecodingError):
        message = f"{host} sends an answer that is compressed, which was not asked for"
        hint = "something on the way to it compresses: switch that off there"
    elif caused_by(*_TIMEOUTS) and not is_broken:
        message, hint = f"{host} does not answer in time", "try again later"
    elif no_route:
        message = f"{host} cannot be reached: {no_route[0].strerror}"
    elif caused_by(requests.TooManyRedirects):
        message = f"{host} redirects in a circle"
    elif caused_by(*_ADDRESS_ERRORS):
        message = f"{host} leads to an address that is not valid"
    else:
        message = f"the connection to {host} broke"
        hint = "try again"
        if not secure:
            hint += f"; if it speaks TLS, leave {argument('--insecure', 'secure=False')} out"
    failure = ConnectionFailed(prefix + message, hint=hint)
    failure.unreachable = no_connection
    failure.permanent = not caused_by(ssl.SSLEOFError) and (
        caused_by(*_TLS_ERRORS, *_PERMANENT_ERRORS)
        or any(refusal.status not in TRANSIENT for refusal in refusals)
    )
    if caused_by(TooSlow):
        failure.most_tries = FEW_TRIES
    return failure


def _proxy_before(host: str, proxy: str) -> str:
    return f"the proxy on the way to {host}, {proxy},"


def _proxy_refusal(
    host: str, proxy: str, status: int | None, schemes: Sequence[str]
) -> tuple[str, str]:
    """Return message and hint for a proxy that answers in place of ``host``."""
    who = _proxy_before(host, proxy)
    if status is None:
        return f"{who} does not answer as a proxy", "check the address in HTTPS_PROXY"
    if status != 407:
        return f"{who} does not let us through: it answers {status}", (
            f"ask whoever runs it to allow {host}, or name that host in NO_PROXY if it can be "
            "reached without a proxy"
        )
    message = f"{who} wants a login, or another one: it answers 407"
    if schemes and "basic" not in schemes:
        offered = ", ".join(one_line(scheme)[:20] for scheme in schemes[:3])
        return message, (
            f"it takes logins by {offered} only: run a proxy of your own that can log in to it, "
            "such as px or cntlm, and name that one"
        )
    return message, "write http://USER:PASSWORD@HOST:PORT into HTTPS_PROXY or HTTP_PROXY"


def login_hint(login: FoundLogin | None, *, is_known: bool = False) -> str:
    """Return the hint for a login that was refused, or for a login that is missing.

    ``login`` is ``None`` if no login was looked for. ``is_known`` says that the registry knows the
    user, and does not allow the request.
    """
    if login is None or login.credentials is None:
        own_login = argument("give -u and a password", "give a username and a password")
        hint = f"{own_login}, or log in with docker login"
    elif is_known:
        hint = "this user is not allowed to do it, or the password has expired"
        if login.source:
            hint = (
                f"the user of the login from {login.source} is not allowed to do it, or this login "
                "has expired"
            )
    elif login.source:
        hint = (
            f"the login from {login.source} is not accepted: log in again, give a username and a "
            f"password, or use {argument('--anonymous', 'anonymous=True')} for public images"
        )
    else:
        hint = "check the username and the password, and what this user may do"
    problems = login.problems if login is not None else ()
    return "; ".join((hint, *problems))


def answer_error(
    answer: requests.Response,
    body: bytes,
    doing: str,
    registry: str,
    *,
    secure: bool,
    login: FoundLogin | None,
    other_host: str = "",
    proxy: str = "",
    client: ClientCertificate | None = None,
) -> RegistryError:
    """Return what an unexpected answer means; ``doing`` names the request in the message.

    ``body`` is the start of the answer's body. ``secure`` is ``False`` if the request was to use
    plain HTTP. ``login`` is what was found for the request, if the registry has asked for a login.
    ``other_host`` is the host that answered, if the registry redirected to another one, in most
    cases to its storage. ``proxy`` is the ``host:port`` of a proxy that may have answered, and
    ``client`` the client certificate.
    """
    status = answer.status_code
    is_push = getattr(answer.request, "method", None) in ("POST", "PUT", "PATCH")
    code, message = first_error(body, sent_secrets(answer))
    said = " ".join(part for part in (str(status), code, message) if part)
    who = f"{other_host}, where {registry} sends us," if other_host else registry
    kind: type[RegistryError] = RegistryError
    has_credentials = login is not None and login.credentials is not None
    seconds = retry_after(answer.headers)
    if status == 407:
        schemes = offered_schemes(answer.headers.get("Proxy-Authenticate", ""))
        message, hint = _proxy_refusal(other_host or registry, proxy, status, schemes)
        return RegistryError(message, hint=hint, status=status)
    if status == 400 and NGINX_CLIENT_CERTIFICATE in body:
        message, hint = client_certificate_refusal(other_host or registry, client)
        return RegistryError(message, hint=hint, status=status)
    is_pull_limit = is_docker_hub(registry) and code == _TOO_MANY and not is_push
    if is_pull_limit and seconds is None:  # all other limits of Docker Hub say how long they last
        seconds = _PULLS_LAST
    if is_too_many(status, code):
        wait = "wait" if seconds is None or seconds < _LONG else f"wait {duration(seconds)}"
        hint = f"the limit of requests is reached: {wait}, and run the same command again"
        if is_docker_hub(registry) and not has_credentials:
            hint = f"Docker Hub limits anonymous pulls: {login_hint(None)}"
    elif (reason := storage_failure(body)) is not None:
        hint = f"the storage of the registry fails: {reason}"
    elif status == 507 or any(word in message.lower() for word in _FULL):
        hint = "the registry, or this user's quota there, is full"
    elif status == 403 and proxy and not code:
        who = f"{who} or the proxy {proxy} on the way to it,"
        hint = "if it is the proxy, ask whoever runs it to allow this host; else log in"
    elif status in (401, 403) and other_host:
        hint = "that host, or something on the way to it, refuses access: a login would not help"
    elif status in (401, 403):
        kind = AuthenticationError
        hint = login_hint(login, is_known=status == 403)
        if not has_credentials and status == 403:
            hint = f"without a login this is not allowed: {hint}"
        elif has_credentials and is_push:
            hint += "; some registries answer so where there is no such project"
    elif is_push and status == 405:
        hint = _NO_PUSHES
    elif (is_push and status == 404 and code in _NOT_FOUND) or code == "NAME_UNKNOWN":
        hint = _NO_PROJECT + argument("--repository-prefix", "repository_prefix=")
    elif code == "NAME_INVALID":
        map_option = argument("--map", "repository_map=")
        hint = f"the registry takes no such names: push under another one ({map_option})"
    elif code in _HINTS:
        hint = _HINTS[code]
    elif status == 400 and not secure and b"HTTPS" in body:
        hint = f"it speaks TLS: leave {argument('--insecure', 'secure=False')} out"
    elif status == 405:
        hint = "it may be read-only, or a cache of another registry"
    elif status == 413:
        hint = "something before the registry limits the size of requests: raise the limit there"
    elif status >= 500:
        hint = "try again later, or look into the registry's log"
    else:
        hint = ""
    problem = f"answers {said} to {doing}"
    if kind is AuthenticationError and status == 401:
        wanted = f"wants a login for {doing}" + ("" if is_push else " (or it does not exist)")
        problem = f"refuses the login (it {problem})" if has_credentials else wanted
    error = kind(f"{who} {problem}", hint=hint, status=status, code=code)
    error.retry_after = seconds
    if other_host and not is_push and status in _NO_ACCESS:
        error.elsewhere, error.most_tries = True, FEW_TRIES
    error.digests = frozenset(re.findall(_DIGEST, body.decode("utf-8", "replace")))
    return error


def is_too_many(status: int | None, code: str | None) -> bool:
    """Whether an answer says that there were too many requests.

    Some registries send the code of the distribution-spec with another status than 429.
    """
    return status == 429 or code == _TOO_MANY


def ends_all(error: Exception) -> bool:
    """Whether every other request to the registry would fail with the same error."""
    if isinstance(error, AuthenticationError):
        return error.login_refused
    return isinstance(error, ConnectionFailed)


def _causes(error: BaseException) -> list[BaseException]:
    """Return ``error`` and all exceptions that `requests` and urllib3 have wrapped in it."""
    causes: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop()
        if isinstance(item, BaseException) and item not in causes:
            causes.append(item)
            waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return causes


@contextlib.contextmanager
def explaining_refusal(manifest: Manifest) -> Iterator[None]:
    """Set the hint of an error that may be due to what a manifest is.

    distribution answers 400 or 500 to layers with ``urls`` unless its configuration allows them.
    Not every registry takes all types of manifests.
    """
    try:
        yield
    except RegistryError as error:
        if error.status in (400, 500) and any(blob.urls for blob in manifest.blobs):
            error.hint = (
                "the manifest has layers with urls, which distribution refuses unless "
                "validation.manifests.urls.allow is set in its configuration"
            )
        elif error.status == 415 or error.code == "MANIFEST_INVALID":
            error.hint = (
                f"the registry may not take manifests of the type {manifest.media_type}: zot takes "
                "those of Docker with docker2s2 in http.compat, and Quay more types with "
                "FEATURE_GENERAL_OCI_SUPPORT; old registries need a newer version"
            )
        raise
