"""The options about registries: names that carry their own, several of them, and their logins."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import charon
from docker_charon.registry import session
from images import image, layer
from loose_registry import LooseRegistry

APP = image(layer(1))


@pytest.fixture
def quay() -> Iterator[LooseRegistry]:
    with LooseRegistry() as registry:
        registry.put("app:1", APP)
        yield registry


def names_in(payload: Path) -> list[str]:
    with zipfile.ZipFile(payload) as archive:
        return list(json.loads(archive.read("payload_descriptor.json"))["manifests_paths"])


def test_without_a_registry_each_name_says_its_own(
    quay: LooseRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = tmp_path / "p.zip"
    with LooseRegistry() as hub:
        monkeypatch.setattr(session, "DOCKER_HUB", hub.address)
        hub.put("library/python:3", APP)
        names = f"{quay.address}/app:1,docker.io/python:3"
        done = charon("make-payload", "-i", "-q", "-f", payload, names)
    assert done.status == 0, done.stderr
    assert names_in(payload) == [f"{quay.address}/app:1", "python:3"]


def test_one_registry_may_be_insecure(quay: LooseRegistry, tmp_path: Path) -> None:
    payload, name = tmp_path / "p.zip", f"{quay.address}/app:1"
    refused = charon("make-payload", "-q", "--retry-for", "0", "-f", payload, name)
    assert quay.address in refused.line
    options = ("--insecure-registry", quay.address)
    assert charon("make-payload", "-q", *options, "-f", payload, name).status == 0
    assert names_in(payload) == [name]


def test_without_a_registry_a_login_is_that_of_docker_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LooseRegistry() as hub:
        monkeypatch.setattr(session, "DOCKER_HUB", hub.address)
        hub.put("library/python:3", APP)
        login = ("-u", "me", "-p", "secret")
        done = charon("make-payload", "-i", "-q", "-f", tmp_path / "p.zip", *login, "python:3")
    assert done.status == 0, done.stderr


@pytest.mark.parametrize("command", ["make-payload", "make-inventory"])
def test_a_login_is_for_one_registry(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = ["-r", "quay.io", "-r", "ghcr.io"] if command == "make-inventory" else ["quay.io/a:1"]
    arguments = (command, "-f", tmp_path / "p.zip", *several)
    for login in (("-u", "me", "-p", "secret"), ("-u", "me", "--password-stdin")):
        done = charon(*arguments, *login, stdin="secret")
        assert (done.status, done.stdout) == (1 if command == "make-payload" else 2, "")
        assert "docker login" in done.stderr
        assert "secret" not in done.stderr
    monkeypatch.setenv("DOCKER_CHARON_USERNAME", "me")
    monkeypatch.setenv("DOCKER_CHARON_PASSWORD", "secret")
    assert charon(*arguments).status == (1 if command == "make-payload" else 2)


def test_an_inventory_of_several_registries(quay: LooseRegistry, tmp_path: Path) -> None:
    with LooseRegistry() as ghcr:
        ghcr.put("team/app:2", APP)
        names = [f"{quay.address}/app:1", f"{ghcr.address}/team/app:2"]
        options = ("-r", quay.address, "-r", ghcr.address, "-i", "-q")
        done = charon("make-inventory", *options, "-f", tmp_path / "i.zip", *names)
    assert (done.status, done.stdout.splitlines()) == (0, names)
    assert names_in(tmp_path / "i.zip") == names
