"""Proxies: which one the environment names for a request, by the rules of Docker and Podman.

Those are the rules of Go's ``golang.org/x/net/http/httpproxy``:

- ``HTTPS_PROXY`` is for ``https``, ``HTTP_PROXY`` for ``http``; the name in upper case comes before
  the one in lower case, and an empty variable is as good as none.
- Loopback addresses (``127.0.0.0/8``, ``::1``) and ``localhost`` are never reached by a proxy.
- ``NO_PROXY`` is a list of hosts to reach without one: ``*``, ``domain`` (with its subdomains),
  ``.domain`` and ``*.domain`` (the subdomains only), addresses and networks (CIDR); each but ``*``
  may end with a port.

Three things go further. ``ALL_PROXY`` is used where the variable of the scheme is not set, as
Docker and Podman do for SOCKS. Items of ``NO_PROXY`` may be separated by spaces. An IPv6 address
may have brackets without a port, and a network may have a port.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import quote, unquote, urlsplit

from docker_charon.errors import ConnectionFailed
from docker_charon.value import dataclass

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""What a proxy may speak, and the port where its address names none."""

_HINT = "write it as http://HOST:PORT or socks5h://HOST:PORT, with %-escapes in a password"
_PORT_OF_ITEM = r"(?P<host>[^:]*|\[.*\]):(?P<port>[0-9]+)"
_SCHEME = r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]{0,19})(?=\s*(?:,|$)|\s+[^\s=])"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyRefused(OSError):
    """A proxy that opens no tunnel: the ``status`` of its answer to ``CONNECT``.

    ``None`` means that its answer is not one of HTTP. ``schemes`` are the ways to log in that it
    offers (``Proxy-Authenticate``), in lower case.
    """

    def __init__(self, status: int | None, schemes: tuple[str, ...]) -> None:
        super().__init__(f"the proxy answers {status}")
        self.status = status
        self.schemes = schemes


def offered_schemes(header: str) -> tuple[str, ...]:
    """Return the schemes of a ``Proxy-Authenticate`` header, in lower case: ``basic``, ``ntlm``."""
    return tuple(scheme.lower() for scheme in re.findall(_SCHEME, header))


@dataclass(frozen=True, slots=True)
class _Proxy:
    """The value of one variable: a proxy's URL, or ``None`` if it cannot be one."""

    variable: str
    url: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _NoProxyItem:
    """One item of ``NO_PROXY``: a network or a domain, and a port if it is for that one only.

    ``domain`` begins with a dot. ``has_itself`` says whether the item is also for the domain
    itself, and not only for its subdomains.
    """

    network: _Network | None = None
    domain: str = ""
    has_itself: bool = False
    port: int | None = None

    def covers(self, host: str, address: _Address | None, port: int) -> bool:
        """Whether a host in lower case, which may be an address, is reached without a proxy."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        return host.endswith(self.domain) or (self.has_itself and host == self.domain[1:])


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """The proxies that an environment names, and what is reached without them."""

    proxies: Mapping[str, _Proxy] = field(default_factory=dict)
    """By the scheme of a request: ``http``, ``https``."""
    exceptions: tuple[_NoProxyItem, ...] = ()
    never: bool = False
    """Whether ``NO_PROXY`` holds ``*``."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ProxyRules:
        """Read the rules from environment variables; a malformed one is an error when it is used.

        In a CGI script, ``HTTP_PROXY`` may come from a request's ``Proxy`` header: it is ignored.
        """
        proxies = {}
        for scheme in ("http", "https"):
            names = [f"{scheme}_proxy".upper(), f"{scheme}_proxy", "ALL_PROXY", "all_proxy"]
            if "REQUEST_METHOD" in environment and scheme == "http":
                names.remove("HTTP_PROXY")
            name = next((name for name in names if environment.get(name)), None)
            if name is not None:
                proxies[scheme] = _Proxy(name, _proxy_url(environment[name]))
        listed = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
        items = [item for item in re.split(r"[\s,]+", listed.lower()) if item]
        exceptions = tuple(filter(None, map(_no_proxy_item, items)))
        return cls(proxies, exceptions, never="*" in items)

    def proxy_for(self, scheme: str, host: str, port: int | None = None) -> str | None:
        """Return the URL of the proxy for a request, with its port; ``None`` if there is none.

        ``host`` is a name or an address; brackets around an IPv6 address may be missing. ``port``
        is by default the usual one of the scheme. Raises `ConnectionFailed` if the variable for
        this request does not name a proxy, or if it names a SOCKS proxy and support for SOCKS is
        not installed. No error shows the value of a variable, which may contain a password.
        """
        proxy = self.proxies.get(scheme)
        if proxy is None or self._is_direct(host, port or _PORTS[scheme]):
            return None
        if proxy.url is None:
            raise _unusable(host, f"{proxy.variable} is not the address of a proxy", _HINT)
        if proxy.url.startswith("socks") and importlib.util.find_spec("socks") is None:
            raise _unusable(
                host,
                f"{proxy.variable} names a SOCKS proxy, and support for SOCKS is not installed",
                "install docker-charon[socks]",
            )
        return proxy.url

    def _is_direct(self, host: str, port: int) -> bool:
        host = _ascii(host.lower().removesuffix("."))
        address = _address(host)
        if self.never or host == "localhost" or (address is not None and address.is_loopback):
            return True
        return any(exception.covers(host, address, port) for exception in self.exceptions)


def _unusable(host: str, problem: str, hint: str) -> ConnectionFailed:
    error = ConnectionFailed(f"cannot reach {host}: {problem}", hint=hint)
    error.permanent = True
    return error


def _proxy_url(value: str) -> str | None:
    """Return a proxy's URL in its canonical form, with a port; ``None`` if it is not one."""
    value = value.strip()
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    usual_port = _PORTS.get(parts.scheme)
    if not host or usual_port is None or not host.isprintable() or " " in host:
        return None
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":  # a password cut by a / of its own
        return None
    login, at, _ = parts.netloc.rpartition("@")
    if at:
        user, colon, password = login.partition(":")
        login = f"{_escaped(user)}{colon}{_escaped(password)}@"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{login}{shown}:{port or usual_port}"


def _escaped(text: str) -> str:
    return quote(unquote(text), safe="")


def _no_proxy_item(item: str) -> _NoProxyItem | None:
    """Read one item of ``NO_PROXY``, in lower case; ``None`` if it names no host."""
    port: int | None = None
    if match := re.fullmatch(_PORT_OF_ITEM, item):
        item, port = match["host"], int(match["port"])
    network = _network(item)
    if network is not None:
        return _NoProxyItem(network=network, port=port)
    domain = item.removeprefix("*").removesuffix(".")
    if not domain.strip("."):
        return None
    has_itself = not domain.startswith(".")
    return _NoProxyItem(
        domain=f".{_ascii(domain.removeprefix('.'))}", has_itself=has_itself, port=port
    )


def _network(item: str) -> _Network | None:
    """Return the network that an address or a CIDR stands for; ``None`` for a domain."""
    bare = item.replace("[", "").replace("]", "")
    try:
        network = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        return None
    if network.prefixlen == network.max_prefixlen:
        address = _address(bare.partition("/")[0])
        return network if address is None else ipaddress.ip_network(address)
    return network


def _address(host: str) -> _Address | None:
    """Return ``host`` as an address; ``None`` for a name. IPv4 inside IPv6 becomes IPv4."""
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _ascii(domain: str) -> str:
    """Return a domain as the DNS has it: labels of other scripts begin with ``xn--``."""
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return domain
