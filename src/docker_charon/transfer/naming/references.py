"""References: what the names that a user gives stand for, with or without a registry in front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from docker_charon.errors import InvalidReference
from docker_charon.messages import argument, quoted_name
from docker_charon.oci.host import check_host, host_in_front, is_docker_hub
from docker_charon.oci.reference import Reference, checked_names
from docker_charon.transfer.naming.image_choice import ImageChoice, split_choice


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
