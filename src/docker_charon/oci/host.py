"""The host in front of an image's full name: its registry, by Docker's rule."""

from __future__ import annotations

from collections.abc import Collection

DOCKER_HUB = "registry-1.docker.io"
"""The registry of names without a registry."""

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})
"""The names of Docker Hub."""


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
