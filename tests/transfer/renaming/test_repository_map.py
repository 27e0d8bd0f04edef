"""Repository maps: what a user may write, and what is refused with one clear line."""

from __future__ import annotations

from typing import Any

import pytest

from docker_charon import InvalidReference
from docker_charon.transfer.renaming.repository_map import checked_map, parse_rule


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("quay.io=mirror/quay", ("quay.io", "mirror/quay")),
        (" quay.io = mirror ", ("quay.io", "mirror")),
        ("quay.io/=mirror/", ("quay.io", "mirror")),
        ("quay.io=", ("quay.io", "")),
        ("Quay.IO/team=x", ("quay.io/team", "x")),
        ("my-team/app=x/y", ("my-team/app", "x/y")),
        ("localhost:5000=x", ("localhost:5000", "x")),
        ("localhost/app=x", ("localhost/app", "x")),
        ("registry:5000/app=x", ("registry:5000/app", "x")),
        ("[::1]:5000/app=x", ("[::1]:5000/app", "x")),
        ("[::1]=x", ("[::1]", "x")),
        ("index.docker.io/library=base", ("docker.io/library", "base")),
        ("registry-1.docker.io=hub", ("docker.io", "hub")),
        ("docker.io=docker.io", ("docker.io", "docker.io")),
    ],
)
def test_a_rule_is_read_in_its_canonical_form(written: str, rule: tuple[str, str]) -> None:
    assert parse_rule(written) == rule


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("quay.io", "write FROM=TO"),
        ("=x", "it is empty"),
        ("quay.io/app:1=x", "leave out the tag and the digest"),
        ("python:3.13=x", "leave out the tag and the digest"),
        ("app@sha256:12=x", "leave out the tag and the digest"),
        ("quay.io/App=x", "in lower case"),
        ("quay.io//app=x", "a repository consists of parts"),
        ("https://quay.io=x", "without https://"),
        ("quay.io=x:1", "without a registry, without a tag and without a digest"),
        ("quay.io=registry.lan:5000/x", "without a registry"),
        ("quay.io=x@sha256:12", "without a registry"),
        ("quay.io=/x", "a repository consists of parts"),
        ("quay.io=X", "in lower case"),
    ],
)
def test_what_is_no_rule_is_refused(written: str, problem: str) -> None:
    with pytest.raises(InvalidReference, match=problem):
        parse_rule(written)


@pytest.mark.parametrize("written", ["me:secret@quay.io=x", "x=me:secret@quay.io", "me:secret@x"])
def test_a_login_is_not_repeated(written: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_rule(written)
    assert "secret" not in str(caught.value)


def test_a_name_is_mapped_to_one_place() -> None:
    same = {"docker.io": "hub", "index.docker.io/": "hub/"}
    assert checked_map(same, "registry.lan") == {"docker.io": "hub"}
    with pytest.raises(InvalidReference, match=r"docker\.io is mapped to hub and to nothing"):
        checked_map({"docker.io": "hub", "index.docker.io": ""}, "registry.lan")


def test_the_registry_of_the_push_is_no_part_of_a_destination() -> None:
    for target in ("registry.lan", "registry.lan/quay"):
        with pytest.raises(InvalidReference, match=r"leave out registry\.lan"):
            checked_map({"quay.io": target}, "registry.lan")
    assert checked_map({"quay.io": "harbor/quay"}, "harbor") == {"quay.io": "harbor/quay"}
    assert checked_map({"quay.io": "registry.lan2"}, "registry.lan") == {"quay.io": "registry.lan2"}


@pytest.mark.parametrize("wrong", ["quay.io=x", ["quay.io"], {"quay.io": None}, {1: "x"}])
def test_other_types_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        checked_map(wrong, "registry.lan")


@pytest.mark.parametrize("rule", ["me:secret@host=app", "app=me:secret@host", "me:secret@host"])
def test_no_message_about_a_rule_contains_a_login(rule: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_rule(rule)
    assert "secret" not in str(caught.value)
