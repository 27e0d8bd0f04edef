"""The images of a machine: which of them have names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docker_charon.lists.image_list import Selection
from docker_charon.lists.json_text import read_json
from docker_charon.lists.local_store import select_stored


def selected(value: Any) -> tuple[bool, list[str], list[tuple[str, str]]]:
    """Return whether a value is a list of stored images, and what is taken and passed over."""
    (document,) = read_json([json.dumps(value)])
    assert document.root is not None
    selection = Selection()
    is_known = select_stored(document.root, selection)
    images = selection.finish([])
    return is_known, images.names, [(p.value, p.reason) for p in images.passed_over]


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"Repository": "<none>", "Tag": "<none>"}, "<none>:<none>"),
        ({"Repository": "app", "Tag": "<none>"}, "app:<none>"),
        ({"Repository": "app", "Tag": ""}, "app:"),
        ({"Id": "12", "RepoTags": ["<none>:<none>"]}, "12"),
        ({"id": "12", "repoTags": []}, "12"),
    ],
)
def test_an_image_without_a_name_is_passed_over(entry: Any, value: str) -> None:
    assert selected([entry]) == (True, [], [(value, "it has no name with a tag")])


def test_every_name_of_an_image_is_taken() -> None:
    entry = {"Id": "12", "Names": ["quay.io/app:1", "<none>:<none>", "quay.io/app:2"]}
    assert selected([entry]) == (True, ["quay.io/app:1", "quay.io/app:2"], [])


@pytest.mark.parametrize("value", [{"Names": ["a:1"]}, ["a:1"], {"Repository": "a"}, [], {"a": 1}])
def test_other_values_are_no_images_of_a_machine(value: Any) -> None:
    assert selected(value) == (False, [], [])
