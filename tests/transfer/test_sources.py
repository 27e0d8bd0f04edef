"""Several registries as one client: which one is asked, with which access, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docker_charon import ConnectionFailed, InvalidReference, RegistryError
from docker_charon.oci.digest import Digest
from docker_charon.registry import session
from docker_charon.registry.access import Access
from docker_charon.registry.client import open_registry
from docker_charon.transfer import sources as module
from docker_charon.transfer.sources import Sources
from images import image, layer
from loose_registry import Asked, LooseRegistry, Reply
from registries import free_port

APP = image(layer(1))
PLAIN = Access(secure=False)


@pytest.fixture
def first() -> Iterator[LooseRegistry]:
    with LooseRegistry() as registry:
        registry.put("team/app:1", APP)
        yield registry


@pytest.fixture
def second() -> Iterator[LooseRegistry]:
    with LooseRegistry() as registry:
        registry.put("team/app:1", APP)
        yield registry


def test_a_repository_is_looked_for_at_the_registry_in_front_of_it(
    first: LooseRegistry, second: LooseRegistry
) -> None:
    hosts = {"", second.address}
    with Sources(first.address, PLAIN, 1, hosts=hosts) as sources:
        for name in ("team/app", f"{second.address}/team/app"):
            assert sources.get_manifest(name, "1").digest == APP.digest
            assert sources.head_manifest(name, "1") == APP.digest
            assert sources.head_blob(name, Digest.of(layer(1))) == len(layer(1))
        assert sources.locate("team/app") == (first.address, "team/app")
        assert sources.locate(f"{second.address}/app") == (second.address, "app")
    for registry in (first, second):
        assert {asked.path.split("/")[2] for asked in registry.asked} == {"", "team"}


def test_a_registry_is_opened_by_the_first_question_to_it(
    first: LooseRegistry, second: LooseRegistry
) -> None:
    with Sources(first.address, PLAIN, 1, hosts={"", second.address}) as sources:
        assert (first.asked, second.asked) == ([], [])
        sources.get_manifest(f"{second.address}/team/app", "1")
        sources.get_manifest(f"{second.address}/team/app", "1")
    assert first.asked == []
    assert [asked.path for asked in second.asked].count("/v2/") == 1


def test_a_single_registry_is_opened_at_once() -> None:
    with (
        pytest.raises(ConnectionFailed),
        Sources(f"127.0.0.1:{free_port()}", PLAIN, 1) as sources,
    ):
        raise AssertionError(sources)


def test_a_registry_that_cannot_be_opened_is_asked_once(first: LooseRegistry) -> None:
    first.answer("GET", "/v2/$", Reply(429, {"Retry-After": "3600"}))
    with Sources("unused.example", PLAIN, 1, hosts={"", first.address}) as sources:
        errors = []
        for _ in range(3):
            with pytest.raises(RegistryError) as caught:
                sources.get_manifest(f"{first.address}/team/app", "1")
            errors.append(caught.value)
    assert len(set(map(id, errors))) == 1
    assert not first.matching("GET", "manifests")


def test_all_registries_that_cannot_be_opened_are_named() -> None:
    hosts = {f"127.0.0.1:{free_port()}" for _ in range(2)}
    with (
        Sources("unused.example", PLAIN, 1, hosts=hosts, opener=open_registry) as sources,
        pytest.raises(RegistryError, match="2 registries cannot be read") as caught,
    ):
        sources.open_all()
    assert all(host in caught.value.message for host in hosts)


def test_a_password_is_sent_to_its_own_registry_only(
    first: LooseRegistry, second: LooseRegistry
) -> None:
    for registry in (first, second):

        def wants_login(asked: Asked) -> Reply | None:
            if asked.authorization is None and asked.path == "/v2/":
                return Reply(401, {"WWW-Authenticate": 'Basic realm="r"'})
            return None

        registry.rules.append(wants_login)
    access = Access(secure=False, username="me", password="secret")
    with Sources(first.address, access, 1, known={second.address}) as sources:
        sources.get_manifest("team/app", "1")
        sources.get_manifest(f"{second.address}/team/app", "1")
    assert {asked.authorization for asked in first.asked} > {None}
    assert {asked.authorization for asked in second.asked} == {None}


def test_one_registry_may_be_on_plain_http(first: LooseRegistry, second: LooseRegistry) -> None:
    hosts = {first.address, second.address}
    with Sources("unused.example", Access(), 1, hosts=hosts, insecure={first.address}) as sources:
        assert sources.get_manifest(f"{first.address}/team/app", "1").digest == APP.digest
        with pytest.raises(ConnectionFailed):
            sources.get_manifest(f"{second.address}/team/app", "1")


def test_an_official_image_of_docker_hub_is_in_library(
    first: LooseRegistry, second: LooseRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DOCKER_HUB", first.address)
    first.put("library/python:3", APP)
    second.put("pause:3", APP)
    hosts = {"", second.address}
    with Sources("registry-1.docker.io", PLAIN, 1, hosts=hosts) as sources:
        assert sources.get_manifest("python", "3").digest == APP.digest
        assert sources.get_manifest(f"{second.address}/pause", "3").digest == APP.digest


def test_the_name_of_a_registry_is_checked() -> None:
    with pytest.raises(InvalidReference):
        Sources("https://reg.example", PLAIN, 1)


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_the_registry_that_answers_fastest_comes_first(
    first: LooseRegistry, second: LooseRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    for registry, seconds in ((first, 5.0), (second, 1.0)):

        def answer_later(asked: Asked, seconds: float = seconds) -> None:
            clock.now += seconds if "manifests" in asked.path else 0

        registry.rules.append(answer_later)
    names = [f"{first.address}/team/app", "unused", f"{second.address}/team/app"]
    hosts = {"", first.address, second.address}
    with Sources("unused.example", PLAIN, 1, hosts=hosts) as sources:
        assert sources.fastest_first(names) == names
        for name in (names[0], names[2]):
            sources.get_manifest(name, "1")
        assert sources.fastest_first(names) == [names[2], names[0], names[1]]
