"""A `requests` session with timeouts, proxies and certificates that never leaks credentials."""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import os
import re
import socket
import ssl
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util.wait import wait_for_read

from docker_charon.errors import RegistryError
from docker_charon.registry.certificates import Certificates, tls_context
from docker_charon.registry.proxies import ProxyRefused, ProxyRules, offered_schemes
from docker_charon.registry.response import FinalResponse
from docker_charon.special_file import StrPath
from docker_charon.version import VERSION

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
"""Seconds without a byte, not for a whole transfer."""

STORE_TIMEOUT = 900.0
"""Seconds that a registry has to answer a ``PUT``: some hash or move the whole content first."""

_MOST_UNSENT = 256 * 1024
"""Bytes that wait in the system to be sent. Without a limit they are several megabytes, which count
as sent for a long time before they are, and take a twentieth more time on a fast line."""
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Windows has none

_STATUS_LINE = len("HTTP/1.1 429")
"""Bytes of an answer that tell its status."""

MOST_REDIRECTS = 10
"""As many as other clients follow; a longer chain of redirects is taken for an endless one."""


class HTTPSession(requests.Session):
    """Sends each request once, and sends no credentials to another origin than that of ``url``.

    There are no cookies and no credentials from ``~/.netrc``. A redirect to another origin is
    followed without ``Authorization``. Content is requested without compression, because its bytes
    are hashed. ``connections`` is the number of connections that are kept open to each host.
    Proxies are those of the environment, by the rules of `ProxyRules`. ``cacert`` is a file of
    certificates to trust besides the usual ones and those of ``certificates``. The client
    certificate is shown only to the origin of ``url``. Raises as `tls_context` does.
    """

    def __init__(
        self,
        url: str,
        connections: int,
        cacert: StrPath | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies = _NoCookies()
        self.headers["User-Agent"] = f"docker-charon/{VERSION}"
        self.headers["Accept-Encoding"] = "identity"
        self.max_redirects = MOST_REDIRECTS
        self._origin = origin(url)
        self._proxies = ProxyRules.from_environment(os.environ)
        own = certificates or Certificates()
        others = replace(own, client=None)
        adapter = _Adapter(self._proxies, others, cacert, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self._own_adapter = adapter
        if own.client is not None:
            self._own_adapter = _Adapter(self._proxies, own, cacert, pool_maxsize=connections)
        if own.client is not None or cacert is not None:
            self._own_adapter.check_files()

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return what sends a request to ``url``."""
        return self._own_adapter if origin(url) == self._origin else super().get_adapter(url)

    def close(self) -> None:
        """Close all connections."""
        self._own_adapter.close()
        super().close()

    def proxy_of(self, url: str) -> str:
        """Return the ``host:port`` of the proxy for requests to ``url``.

        It is ``""`` if there is none, and for an impossible address.
        """
        try:
            proxy = self._proxies.proxy_for(*origin(url))
        except ValueError:
            return ""
        return urlsplit(proxy or "").netloc.rpartition("@")[2]

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Return the settings of a request; `requests` takes none from the environment."""
        return {"proxies": {}, "stream": stream, "verify": True, "cert": None}

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request with the headers of this session, which has no other settings."""
        prepared = _PreparedRequest()
        prepared.prepare(
            method=request.method,
            url=request.url,
            headers={**self.headers, **(request.headers or {})},
            data=request.data,
            params=request.params,
            auth=request.auth,
            cookies=self.cookies,
            hooks=request.hooks,
        )
        return prepared

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request with a timeout: `requests` has none by default."""
        read_timeout = STORE_TIMEOUT if request.method == "PUT" else READ_TIMEOUT
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_TIMEOUT, read_timeout)
        return super().send(request, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the address that an answer redirects to, or ``None``.

        Raises ``InvalidURL`` for an impossible address, and `RegistryError` if content would be
        sent over plain HTTP instead of HTTPS.
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
            resp.close()
            raise requests.exceptions.InvalidURL(str(error), request=resp.request) from error
        return target

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Drop ``Authorization`` if a redirect leaves the origin, and never add another one."""
        prepared_request.headers.pop("Cookie", None)
        if origin(prepared_request.url or "") != origin(response.url):
            prepared_request.headers.pop("Authorization", None)


class _NoCookies(requests.cookies.RequestsCookieJar):
    """Keeps no cookies."""

    def extract_cookies(self, *_: object) -> None:
        """Keep nothing."""


class _PreparedRequest(requests.PreparedRequest):
    """A request without cookies."""

    def prepare_cookies(self, cookies: Any) -> None:
        """Add no header."""
        self._cookies = cookies


class _Adapter(HTTPAdapter):
    """Sends requests through the right proxy and with our own settings of TLS.

    It never sends a request again: that is decided by the callers, who know what it is for.
    """

    def __init__(
        self,
        proxies: ProxyRules,
        certificates: Certificates,
        cacert: StrPath | None,
        **options: Any,
    ) -> None:
        self._certificates = certificates
        self._cacert = cacert
        self._context: ssl.SSLContext | None = None
        self._proxy_for = functools.cache(proxies.proxy_for)
        super().__init__(**options)

    def check_files(self) -> None:
        """Raise `RegistryError` if the certificates cannot be used; see `tls_context`."""
        self._tls_context()

    def _tls_context(self) -> ssl.SSLContext:
        """Return the settings of TLS, which are created when they are first needed."""
        if self._context is None:
            self._context = tls_context(self._certificates, self._cacert)
        return self._context

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """Send a request through the proxy that the environment names for its address."""
        url = request.url or ""
        scheme, host, port = origin(url)
        proxy = self._proxy_for(scheme, host, port)
        options["proxies"] = {} if proxy is None else {scheme: proxy}
        return super().send(request, *args, **options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _with_own_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy in self.proxy_manager:
            return self.proxy_manager[proxy]
        if proxy.startswith("https:"):
            # A proxy that speaks TLS is not the registry, and gets no client certificate.
            context = tls_context(replace(self._certificates, client=None), self._cacert)
            options.update(ssl_context=context, proxy_ssl_context=context)
        return _with_own_connections(super().proxy_manager_for(proxy, **options))

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Use our own settings of TLS in place of those that `requests` makes of ``verify``."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._tls_context()} if host["scheme"] == "https" else {}

    def cert_verify(self, *_: Any) -> None:
        """Leave a connection's certificates as they are: they are those of the TLS context."""


class _Connection:
    """A connection with a timeout for sending, and with an error of its own for proxies.

    It stops sending a body when the server has refused it: the rest would be sent in vain.
    """

    sock: Any
    _tunnel_host: str
    _tunnel_port: int
    _tunnel_headers: dict[str, str]

    response_class: Any = FinalResponse
    _is_sending_body = False
    _early = b""
    """What has arrived of an answer before the request was sent."""
    _is_cut = False
    """Whether the request was not sent to its end, so that the connection takes no other one."""

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]
        if _NOTSENT_LOWAT is not None:
            with contextlib.suppress(OSError):  # it only saves time
                connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _MOST_UNSENT)
        return connection

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(READ_TIMEOUT)

    def putrequest(self, *args: Any, **options: Any) -> None:
        self._is_sending_body, self._early, self._is_cut = False, b"", False
        super().putrequest(*args, **options)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """Send a part of a request; raise ``BrokenPipeError`` if it is refused already.

        After that error, urllib3 reads the answer.
        """
        if self._is_sending_body and self._is_refused():
            self._is_cut = True
            raise BrokenPipeError(errno.EPIPE, "the request is refused before its end")
        super().send(data)  # type: ignore[misc]
        self._is_sending_body = True  # the headers come first, in one part

    def getresponse(self) -> Any:
        self.response_class = functools.partial(
            FinalResponse, early=self._early, is_last=self._is_cut
        )
        return super().getresponse()  # type: ignore[misc]

    def _is_refused(self) -> bool:
        """Whether an answer has begun to arrive that is neither an interim one nor a success."""
        missing = _STATUS_LINE - len(self._early)
        if not missing or not wait_for_read(self.sock, timeout=0):
            return False
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            self._early += self.sock.recv(missing)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # TLS has messages of its own
        finally:
            self.sock.settimeout(timeout)
        return re.match(rb"HTTP/1\.\d [3-9]", self._early) is not None

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel (RFC 9110, section 9.3.6); raise `ProxyRefused`.

        `http.client` would only mention the status of a refusal in a text.
        """
        host = self._tunnel_host
        target = f"{f'[{host}]' if ':' in host else host}:{self._tunnel_port}"
        headers = {"Host": target, **self._tunnel_headers}
        lines = [f"CONNECT {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self.sock.sendall("\r\n".join(lines).encode("latin-1"))
        answer = http.client.HTTPResponse(self.sock, method="CONNECT")
        try:
            answer.begin()
        except ConnectionError:
            raise
        except http.client.HTTPException as error:
            raise ProxyRefused(None, ()) from error
        finally:
            answer.close()
        if not 200 <= answer.status < 300:
            offers = ", ".join(answer.headers.get_all("Proxy-Authenticate", []))
            raise ProxyRefused(answer.status, offered_schemes(offers))


@functools.cache
def _pool_class(pool: Any) -> Any:
    """Return a subclass of a pool whose connections are also `_Connection`."""
    if issubclass(pool.ConnectionCls, _Connection):
        return pool
    connection = type("Connection", (_Connection, pool.ConnectionCls), {})
    return type("Pool", (pool,), {"ConnectionCls": connection})


def _with_own_connections(manager: Any) -> Any:
    """Let a pool manager, with or without a proxy, open connections that are `_Connection`."""
    manager.pool_classes_by_scheme = {
        scheme: _pool_class(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


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
    """Return scheme, host and port of ``url``: credentials stay within one origin (RFC 6454).

    Raises ``ValueError`` for an impossible address.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "", "", None
    return _origin(scheme.lower(), re.split("[/?#]", rest, maxsplit=1)[0])


@functools.lru_cache(maxsize=256)
def _origin(scheme: str, host_and_port: str) -> tuple[str, str, int | None]:
    parts = urlsplit(f"{scheme}://{host_and_port}")
    port = parts.port or {"https": 443, "http": 80}.get(scheme)
    # The dot at the end of a full name is not sent along, and so not in a registry's own links.
    return parts.scheme, (parts.hostname or "").lower().removesuffix("."), port


def parse_number(text: str) -> int | None:
    """Return the decimal number in a header; ``None`` if it is not one, or has over 18 digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
