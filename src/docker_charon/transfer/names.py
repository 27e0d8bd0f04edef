"""The names of images that a user gives, with or without the registry in front of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from docker_charon.errors import DockerCharonError
from docker_charon.oci.host import host_in_front, is_docker_hub
from docker_charon.oci.reference import Reference, checked_names
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.http import check_host
from docker_charon.transfer.tag_choice import ImageChoice, split_choice

_OFFICIAL = "library/"
"""What stands before the names of Docker Hub's official images, on Docker Hub and on mirrors."""


def source_references(
    names: Iterable[str], parameter: str, registry: str, *, secure: bool
) -> dict[str, Reference | ImageChoice]:
    """Return the images and choices that ``names`` are, in their order, without repetitions.

    A name may begin with ``registry``, which is then no part of it; ``secure`` says what its
    default port is. Raises `InvalidReference` for a name that is not valid, and as `checked_names`
    and `check_host` do.
    """
    check_host(registry)
    wanted: dict[str, Reference | ImageChoice] = {}
    for full_name in checked_names(names, parameter):
        name, tags = split_choice(_without_registry(full_name, registry, secure=secure))
        reference = Reference.parse(name)
        if tags is None:
            wanted[name] = reference
        else:
            choice = ImageChoice(name, reference.repository, tags)
            wanted[str(choice)] = choice
    return wanted


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
    return f"leave out {host}: every image comes from {client.registry}" if host else ""


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


def _without_registry(name: str, registry: str, *, secure: bool) -> str:
    host = host_in_front(name)
    port = ":443" if secure else ":80"
    is_same = is_docker_hub(host) and is_docker_hub(registry)
    if host and (is_same or _host_only(host, port) == _host_only(registry, port)):
        return name.partition("/")[2]
    return name


def _host_only(registry: str, default_port: str) -> str:
    return registry.lower().removesuffix(default_port).removesuffix(".")
