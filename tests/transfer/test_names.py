"""The names of images as users give them: with the registry in front, or one that is close."""

from __future__ import annotations

import pytest

from docker_charon import InvalidReference
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.names import hint_for_missing, source_references
from images import image, layer
from loose_registry import LooseRegistry


@pytest.mark.parametrize(
    ("registry", "secure", "given", "taken"),
    [
        ("reg.example", True, "reg.example/app:1", "app:1"),
        ("reg.example", True, "REG.example/app:1", "app:1"),
        ("reg.example", True, "reg.example:443/team/app", "team/app"),
        ("reg.example:443", True, "reg.example/app:1", "app:1"),
        ("reg.example", False, "reg.example:80/app:1", "app:1"),
        ("reg.example:5000", True, "reg.example:5000/app:1", "app:1"),
        ("localhost:5000", False, "localhost:5000/app:1", "app:1"),
        ("localhost", False, "localhost/app:1", "app:1"),
        ("[::1]:5000", False, "[::1]:5000/app:1", "app:1"),
        ("docker.io", True, "docker.io/library/redis:7", "library/redis:7"),
        ("registry-1.docker.io", True, "docker.io/redis:7", "redis:7"),
        ("docker.io", True, "index.docker.io/team/app", "team/app"),
        # Others are parts of the name: a mirror may hold them under it.
        ("mirror.example", True, "docker.io/library/redis:7", "docker.io/library/redis:7"),
        ("reg.example", False, "reg.example/app", "app"),
        ("reg.example:5000", True, "reg.example/app", "reg.example/app"),
        ("registry", False, "registry/app:1", "registry/app:1"),
        ("reg.example", True, "app:1", "app:1"),
    ],
)
def test_the_registry_in_front_of_a_name_is_no_part_of_it(
    registry: str, secure: bool, given: str, taken: str
) -> None:
    references = source_references([given], "images", registry, secure=secure)
    assert list(references) == [taken]


def test_a_name_with_and_without_the_registry_is_one_image() -> None:
    names = ["reg.example/app:1", "app:1"]
    assert list(source_references(names, "images", "reg.example", secure=True)) == ["app:1"]


@pytest.mark.parametrize("name", ["other.example:5000/app:1", "[::1]:5000/app:1"])
def test_another_registry_with_a_port_is_refused(name: str) -> None:
    with pytest.raises(InvalidReference, match="leave out the registry"):
        source_references([name], "images", "reg.example", secure=True)


@pytest.mark.parametrize(
    ("present", "wanted", "hint"),
    [
        ("library/redis:7", "redis:7", "HOST has library/redis:7"),
        ("redis:7", "library/redis:7", "HOST has redis:7"),
        ("team/app:1", "ghcr.io/team/app:1", "HOST has team/app:1"),
        ("library/redis:7", "docker.io/redis:7", "HOST has library/redis:7"),
        ("redis:7", "docker.io/library/redis:7", "HOST has redis:7"),
        (
            "other:1",
            "ghcr.io/team/app:1",
            "leave out ghcr.io, or leave out --registry (registry=None) to read it from there",
        ),
        ("library/redis:6", "redis:7", ""),
    ],
)
def test_a_missing_image_is_looked_for_under_other_names(
    present: str, wanted: str, hint: str
) -> None:
    with LooseRegistry() as registry:
        registry.put(present, image(layer(1)))
        references = source_references([wanted], "images", registry.address, secure=False)
        with RegistryClient(registry.address, Access(secure=False)) as client:
            found = hint_for_missing(client, references[wanted])
        assert found == hint.replace("HOST", registry.address)
