"""Destinations: what a name of the payload becomes in the registry that it is pushed to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from docker_charon import InvalidReference
from docker_charon.cli.repository_maps import repository_map_of
from docker_charon.oci.image import SkippedImage
from docker_charon.transfer.renaming.destinations import Destinations
from images import TestImage, image, layer
from payloads import named

REGISTRIES = frozenset({"quay.io", "ghcr.io", "localhost:5001"})
APP, OTHER = image(layer(1)), image(layer(2))


def of(prefix: str = "", **rules: str) -> Destinations:
    """Return the destinations of a payload from ``REGISTRIES`` with these rules."""
    return Destinations(prefix, {**rules}, REGISTRIES)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("quay.io/team/app", "team/app"),
        ("localhost:5001/app", "app"),
        ("python", "python"),
        ("team/app", "team/app"),
        ("other.io/team/app", "other.io/team/app"),  # not one of the payload's registries
    ],
)
def test_without_a_map_the_registry_is_left_out(name: str, there: str) -> None:
    assert of().repository(name) == there
    assert of("site/mirror").repository(name) == f"site/mirror/{there}"


@pytest.mark.parametrize(
    ("key", "to", "name", "there"),
    [
        ("quay.io", "mirror/quay", "quay.io/team/app", "mirror/quay/team/app"),
        ("quay.io", "mirror/quay", "ghcr.io/team/app", "team/app"),
        ("quay.io/team", "t", "quay.io/team/app", "t/app"),
        ("quay.io/team", "t", "quay.io/teams/app", "teams/app"),  # whole parts only
        ("quay.io/team/app", "tool", "quay.io/team/app", "tool"),
        ("quay.io/team/app", "tool", "quay.io/team/app/sub", "tool/sub"),
        ("team", "t", "quay.io/team/app", "t/app"),
        ("team", "t", "team/app", "t/app"),
        ("team/app", "t", "ghcr.io/team/app", "t"),
        ("app", "t", "quay.io/team/app", "team/app"),  # only the beginning
        ("quay.io", "", "quay.io/team/app", "team/app"),
        ("quay.io/team", "", "quay.io/team/app", "app"),
        ("localhost:5001", "dev", "localhost:5001/app", "dev/app"),
        ("docker.io", "hub", "python", "hub/library/python"),
        ("docker.io", "hub", "team/app", "hub/team/app"),
        ("docker.io", "docker.io", "library/python", "docker.io/library/python"),
        ("docker.io/library", "base", "python", "base/python"),
        ("docker.io/library", "base", "library/python", "base/python"),
        ("docker.io/library", "base", "team/app", "team/app"),
        ("docker.io/library/python", "py", "python", "py"),
        ("docker.io/team", "t", "team/app", "t/app"),
        ("docker.io", "hub", "quay.io/team/app", "team/app"),
        ("library", "base", "python", "python"),  # the payload does not spell it so
        ("python", "py", "python", "py"),
    ],
)
def test_a_key_fits_whole_parts_with_or_without_the_registry(
    key: str, to: str, name: str, there: str
) -> None:
    destinations = of(**{key: to})
    assert destinations.repository(name) == there
    assert of("site", **{key: to}).repository(name) == f"site/{there}"


def test_the_examples_for_users_are_true() -> None:
    page = (Path(__file__).parents[3] / ".github/NAMES.md").read_text("utf-8")
    table = page.partition("| `--map` |")[2].partition("\n\n")[0].splitlines()[2:]
    assert table
    for row in table:
        rules, name, there = (cell.strip(" `") for cell in row.split("|")[1:4])
        assert of(**repository_map_of([rules], [])).repository(name) == there, row


def test_the_key_that_covers_most_of_a_name_counts() -> None:
    rules = {
        "quay.io": "q",
        "quay.io/team": "qt",
        "team": "t",
        "team/app": "ta",
        "docker.io": "d",
        "docker.io/library/python": "dp",
        "python": "p",
    }
    destinations = of(**rules)
    assert destinations.repository("quay.io/x/app") == "q/x/app"
    assert destinations.repository("quay.io/team/other") == "qt/other"
    assert destinations.repository("quay.io/team/app") == "ta"  # longer, though without registry
    assert destinations.repository("ghcr.io/team/other") == "t/other"
    assert destinations.repository("python") == "dp"
    assert destinations.repository("redis") == "d/library/redis"


def test_relative_names_that_begin_with_a_host_keep_it_or_are_mapped_by_it() -> None:
    assert Destinations().repository("docker.io/library/redis") == "docker.io/library/redis"
    mapped = Destinations("", {"docker.io": "hub"})
    assert mapped.repository("docker.io/library/redis") == "hub/library/redis"


def test_a_name_cannot_become_empty_or_too_long() -> None:
    with pytest.raises(InvalidReference, match=r"map quay\.io/team/app to the name of"):
        of(**{"quay.io/team/app": ""}).repository("quay.io/team/app")
    with pytest.raises(InvalidReference, match="at most 255"):
        of("x" * 250).repository("quay.io/team/app")


def test_a_blob_is_looked_for_under_its_new_name_and_the_one_that_it_has() -> None:
    assert of(**{"quay.io": "q"}).candidates("quay.io/team/app") == (
        "q/team/app",
        "quay.io/team/app",
    )
    assert of().candidates("team/app") == ("team/app",)
    assert of(team="").candidates("team") == ("team",)  # nothing would be left of the name
    assert of("p" * 255).candidates("localhost:5001/app") == ()
    assert of().candidates("localhost:5001/app") == ("app",)  # this is no repository anywhere


def test_an_image_keeps_its_name_and_its_kind() -> None:
    app = named("quay.io/team/app:1", APP, REGISTRIES)
    skipped = SkippedImage(app.name, app.reference, app.image)
    for wanted in (app, skipped):
        moved = of("site", **{"quay.io": "q"}).of(wanted)
        assert (moved.name, str(moved.reference)) == ("quay.io/team/app:1", "site/q/team/app:1")
        assert type(moved) is type(wanted)


def test_keys_that_fit_nothing_are_known_with_what_would_have_fitted() -> None:
    destinations = of(**{"quay.io": "q", "ghcr.io": "g", "docker.io": "d", "team": "t"})
    assert destinations.unused(["quay.io/team/app"]).keys() == {"ghcr.io", "docker.io"}
    assert destinations.unused(["redis"]).keys() == {"quay.io", "ghcr.io", "team"}
    assert "docker.io/library/redis" in destinations.unused(["redis"])["ghcr.io"]


@pytest.mark.parametrize(
    ("names", "rules", "told"),
    [
        (
            ("quay.io/team/app:1", "ghcr.io/team/app:1"),
            {},
            r"both would become team/app:1; keep them apart, for example with "
            r"repository_map=\{'ghcr\.io': 'ghcr",
        ),
        (("team/app:1", "quay.io/team/app:1"), {}, r"\{'quay\.io': 'quay\.io'\}"),
        (("quay.io/team/app:1", "team/app:1"), {}, r"\{'quay\.io': 'quay\.io'\}"),
        (("localhost:5001/app:1", "app:1"), {}, r"\{'localhost:5001': 'localhost-5001'\}"),
        (
            ("quay.io/a/app:1", "quay.io/b/app:1"),
            {"quay.io/a": "", "quay.io/b": ""},
            r"\{'quay\.io/b/app': 'quay\.io/b/app'\}",
        ),
        (("a/app:1", "b/app:1"), {"a": "x", "b": "x"}, r"\{'b/app': 'b/app'\}"),
    ],
)
def test_two_images_for_one_tag_are_refused_with_the_option_that_parts_them(
    names: tuple[str, str], rules: dict[str, str], told: str
) -> None:
    destinations = of(**rules)
    both = [named(name, one, REGISTRIES) for name, one in zip(names, (APP, OTHER), strict=True)]
    with pytest.raises(InvalidReference, match=told) as caught:
        destinations.check_tags(both)
    assert all(name in str(caught.value) for name in names)
    advice = ast.literal_eval(str(caught.value).partition("repository_map=")[2])
    of(**{**rules, **advice}).check_tags(both)  # it is true


@pytest.mark.parametrize("other", [APP, None])
def test_the_same_image_twice_and_one_that_is_not_known_are_fine(other: TestImage | None) -> None:
    first = named("quay.io/team/app:1", APP, REGISTRIES)
    second = named("ghcr.io/team/app:1", APP, REGISTRIES)
    if other is None:
        unknown = SkippedImage(second.name, second.reference, None)
        of().check_tags([first, unknown])
    else:
        of().check_tags([first, second])
