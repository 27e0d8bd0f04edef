"""The host in front of an image's full name: its registry, by Docker's rule."""

from __future__ import annotations

from collections.abc import Collection

DOCKER_HUB = "registry-1.docker.io"
"""The registry where no other is named."""

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})


def is_docker_hub(registry: str) -> bool:
    """Whether ``registry`` is one of the names of Docker Hub."""
    return registry.lower().removesuffix(":443") in DOCKER_HUB_HOSTS


def host_in_front(name: str) -> str:
    """Return the first part of a name if it is a registry by Docker's rule; else nothing.

    It is one if it has a dot or a colon, or is ``localhost``, and if something follows it.
    """
    first, slash, _ = name.partition("/")
    is_host = "." in first or ":" in first or first == "localhost"
    return first if slash and is_host else ""


def split_registry(name: str, registries: Collection[str]) -> tuple[str, str]:
    """Return the registry in front of a name and the rest; no registry if it is not one of these.

    ``registries`` are in lower case, and so is the registry that is returned.
    """
    first, slash, rest = name.partition("/")
    if slash and first.lower() in registries:
        return first.lower(), rest
    return "", name
