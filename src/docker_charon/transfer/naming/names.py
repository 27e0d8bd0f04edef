"""The names of images that a user gives, with or without the registry in front of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from docker_charon.errors import DockerCharonError, InvalidReference
from docker_charon.messages import argument, quoted_name
from docker_charon.oci.host import check_host, host_in_front, is_docker_hub, split_registry
from docker_charon.oci.reference import Reference, checked_names
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.naming.image_choice import ImageChoice, split_choice
from docker_charon.value import dataclass

_OFFICIAL = "library/"
"""What stands before the names of Docker Hub's official images, on Docker Hub and on mirrors."""


def source_references(
    names: Iterable[str], parameter: str, registry: str | None, *, secure: bool
) -> dict[str, Reference | ImageChoice]:
    """Return the images and choices that ``names`` are, in their order, without repetitions.

    A name may begin with ``registry``, which is then no part of it; ``secure`` says what its
    default port is. Without a ``registry``, each name says which one it is from, by Docker's rule,
    and keeps that in front; only Docker Hub's is left out. Raises `InvalidReference` for a name
    that is not valid, and as `checked_names` and `check_host` do.
    """
    wanted: dict[str, Reference | ImageChoice] = {}
    if registry is not None:
        check_host(registry)
    for full_name in checked_names(names, parameter):
        if registry is None:
            name, tags = split_choice(_without_docker_hub(full_name))
            reference = Reference.parse_full(name)
        else:
            name, tags = split_choice(_without_registry(full_name, registry, secure=secure))
            reference = Reference.parse(name)
        if tags is None:
            wanted[name] = reference
        else:
            choice = ImageChoice(name, reference.repository, tags)
            wanted[str(choice)] = choice
    for host in sorted(hosts_of(wanted) - {""}) if registry is None else ():
        check_host(host)
    return wanted


def checked_hosts(hosts: Iterable[str], parameter: str) -> frozenset[str]:
    """Return names of registries in lower case; raises as `checked_names` and `check_host`."""
    hosts = checked_names(hosts, parameter)
    for host in hosts:
        check_host(host)
    return frozenset(host.lower() for host in hosts)


def hosts_of(wanted: Mapping[str, Reference | ImageChoice]) -> frozenset[str]:
    """Return the registries in front of full names, ``""`` for Docker Hub."""
    return frozenset(host_in_front(image.repository) for image in wanted.values())


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


def hint_for_missing(client: RegistryClient, reference: Reference) -> str:
    """Return what to do about an image that a registry lacks, or ``""`` if that is not known.

    The registry is asked for the names that the user may have meant.
    """
    for repository in _other_names(reference.repository, client.registry):
        meant = replace(reference, repository=repository)
        try:
            is_present = client.head_manifest(repository, meant.source) is not None
        except DockerCharonError:
            continue
        if is_present:
            return f"{client.registry} has {meant}"
    host = host_in_front(reference.repository)
    if not host:
        return ""
    option = argument("leave out --registry", "give registry=None")
    return f"leave out {host}, or {option} to read it from there"


def _other_names(repository: str, registry: str) -> Iterator[str]:
    names = [repository]
    if host_in_front(repository):
        names.append(repository.partition("/")[2])
        yield names[-1]
    if is_docker_hub(registry):
        return  # it takes both forms
    for name in names:
        if "/" not in name:
            yield f"{_OFFICIAL}{name}"
        elif name.startswith(_OFFICIAL):
            yield name.removeprefix(_OFFICIAL)


def _without_docker_hub(name: str) -> str:
    """Return a full name, without its registry if that is Docker Hub."""
    if not is_docker_hub(host_in_front(name)):
        return name
    rest = name.partition("/")[2]
    if host_in_front(rest):
        raise InvalidReference(
            f"{quoted_name(name)} names two registries",
            hint="leave out the one that it is not from",
        )
    return rest


def _without_registry(name: str, registry: str, *, secure: bool) -> str:
    host = host_in_front(name)
    port = ":443" if secure else ":80"
    is_same = is_docker_hub(host) and is_docker_hub(registry)
    if host and (is_same or _host_only(host, port) == _host_only(registry, port)):
        return name.partition("/")[2]
    if ":" in host and "@" not in host and "://" not in name:
        raise InvalidReference(
            f"{quoted_name(name)} is not an image of {registry}",
            hint="leave out the registry in front of it, or "
            f"{argument('leave out --registry', 'give registry=None')} to take each image "
            "from its own",
        )
    return name


def _host_only(registry: str, default_port: str) -> str:
    return registry.lower().removesuffix(default_port).removesuffix(".")
