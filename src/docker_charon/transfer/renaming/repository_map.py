"""A repository map: which repositories get other names at the destination."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from docker_charon.errors import InvalidReference
from docker_charon.messages import argument, quoted_name
from docker_charon.oci.host import check_host, host_in_front, is_docker_hub
from docker_charon.oci.reference import check_repository

DOCKER_HUB_NAME = "docker.io"
"""The registry in front of Docker Hub's full names."""


def checked_map(repository_map: Mapping[str, str] | None, registry: str) -> dict[str, str]:
    """Return the map of a user for the repositories of ``registry`` in its canonical form.

    Raises `InvalidReference` if a part of it is not valid, ``TypeError`` if it is not a mapping.
    """
    if repository_map is None:
        return {}
    if not isinstance(repository_map, Mapping):
        raise TypeError("a repository map must be a mapping from names to names")
    rules = joined_rules(checked_rule(*rule) for rule in repository_map.items())
    for source, target in rules.items():
        if host_in_front(f"{registry}/") and f"{target}/".startswith(f"{registry}/"):
            raise InvalidReference(
                f"{source} is mapped to {target}, which begins with the registry",
                hint=f"leave out {registry}: the images go there in any case",
            )
    return rules


def joined_rules(rules: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return checked rules as a map; raise `InvalidReference` if two of them disagree."""
    joined: dict[str, str] = {}
    for source, target in rules:
        if joined.setdefault(source, target) != target:
            raise InvalidReference(
                f"{source} is mapped to {joined[source] or 'nothing'} and to {target or 'nothing'}",
                hint="leave one of them out",
            )
    return joined


def parse_rule(text: str) -> tuple[str, str]:
    """Return a rule that is written as ``FROM=TO``; raise `InvalidReference` if it is not one."""
    source, separator, target = text.partition("=")
    if not separator:
        raise InvalidReference(
            f"{quoted_name(text)} maps nothing",
            hint="write FROM=TO, for example quay.io=mirror/quay; quay.io= leaves quay.io out",
        )
    return checked_rule(source.strip(), target.strip())


def checked_rule(source: str, target: str) -> tuple[str, str]:
    """Return a rule in its canonical form; raise `InvalidReference` if it is not valid.

    ``source`` is a registry, the beginning of repositories with or without their registry, or a
    repository. ``target`` is what takes its place; it may be empty.
    """
    if not isinstance(source, str) or not isinstance(target, str):
        raise TypeError("the names in a repository map must be str")
    return _checked_source(source.removesuffix("/")), _checked_target(target.removesuffix("/"))


def rule_argument(source: str, target: str) -> str:
    """Return how a message names a rule: as an option, or as the parameter of a function."""
    return argument(f"--map {source}={target}", f"repository_map={{{source!r}: {target!r}}}")


def _checked_source(source: str) -> str:
    first, slash, rest = source.partition("/")
    port = first.rpartition("]")[2].rpartition(":")[2]  # brackets are around an IPv6 address
    if "@" in source or ":" in rest or (":" in first and port and not port.isdigit()):
        raise InvalidReference(
            f"{quoted_name(source)} cannot be mapped",
            hint="a map is for repositories, with all their tags: leave out the tag and the digest",
        )
    if not host_in_front(f"{first}/"):
        return check_repository(source)
    host = DOCKER_HUB_NAME if is_docker_hub(first) else check_host(first).lower()
    return f"{host}/{check_repository(rest, source)}" if slash else host


def _checked_target(target: str) -> str:
    if ":" in target or "@" in target:
        raise InvalidReference(
            f"{quoted_name(target)} is not a repository to map to",
            hint="write it without a registry, without a tag and without a digest",
        )
    return check_repository(target) if target else target
