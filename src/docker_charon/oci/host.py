"""The host of a registry: what it may be, and where it stands in front of an image's full name."""

from __future__ import annotations

import re
from collections.abc import Collection

from docker_charon.errors import InvalidReference
from docker_charon.messages import argument, name_without_login, quoted_name

DOCKER_HUB = "registry-1.docker.io"
"""The registry of names without a registry."""

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})
"""The names of Docker Hub."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
)


def is_host(text: str) -> bool:
    """Whether a text is ``host`` or ``host:port``; an IPv6 address is in brackets."""
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        return False
    if match["ipv6"] is None:
        return True
    import ipaddress  # few names need it

    try:
        return bool(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return False


def check_host(registry: str) -> str:
    """Return ``registry`` if it is a ``host`` or ``host:port``; else raise `InvalidReference`."""
    if not isinstance(registry, str):
        raise TypeError(f"a registry is a str, not {type(registry).__name__}")
    if not is_host(registry):
        hint = "write host or host:port, without https://, without a path and without a login"
        address = name_without_login(registry).removeprefix("https://").removeprefix("http://")
        host, slash, path = address.removeprefix("***@").partition("/")
        if slash and path.strip("/") not in ("", "v1", "v2") and is_host(host):
            hint = (
                f"write {host}, and {path.strip('/')[:120]} as a part of the images' names (for a "
                f"push: {argument('--repository-prefix', 'repository_prefix=')})"
            )
        raise InvalidReference(f"{quoted_name(registry)} is not a registry", hint=hint)
    return registry


def is_docker_hub(registry: str) -> bool:
    """Whether ``registry`` is one of the names of Docker Hub."""
    return registry.lower().removesuffix(":443") in DOCKER_HUB_HOSTS


def host_in_front(name: str) -> str:
    """Return the first part of a name if it is a registry by Docker's rule; else ``""``.

    It is a registry if it has a dot or a colon, or is ``localhost``, and if a ``/`` follows it.
    """
    first, slash, _ = name.partition("/")
    is_host = "." in first or ":" in first or first == "localhost"
    return first if slash and is_host else ""


def split_registry(name: str, registries: Collection[str]) -> tuple[str, str]:
    """Return the registry in front of a name, and the rest of the name.

    The registry is ``""`` if it is not one of ``registries``, which are in lower case. The registry
    that is returned is in lower case, too.
    """
    first, slash, rest = name.partition("/")
    if slash and first.lower() in registries:
        return first.lower(), rest
    return "", name
