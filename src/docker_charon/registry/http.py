"""A `requests` session with timeouts that never leaks credentials."""

from __future__ import annotations

import http.client
import http.cookiejar
import ipaddress
import os
import re
import ssl
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from docker_charon.errors import InvalidReference, RegistryError
from docker_charon.registry.credentials import DOCKER_HUB_HOSTS

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
"""Seconds without a byte, not for a whole transfer."""

STORE_TIMEOUT = 900.0
"""Seconds that a registry has to answer a ``PUT``: some hash or move all of the content first."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
)


class HTTPSession(requests.Session):
    """Sends each request once, and sends only to a registry what is meant for it.

    There are no cookies, no credentials out of ``~/.netrc``, and a redirect to another host carries
    no credentials along. Content is requested as it is stored: a registry's bytes are hashed.
    ``connections`` are kept open to each host. ``cacert`` is a file of certificates to trust
    besides the usual ones; raises `RegistryError` when it is not such a file.
    """

    def __init__(self, connections: int, cacert: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = f"docker-charon/{version('docker-charon')}"
        self.headers["Accept-Encoding"] = "identity"
        context = None if cacert is None else _context_that_trusts(cacert)
        adapter = _Adapter(context, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request with a timeout: `requests` has none by default."""
        read_timeout = STORE_TIMEOUT if request.method == "PUT" else READ_TIMEOUT
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_TIMEOUT, read_timeout)
        return super().send(request, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer redirects to.

        Raises ``InvalidURL`` for an impossible address, and `RegistryError` where content that is
        sent over HTTPS would be sent over plain HTTP.
        """
        try:
            target = super().get_redirect_target(resp)
            if target is not None:
                scheme, host, _ = origin(urljoin(resp.url, target))
                is_sending = resp.request.method not in ("GET", "HEAD")
                if is_sending and scheme != "https" and origin(resp.url)[0] == "https":
                    raise RegistryError(
                        f"{origin(resp.url)[1]} wants to continue without encryption, on {host}: "
                        "refused"
                    )
        except ValueError as error:
            raise requests.exceptions.InvalidURL(str(error), request=resp.request) from error
        return target

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Drop ``Authorization`` where a redirect leaves the origin; look for no other."""
        prepared_request.headers.pop("Cookie", None)
        if origin(prepared_request.url or "") != origin(response.url):
            prepared_request.headers.pop("Authorization", None)


class _Adapter(HTTPAdapter):
    """Sends requests with a TLS context of our own, and waits for a server that takes data slowly.

    It has no retries: what is tried again is decided where it is known what the request is for.
    """

    def __init__(self, context: ssl.SSLContext | None, **options: Any) -> None:
        self._tls: dict[str, Any] = {} if context is None else {"ssl_context": context}
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **{**options, **self._tls})
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**options, **self._tls})


class _WithReadTimeout:
    """A connection that, once it is open, times out when nothing moves for ``READ_TIMEOUT``."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(READ_TIMEOUT)  # type: ignore[attr-defined]


class _HTTPConnection(_WithReadTimeout, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_WithReadTimeout, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _context_that_trusts(cacert: str | os.PathLike[str]) -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context()
    try:
        context.load_verify_locations(cacert)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        problem = getattr(error, "strerror", None) if type(error) is not ssl.SSLError else None
        raise RegistryError(
            f"{os.fspath(cacert)} is not a file of certificates in PEM"
            + (f": {problem}" if problem else "")
        ) from error
    return context


def read_body(response: requests.Response, buffer: memoryview) -> int:
    """Fill ``buffer`` from a body, as it is stored; return the number of bytes, 0 at its end.

    `urllib3` would read into bytes of its own and copy them. The response of `http.client` below it
    does not, which makes writing a payload an eighth faster.
    """
    raw = getattr(response.raw, "_fp", None)
    if not isinstance(raw, http.client.HTTPResponse):
        return int(response.raw.readinto(buffer))
    size = raw.readinto(buffer)
    if not size and not raw.length:
        response.raw.release_conn()  # it was read to its end, and can be used again
    return size


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of ``url``: who may see a credential."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    # The dot at the end of a full name is not sent along, and so not in a registry's own links.
    return parts.scheme, (parts.hostname or "").lower().removesuffix("."), port


def parse_number(text: str) -> int | None:
    """Return the number that a header holds, if it is one that a size can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def is_docker_hub(registry: str) -> bool:
    """Whether ``registry`` is one of the names of Docker Hub."""
    return registry.lower().removesuffix(":443") in DOCKER_HUB_HOSTS


def check_host(registry: str) -> str:
    """Return ``registry`` if it is a ``host`` or ``host:port``; else raise `InvalidReference`."""
    if not isinstance(registry, str):
        raise TypeError(f"a registry is a str, not {type(registry).__name__}")
    if not _is_host(registry):
        raise InvalidReference(
            f"{registry[:120]!r} is not a registry",
            hint="write host or host:port, without https:// and without a path",
        )
    return registry


def _is_host(registry: str) -> bool:
    match = _HOST.fullmatch(registry)
    if match is None or int(match["port"] or 0) > 65535:
        return False
    try:
        return match["ipv6"] is None or bool(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return False
