"""Plain lists: one name a line, or several."""

from __future__ import annotations

import pytest

from docker_charon.lists.image_list import PassedOver
from docker_charon.lists.plain import is_plain, read_plain


@pytest.mark.parametrize(
    "line",
    [
        *("app:1", "app:1,app:2", "# image: a", "app:1  # image: a", "quay.io:443/a:1", "", "   "),
        *("not a name", "app:>=1.8,<2", "app@sha256:0", "a # - b", "*", "---x"[3:]),
        *("[::1]:5000/a:1", "[2001:db8::1]/team/a:1", "[::ffff:10.0.0.1]:5000/a@sha256:0"),
    ],
)
def test_a_line_of_a_plain_list_is_not_like_yaml(line: str) -> None:
    assert is_plain([line])


@pytest.mark.parametrize(
    "line",
    [
        *("image: a", "services:", "  - a", "- a", "-", "---", "--- # c", '{"a": 1}', "[a]"),
        *("[::1]", "[1]", "[x:y]/c"),
        *("{{ x }}", '"key": b', "some key: b", "apiVersion:\tv1"),
    ],
)
def test_a_line_of_yaml_or_json_is_not_of_a_plain_list(line: str) -> None:
    assert not is_plain(["app:1", line])


def test_names_are_separated_by_lines_and_commas() -> None:
    lines = ["a:1, b:2,,c  # d", "# e", "", " f ", "a:1"]
    images, unread = read_plain(lines)
    assert images.names == ["a:1", "b:2", "c", "f", "a:1"]
    assert unread is None


def test_names_with_tags_can_be_separated_by_spaces() -> None:
    assert read_plain(["a:1  quay.io/b:2 c@sha256:" + "0" * 64])[1] is None


def test_the_bounds_of_a_range_of_versions_are_one_name() -> None:
    lines = ["a:>=1.8,<2,b:7", "quay.io/a:>= 1.8 < 2  # c", "a:1.*, localhost:5000/b:~1"]
    images, unread = read_plain(lines)
    expected = ["a:>=1.8,<2", "b:7", "quay.io/a:>= 1.8 < 2", "a:1.*", "localhost:5000/b:~1"]
    assert images.names == expected
    assert unread is None


def test_the_first_text_that_is_not_one_word_is_told_with_its_line() -> None:
    images, unread = read_plain(["a:1", "FROM python:3 AS build", "b c"])
    assert images.names == ["a:1"]
    assert unread is not None
    assert (unread.line, unread.value) == (2, "")


@pytest.mark.parametrize("line", ["PASSWORD=hunter2", "export TOKEN=hunter2", "user=me:hunter2"])
def test_a_file_of_variables_is_not_a_list_and_nothing_of_it_is_shown(line: str) -> None:
    images, unread = read_plain(["", line])
    assert not images.names
    assert unread == PassedOver(2, "", "it sets a variable")


def test_a_range_of_versions_sets_no_variable() -> None:
    assert read_plain(["app:>=1.8,<2"])[0].names == ["app:>=1.8,<2"]
