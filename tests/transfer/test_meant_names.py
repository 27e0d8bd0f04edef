"""The names that a user may have meant: they are looked for in the registry."""

from __future__ import annotations

import pytest

from docker_charon.oci.reference import Reference
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.meant_names import hint_for_missing
from docker_charon.transfer.naming.references import source_references
from images import image, layer
from loose_registry import LooseRegistry


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
            "leave out ghcr.io, or give registry=None to read it from there",
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
            missing = references[wanted]
            assert isinstance(missing, Reference)
            found = hint_for_missing(client, missing)
        assert found == hint.replace("HOST", registry.address)
