"""The names that a user may have meant by the name of an image that a registry lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from docker_charon.errors import DockerCharonError
from docker_charon.messages import argument
from docker_charon.oci.host import host_in_front, is_docker_hub
from docker_charon.oci.reference import Reference
from docker_charon.registry.client import RegistryClient

_OFFICIAL = "library/"
"""What stands before the names of Docker Hub's official images, on Docker Hub and on mirrors."""


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
