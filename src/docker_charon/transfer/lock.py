"""A lock: a list of full names with digests, from which the same images' payload is made again.

::

    # docker-charon lock: platforms linux/amd64; with referrers
    quay.io/team/my-image:1.8.3@sha256:...
    docker.io/python:3.13@sha256:...

The digest is that of the whole image at the source, whichever platforms were chosen, so that the
same command with this list makes the same payload. The same images give the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from docker_charon.files import write_beside
from docker_charon.oci.digest import Digest
from docker_charon.oci.host import host_in_front, is_docker_hub, split_registry
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.payload.random_access import file_errors
from docker_charon.value import dataclass

_DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where images come from: ``registry``, or that in front of each name if it is ``None``.

    ``registries`` are those in front of names; a name without one is from Docker Hub.
    """

    registry: str | None
    secure: bool
    registries: Collection[str] = ()

    def full_name(self, repository: str) -> str:
        """Return a repository with its registry in front, as Docker understands it."""
        registry, name = self.registry, repository
        if registry is None:
            registry, name = split_registry(repository, self.registries)
        if not registry or is_docker_hub(registry):
            return f"{_DOCKER_HUB}/{name}"
        registry = registry.lower()
        if not host_in_front(f"{registry}/{name}"):  # a name without dots needs a port
            registry += ":443" if self.secure else ":80"
        return f"{registry}/{name}"


def write_lock(target: Path, content: bytes) -> None:
    """Write a lock completely, or raise `PayloadError` and leave the file as it was.

    The target of a link is replaced; a device or a pipe is written to.
    """
    with file_errors(f"cannot write the lock {target}"):
        write_beside(target, content)


def lock_content(
    images: Mapping[Reference, Digest],
    origin: Origin,
    platforms: Sequence[Platform],
    *,
    include_referrers: bool,
) -> bytes:
    """Return the content of a lock of images, each with its digest at the source."""
    chosen = (
        f"platforms {', '.join(p.with_version for p in platforms)}"
        if platforms
        else "all platforms"
    )
    lines = [f"# docker-charon lock: {chosen}; {'with' if include_referrers else 'no'} referrers"]
    for reference, digest in images.items():
        tag = f":{reference.tag}" if reference.tag else ""
        lines.append(f"{origin.full_name(reference.repository)}{tag}@{digest}")
    return "".join(f"{line}\n" for line in lines).encode()
