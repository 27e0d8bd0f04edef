"""Namespaces: the moves of repositories, summed up by the beginnings of their old names."""

from __future__ import annotations

import pytest

from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.transfer.renaming.namespaces import Namespaces, moved_namespaces

REGISTRIES = frozenset({"quay.io", "localhost:5001"})


def namespaces_of(
    names: list[str], rules: dict[str, str] | None = None, prefix: str = ""
) -> dict[str, Namespaces]:
    destinations = Destinations(prefix, rules or {}, REGISTRIES)
    return {one.registry: one for one in moved_namespaces(destinations, names)}


@pytest.mark.parametrize(
    ("names", "rules", "prefix", "targets"),
    [
        (["quay.io/team/app"], {}, "", {"": ""}),
        (["quay.io/team/app"], {}, "site/mirror", {"": "site/mirror"}),
        (["quay.io/team/app", "quay.io/x"], {"quay.io": "q"}, "", {"": "q"}),
        (["quay.io/team/app"], {"quay.io": "q"}, "site", {"": "site/q"}),
        (["quay.io/team/app"], {"quay.io/team": "t"}, "", {"": "", "team": "t"}),
        # What the map says of its registries is there for later payloads, too.
        (["quay.io/x"], {"quay.io": "q", "team": "t"}, "", {"": "q", "team": "t"}),
        (["quay.io/x"], {"ghcr.io": "g", "docker.io": "d"}, "", {"": ""}),
        (["quay.io/a/b"], {"quay.io/a/b": "c"}, "", {"": "", "a/b": "c"}),
        (["quay.io/a/b", "quay.io/a/b/c"], {"a/b": "x"}, "", {"": "", "a/b": "x"}),
    ],
)
def test_the_moves_of_a_registry_are_summed_up(
    names: list[str], rules: dict[str, str], prefix: str, targets: dict[str, str]
) -> None:
    namespaces = namespaces_of(names, rules, prefix)["quay.io"]
    assert namespaces.targets == targets
    assert not namespaces.lost


@pytest.mark.parametrize(
    ("names", "rules", "targets"),
    [
        (["python", "redis"], {}, {"": "", "library": ""}),
        (["library/python"], {}, {"": ""}),
        (["python"], {"docker.io": "docker.io"}, {"": "docker.io"}),
        (["python"], {"docker.io/library": "base"}, {"": "", "library": "base"}),
        (
            ["python", "library/redis"],
            {},
            {"": "", "library": "", "library/redis": "library/redis"},
        ),
        (
            ["python", "team/app"],
            {"python": "py"},
            {"": "", "python": "py", "library/python": "py"},
        ),
    ],
)
def test_nodes_know_official_images_of_docker_hub_as_those_of_its_library(
    names: list[str], rules: dict[str, str], targets: dict[str, str]
) -> None:
    namespaces = namespaces_of(names, rules)["docker.io"]
    assert namespaces.targets == targets
    assert not namespaces.lost


def test_two_places_of_one_old_name_are_one_too_many() -> None:
    (lost,) = namespaces_of(["python", "library/python"])["docker.io"].lost
    assert lost.old_name == "docker.io/library/python"
    assert lost.destination in ("python", "library/python")


def test_every_move_is_found_whatever_the_map() -> None:
    rules = {"quay.io": "a", "a": "quay.io", "a/b": "", "quay.io/a/b/c": "a/b/c", "b": "a/b"}
    names = ["a", "b", "a/a", "a/b/a", "a/b/c", "a/b/c/d", "b/a", "c/a"]
    for prefix in ("", "a"):
        namespaces = namespaces_of([f"quay.io/{name}" for name in names], rules, prefix)["quay.io"]
        assert len(namespaces.moves) == len(names)
        assert not namespaces.lost
