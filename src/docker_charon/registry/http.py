"""The way to a registry: one `requests` session, patient and discreet."""

from __future__ import annotations

import http.client
import http.cookiejar
import ipaddress
import logging
import os
import random
import re
import ssl
import time
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from docker_charon.errors import InvalidReference, RegistryError

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
"""Seconds without a byte, not for a whole transfer."""

STORE_TIMEOUT = 900.0
"""Seconds that a registry has to answer to what it was sent: some hash or move it all first."""

TRIES = 5
BACKOFF = 0.4
"""Seconds of the pause before the third try; each one doubles it, and adds some by chance."""

LONGEST_WAIT = 300.0
"""Seconds; a server that wants more is not waited for."""
LONGEST_SILENCE = 2.0
"""Seconds of waiting, in one request, after which it is said."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")

_log = logging.getLogger(__name__)


class Session(requests.Session):
    """A session that gives nobody what was meant for the registry.

    No cookies, no credentials out of ``~/.netrc``, and none carried along by a redirect to
    another host. Content is asked for as it is stored: a registry's bytes are hashed.
    ``cacert`` is a file of certificates to trust besides the usual ones; raises `RegistryError`
    when it is none.
    """

    def __init__(self, connections: int, cacert: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = f"docker-charon/{version('docker-charon')}"
        self.headers["Accept-Encoding"] = "identity"
        self._trusts = None if cacert is None else _trusting(cacert)
        adapter = _Adapter(self._trusts, pool_maxsize=connections, max_retries=_retries())
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send it, and wait for an answer as long as is reasonable: `requests` would for ever."""
        patience = STORE_TIMEOUT if request.method == "PUT" else READ_TIMEOUT
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_TIMEOUT, patience)
        return super().send(request, **kwargs)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Drop ``Authorization`` where a redirect leaves the origin; look for no other."""
        prepared_request.headers.pop("Cookie", None)
        if origin(prepared_request.url or "") != origin(response.url):
            prepared_request.headers.pop("Authorization", None)


class _Retry(Retry):
    """Tries again what may well succeed then: broken connections, and answers that say so.

    Any method is tried again: a session that nobody knows of is the worst that a second ``POST``
    leaves, and bodies can be read again.
    """

    def increment(  # type: ignore[override]  # it takes what its parent takes
        self, method: str | None = None, url: str | None = None, *args: Any, **kwargs: Any
    ) -> Retry:
        """Count a failure; raise ``MaxRetryError`` when there is no point in another try."""
        error, response = kwargs.get("error"), kwargs.get("response")
        # Where nothing listens when a run begins, nothing will.
        absent = url == "/v2/" and isinstance(error, urllib3.exceptions.NewConnectionError)
        # A mount that fails becomes an upload: there is nothing to wait for.
        unmounted = "mount=" in (url or "") and response is not None and response.status != 429
        # What has become of an upload is asked, not tried.
        uncertain = (
            method in ("PUT", "PATCH")
            and "/blobs/uploads/" in (url or "")
            and not (response is not None and response.status == 429)
        )
        too_long = response is not None and (self.get_retry_after(response) or 0) > LONGEST_WAIT
        if absent or unmounted or uncertain or too_long:
            raise urllib3.exceptions.MaxRetryError(kwargs.get("_pool"), url or "", error)  # type: ignore[arg-type]
        return super().increment(method, url, *args, **kwargs)

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        """Return the seconds that a server wants us to wait; nonsense is nothing."""
        try:
            return super().get_retry_after(response)
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            return None

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """Wait before the next try; say so if it takes more than a few seconds."""
        seconds = self.get_retry_after(response) if response is not None else None
        why = "the connection broke" if response is None else f"it answers {response.status}"
        if not seconds:
            seconds = self.get_backoff_time()
        total = self.waited + seconds
        if total >= LONGEST_SILENCE:
            _log.warning("waiting %.0f s for the registry: %s", max(seconds, 1), why)
        self.waited = total
        time.sleep(seconds)

    waited = 0.0

    def new(self, **kwargs: Any) -> _Retry:
        """Return the next state; it has waited as long as this one."""
        following: _Retry = super().new(**kwargs)
        following.waited = self.waited
        return following


def pause(failures: int) -> float:
    """Return the seconds to wait after so many failures: growing, and with some chance."""
    chance = random.uniform(0.5, 1.5)  # noqa: S311  # no secret
    return float(BACKOFF * 2 ** (failures - 1) * chance)


def _retries() -> Retry:
    return _Retry(
        total=TRIES - 1,
        other=0,  # TLS that cannot be agreed on
        backoff_factor=BACKOFF,
        backoff_jitter=BACKOFF,
        status_forcelist=(408, 429, 500, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
    )


class _Adapter(HTTPAdapter):
    """Trusts another authority as well, and gives a server time to take what is sent."""

    def __init__(self, trusts: ssl.SSLContext | None, **options: Any) -> None:
        self._trusts: dict[str, Any] = {} if trusts is None else {"ssl_context": trusts}
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **{**options, **self._trusts})
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**options, **self._trusts})


class _Patient:
    """A connection; once it is open, what counts is the time that nothing moves."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(READ_TIMEOUT)  # type: ignore[attr-defined]


class _HTTPConnection(_Patient, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_Patient, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _trusting(cacert: str | os.PathLike[str]) -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context()
    try:
        context.load_verify_locations(cacert)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        problem = getattr(error, "strerror", None) if type(error) is not ssl.SSLError else None
        raise RegistryError(
            f"{os.fspath(cacert)} is no file of certificates in PEM"
            + (f": {problem}" if problem else "")
        ) from error
    return context


def read_body(response: requests.Response, buffer: memoryview) -> int:
    """Fill ``buffer`` from a body, as it is stored; return the number of bytes, 0 at its end.

    `urllib3` would read into bytes of its own and copy them: the response below it does not, which
    makes a payload an eighth faster.
    """
    below = getattr(response.raw, "_fp", None)
    if not isinstance(below, http.client.HTTPResponse):
        return int(response.raw.readinto(buffer))
    size = below.readinto(buffer)
    if not size and not below.length:
        response.raw.release_conn()  # it was read to its end, and can be used again
    return size


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of ``url``: who may see a credential."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    # The dot at the end of a full name is not sent along, and so not in a registry's own links.
    return parts.scheme, (parts.hostname or "").lower().removesuffix("."), port


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
    if not _HOST.fullmatch(registry):
        return False
    port = registry.rpartition(":")[2]
    if ":" in registry and port.isdigit() and int(port) > 65535:
        return False
    address, bracket, _ = registry.removeprefix("[").partition("]")
    if not bracket:
        return True
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True
