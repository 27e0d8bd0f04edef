"""Hosts: which texts name a registry."""

from __future__ import annotations

import pytest

from docker_charon.errors import InvalidReference
from docker_charon.oci.host import check_host


@pytest.mark.parametrize(
    "registry",
    [
        "localhost",
        "localhost:5000",
        "registry-1.docker.io",
        "Registry.Example:443",
        "my_registry:5000",
        "10.0.0.1:65535",
        "[::1]",
        "[fe80::1]:5000",
        "a" * 63 + ".example",
    ],
)
def test_a_host_is_a_registry(registry: str) -> None:
    assert check_host(registry) == registry


@pytest.mark.parametrize(
    "registry",
    [
        "",
        "https://registry.example",
        "registry.example/",
        "registry.example/v2/",
        "registry.example:",
        "registry.example:port",
        "registry.example:65536",
        "registry.example:123456",
        "[::1]:65536",
        "[::::1]",
        "[1.2.3]:5000",
        "[:]",
        "::1",
        "user:pw@registry.example",
        "registry.example?x",
        "registry.example#x",
        "registry..example",
        ".example",
        "-registry.example",
        "registry example",
        "registry.example\n",
        "registry.example\\@other.example",
        "régistry.example",
        "registry.example:\u0665",
        "a" * 64 + ".example",
        "x" * 10_000 + "/",
    ],
)
def test_what_is_no_host_is_no_registry(registry: str) -> None:
    with pytest.raises(InvalidReference, match="write host or host:port") as caught:
        check_host(registry)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["", "https://", "http://", "https://me:secret@"])
def test_a_path_after_the_host_belongs_to_the_names(scheme: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        check_host(f"{scheme}registry.example:8443/docker/team/")
    assert caught.value.hint.startswith("write registry.example:8443, and docker/team as a part")
    assert "repository_prefix=" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("registry", [None, 5000, b"localhost"])
def test_a_registry_is_a_string(registry: object) -> None:
    with pytest.raises(TypeError, match="a registry is a str"):
        check_host(registry)  # type: ignore[arg-type]  # on purpose


def test_a_password_with_a_space_and_a_slash_is_not_shown() -> None:
    with pytest.raises(InvalidReference) as raised:
        check_host("me:12/sec ret@registry.lan/app")
    assert "sec" not in str(raised.value)
