"""Destinations that take no pushes: they are called what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import images
from conftest import require_registry
from docker_charon import RegistryError, push_payload_to_registry, serve
from images import image, layer
from payloads import payload_of
from registries import docker_registry

APP = image(layer(1))


def problem(registry: str, folder: Path) -> str:
    (folder / "p.zip").write_bytes(payload_of({"app:1": APP}))
    with pytest.raises(RegistryError) as caught:
        push_payload_to_registry(registry, folder / "p.zip", secure=False)
    return str(caught.value)


def test_a_pull_through_cache_is_called_that(source: str, tmp_path: Path) -> None:
    require_registry()
    images.put(source, "base:1", image(layer(2)))
    with docker_registry(tmp_path / "cache", proxy={"remoteurl": f"http://{source}"}) as cache:
        said = problem(cache, tmp_path)
    assert "answers 405 UNSUPPORTED" in said
    assert "it is a pull-through cache of another registry, or read-only" in said


def test_a_registry_in_maintenance_is_called_read_only(tmp_path: Path) -> None:
    require_registry()
    maintenance = {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}}
    root = tmp_path / "registry"
    storage = {"filesystem": {"rootdirectory": str(root)}, "maintenance": maintenance}
    with docker_registry(root, storage=storage) as registry:
        assert "or read-only: push to another registry" in problem(registry, tmp_path)


def test_payloads_that_are_served_are_called_read_only(tmp_path: Path) -> None:
    (tmp_path / "served.zip").write_bytes(payload_of({"base:1": image(layer(2))}))
    with serve([tmp_path / "served.zip"]) as server:
        assert "or read-only: push to another registry" in problem(server.address, tmp_path)
