"""Lines that grep has taken out of manifests."""

from __future__ import annotations

import pytest

from docker_charon.lists.grep_output import as_list


def test_indentation_dashes_and_names_of_files_are_left_out() -> None:
    lines = ["    image: a:1", "- image: b:2", "x/y.yaml:7:  - - 'image': c", "", "  # image: d"]
    assert as_list(lines) == ["- image: a:1", "- image: b:2", "- image: c", "", ""]


@pytest.mark.parametrize(
    "line", ["  tag: 1", "a:1", "imagePullPolicy: Always", "images:", "image", "my image: y"]
)
def test_one_other_line_makes_it_another_text(line: str) -> None:
    assert as_list(["image: a", line]) is None


@pytest.mark.parametrize("lines", [[], [""], ["# image: a"]])
def test_a_text_without_an_image_is_another_text(lines: list[str]) -> None:
    assert as_list(lines) is None
