"""Destinations: where the repositories of a payload are in the registry that it is pushed to."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import TypeVar

from docker_charon.errors import InvalidReference
from docker_charon.oci.host import split_registry
from docker_charon.oci.image import PayloadImage
from docker_charon.oci.reference import check_repository, checked_prefix, joined
from docker_charon.transfer.plan import different_images_of_one_tag
from docker_charon.transfer.renaming.repository_map import (
    DOCKER_HUB_NAME,
    checked_map,
    rule_argument,
)
from docker_charon.value import dataclass

_Image = TypeVar("_Image", bound=PayloadImage)


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where the repositories of a payload are in the registry that it is pushed to.

    The longest part of a name that is a key of ``repository_map`` is replaced by its value. If no
    key fits, the registry in front of the name is left out; it can be one of ``registries``, in
    lower case. Then ``prefix`` is put before it, if that is not empty.

    A key fits whole parts at the beginning of a name, with or without the registry in front. For a
    name without a registry it also fits Docker Hub's full name: ``docker.io/library/python``.
    """

    prefix: str = ""
    repository_map: Mapping[str, str] = field(default_factory=dict)
    registries: Collection[str] = frozenset()

    @classmethod
    def checked(
        cls, prefix: str, repository_map: Mapping[str, str] | None, registry: str
    ) -> Destinations:
        """Return destinations in ``registry``; raise `InvalidReference` if they are not valid."""
        return cls(checked_prefix(prefix), checked_map(repository_map, registry))

    @property
    def change_names(self) -> bool:
        """Whether names at the destination may differ from those in the payload."""
        return bool(self.prefix or self.repository_map or self.registries)

    def repository(self, name: str) -> str:
        """Return where a repository of the payload is at the destination.

        Raises `InvalidReference` if that would be empty or too long.
        """
        placed = self._placed(*self._forms(name))
        if not placed:
            raise InvalidReference(
                f"nothing would be left of the name {name}",
                hint=f"map {name} to the name of a repository",
            )
        return check_repository(placed)

    def namespace(self, registry: str, path: str) -> str:
        """Return where the repositories below ``registry/path`` are, as far as no other key fits.

        Both ``path`` and the result may be empty.
        """
        return self._placed(joined(registry, path), path)

    def candidates(self, name: str) -> tuple[str, ...]:
        """Return where the destination may have a repository that is named for a blob.

        An inventory has the destination's own names, so the name itself is one of the candidates.
        There are none if neither the new name nor this one is valid.
        """
        names: dict[str, None] = {}
        for rename in (self.repository, check_repository):
            with contextlib.suppress(InvalidReference):  # a registry with a port, for example
                names[rename(name)] = None
        return tuple(names)

    def of(self, image: _Image) -> _Image:
        """Return an image with its reference at the destination; its name stays the same."""
        repository = self.repository(image.reference.repository)
        return replace(image, reference=replace(image.reference, repository=repository))

    def full_name(self, name: str) -> tuple[str, str]:
        """Return the registry that a repository is from, and its full name there.

        A name without a registry is taken for one of Docker Hub's.
        """
        registry, rest = split_registry(name, self.registries)
        if registry:
            return registry, rest
        return DOCKER_HUB_NAME, rest if "/" in rest else f"library/{rest}"

    @property
    def have_full_names(self) -> bool:
        """Whether it is known which registry each repository of the payload is from."""
        return bool(self.registries) or any(
            key.partition("/")[0] == DOCKER_HUB_NAME for key in self.repository_map
        )

    def unused(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the keys that fit none of these repositories, with what would have fitted."""
        if not self.repository_map:
            return {}
        beginnings = frozenset(
            "/".join(parts[:length])
            for name in names
            for parts in (form.split("/") for form in self._forms(name))
            for length in range(1, len(parts) + 1)
        )
        return {key: beginnings for key in self.repository_map if key not in beginnings}

    def check_tags(self, images: Iterable[PayloadImage]) -> None:
        """Raise `InvalidReference` if two different images would get the same tag."""
        given = {image.name: image.reference.repository for image in images}
        pair = different_images_of_one_tag(map(self.of, images))
        if pair is None:
            return
        first, second = pair
        source, target = self._distinction([given[image.name] for image in reversed(pair)])
        raise InvalidReference(
            f"{first.name} and {second.name} are different images, and both would become "
            f"{second.reference}",
            hint=f"keep them apart, for example with {rule_argument(source, target)}",
        )

    def _distinction(self, names: list[str]) -> tuple[str, str]:
        """Return a key and a value that keep the first of several repositories from the others."""
        for name in names:
            registry, _ = split_registry(name, self.registries)
            if registry and self._fitting(*self._forms(name)) is None:
                return registry, as_repository(registry)
        return names[0], as_repository(names[0])

    def _placed(self, full_name: str, name: str) -> str:
        key, rest = self._fitting(full_name, name) or ("", name)
        return joined(self.prefix, self.repository_map.get(key, ""), rest)

    def _forms(self, name: str) -> tuple[str, str]:
        """Return a repository's full name, and its name without its registry."""
        _, rest = split_registry(name, self.registries)
        return "/".join(self.full_name(name)), rest

    def _fitting(self, full_name: str, name: str) -> tuple[str, str] | None:
        """Return the key that covers most of a name, and what follows it; ``None`` if none fits."""
        fitting: tuple[str, str] | None = None
        for form in (full_name, name):
            for key, rest in _splits(form):
                if key in self.repository_map:
                    if fitting is None or _length(rest) < _length(fitting[1]):
                        fitting = key, rest
                    break
        return fitting


def as_repository(name: str) -> str:
    """Return a name as the repository that is most like it: ``localhost-5000/app``."""
    return re.sub("[^a-z0-9./_-]+", "-", name.lower()).strip("-")


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to cut a name between its parts in two, the longest beginning first."""
    parts = name.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length]), "/".join(parts[length:])


def _length(name: str) -> int:
    """Return the number of parts of a name, which may be empty."""
    return name.count("/") + 1 if name else 0
