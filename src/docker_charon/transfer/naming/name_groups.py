"""Groups of names from several places, and the registries in front of all of them together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from docker_charon.errors import InvalidReference
from docker_charon.messages import argument
from docker_charon.oci.host import split_registry
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class NameGroup:
    """Repositories that have one of ``registries`` in front, or none; ``where`` they are named."""

    where: str
    repositories: Collection[str]
    registries: Collection[str]


def united_registries(groups: Sequence[NameGroup]) -> frozenset[str]:
    """Return the registries of several groups of names that are going to be used together.

    Raises `InvalidReference` if the name of a repository in one group begins with the name of a
    registry in another: nobody could tell what it means.
    """
    registries = frozenset(host for group in groups for host in group.registries)
    for group in groups:
        others = registries.difference(group.registries)
        for repository in sorted(group.repositories):
            host, _ = split_registry(repository, others)
            if host:
                raise InvalidReference(
                    f"{repository} in {group.where} is a repository of one registry, but "
                    f"{host} is a registry in {_where(host, groups)}",
                    hint="name the images as they were named before: with "
                    f"{argument('--registry', 'registry=')} if they were relative to it, and "
                    "with full names if not",
                )
    return registries


def _where(host: str, groups: Iterable[NameGroup]) -> str:
    return next(group.where for group in groups if host in group.registries)
