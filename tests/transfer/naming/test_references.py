"""The names of images as users give them: with the registry in front, or without it."""

from __future__ import annotations

import pytest

from docker_charon import InvalidReference
from docker_charon.oci.reference import Reference
from docker_charon.transfer.naming.references import checked_hosts, hosts_of, source_references

DIGEST = f"sha256:{'a' * 64}"


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
    ("given", "name", "repository", "host"),
    [
        ("quay.io/team/app:1", "quay.io/team/app:1", "quay.io/team/app", "quay.io"),
        ("quay.io/app", "quay.io/app", "quay.io/app", "quay.io"),
        ("Quay.IO/app", "Quay.IO/app", "quay.io/app", "quay.io"),
        ("localhost/app:1", "localhost/app:1", "localhost/app", "localhost"),
        ("localhost:5000/app", "localhost:5000/app", "localhost:5000/app", "localhost:5000"),
        ("10.0.0.1:5000/app:1", "10.0.0.1:5000/app:1", "10.0.0.1:5000/app", "10.0.0.1:5000"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000/app", "[::1]:5000"),
        ("reg.example:443/app", "reg.example:443/app", "reg.example:443/app", "reg.example:443"),
        # Only on Docker Hub is an image without a namespace one of `library`.
        ("gcr.io/pause:3.10", "gcr.io/pause:3.10", "gcr.io/pause", "gcr.io"),
        ("python:3.13", "python:3.13", "python", ""),
        ("python", "python", "python", ""),
        ("library/python:3", "library/python:3", "library/python", ""),
        ("team/app:1", "team/app:1", "team/app", ""),
        ("docker.io/python:3", "python:3", "python", ""),
        ("docker.io/library/python:3", "library/python:3", "library/python", ""),
        ("index.docker.io/team/app", "team/app", "team/app", ""),
        ("registry-1.docker.io/team/app", "team/app", "team/app", ""),
        ("Docker.io:443/team/app", "team/app", "team/app", ""),
        # It has no dot, no colon, and is not `localhost`.
        ("redhat/ubi9:1", "redhat/ubi9:1", "redhat/ubi9", ""),
    ],
)
def test_a_full_name_says_which_registry_it_is_from(
    given: str, name: str, repository: str, host: str
) -> None:
    references = source_references([given], "images", None, secure=True)
    assert {name: ref.repository for name, ref in references.items()} == {name: repository}
    assert hosts_of(references) == {host}


def test_a_full_name_may_have_a_digest() -> None:
    name = f"localhost:5000/app:1@sha256:{'a' * 64}"
    (reference,) = source_references([name], "images", None, secure=True).values()
    assert reference == Reference.parse_full(name)
    assert (Reference.parse_full(name).tag, str(reference)) == ("1", name)


def test_different_ways_to_write_a_registry_are_one() -> None:
    names = ["QUAY.io/app:1", "quay.io/app:2"]
    assert hosts_of(source_references(names, "images", None, secure=True)) == {"quay.io"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("docker.io/quay.io/team/app", "names two registries"),
        ("https://quay.io/app", "without https://"),
        ("quay.io:port/app", "not the name of a registry|quay.io:port"),
        ("quay.io/", "is not an image name"),
        ("user:secret@quay.io/app", "without a login"),
        ("2001:db8::1/app", "2001:db8::1"),
    ],
)
def test_a_full_name_that_is_not_valid_is_refused(name: str, problem: str) -> None:
    with pytest.raises(InvalidReference, match=problem):
        source_references([name], "images", None, secure=True)


def test_the_registries_on_plain_http_are_a_list_of_hosts() -> None:
    assert checked_hosts(["Reg.example:5000"], "insecure_registries") == {"reg.example:5000"}
    with pytest.raises(InvalidReference):
        checked_hosts(["http://reg.example"], "insecure_registries")
    with pytest.raises(TypeError, match="insecure_registries"):
        checked_hosts("reg.example", "insecure_registries")


@pytest.mark.parametrize("registry", [None, "registry.example.com"])
@pytest.mark.parametrize(
    "name",
    [
        f"me:secret@host/app@{DIGEST}",
        "me:secret@host",
        "me:secret@host:5000",
        "me:secret*@host",
        "me:>secret@host",
        f"https://me:secret@host/app:1.*@{DIGEST}",
        "https://me:secret@host/app:>=one",
        "docker.io/me:secret@quay.io/app",
        "quay.io:5000/me:secret@host/app",
        "me:secret/secret@host/app",
    ],
)
def test_no_message_about_a_name_contains_a_login(name: str, registry: str | None) -> None:
    with pytest.raises(InvalidReference) as caught:
        source_references([name], "names", registry, secure=True)
    assert "secret" not in str(caught.value)
