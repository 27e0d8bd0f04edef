"""The images that a user names for a payload, and the registries that they are from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from docker_charon.errors import DockerCharonError
from docker_charon.oci.host import DOCKER_HUB, check_host
from docker_charon.oci.reference import Reference
from docker_charon.registry.access import Access
from docker_charon.transfer.naming.image_choice import ImageChoice
from docker_charon.transfer.naming.name_groups import NameGroup
from docker_charon.transfer.naming.references import hosts_of, source_references
from docker_charon.transfer.sources import Sources
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class WantedImages:
    """The images that the user names, and where they are.

    ``registry`` is ``None`` if each name says which registry it is from. ``insecure`` are those
    that use plain HTTP although the others do not.
    """

    registry: str | None
    to_transfer: Mapping[str, Reference | ImageChoice]
    already_transferred: Mapping[str, Reference | ImageChoice]
    is_secure: bool
    insecure: Collection[str]

    @classmethod
    def of(
        cls,
        registry: str | None,
        to_transfer: Iterable[str],
        already_transferred: Iterable[str],
        *,
        secure: bool,
        insecure: Collection[str],
    ) -> WantedImages:
        """Parse the names; raises as `source_references` and `check_host` do.

        Raises `DockerCharonError` if there is no image to transfer.
        """
        name = "" if registry is None else check_host(registry)
        is_secure = secure and name.lower() not in insecure
        new, old = (
            source_references(names, parameter, registry, secure=is_secure)
            for names, parameter in (
                (to_transfer, "docker_images_to_transfer"),
                (already_transferred, "docker_images_already_transferred"),
            )
        )
        if not new:
            raise DockerCharonError("there is no image to transfer")
        return cls(registry, new, old, is_secure, insecure)

    @property
    def _default(self) -> str:
        """The registry of names without a registry in front."""
        return DOCKER_HUB if self.registry is None else self.registry

    @property
    def _hosts(self) -> frozenset[str]:
        """The registries in front of the names, ``""`` for `_default`."""
        if self.registry is not None:
            return frozenset({""})
        return hosts_of({**self.to_transfer, **self.already_transferred})

    @property
    def are_of_named_registries(self) -> bool:
        """Whether a name has its registry in front."""
        return self._hosts != {""}

    @property
    def registries(self) -> list[str]:
        """The registries that the images are from."""
        return [host or self._default for host in sorted(self._hosts)]

    @property
    def groups(self) -> list[NameGroup]:
        """The repositories of the images and their registries, as a list to add others to."""
        images = [*self.to_transfer.values(), *self.already_transferred.values()]
        repositories = {image.repository for image in images}
        return [NameGroup("the list of images", repositories, self._hosts - {""})]

    def sources(self, access: Access, jobs: int, known: Collection[str]) -> Sources:
        """Return the registries; ``known`` are others that may stand in front of names."""
        return Sources(
            *(self._default, access, jobs),
            hosts=self._hosts,
            known=known,
            insecure=self.insecure,
        )
