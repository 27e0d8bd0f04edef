"""Names of images and choices of tags: which of them a text is."""

from __future__ import annotations

import pytest

from docker_charon.transfer.naming.image_choice import ImageChoice, split_choice


@pytest.mark.parametrize(
    "name",
    ["app", "app:1.8", "app@sha256:" + "a" * 64, "localhost:5000/app", "[::1]:5000/app:1", "app:"],
)
def test_the_name_of_one_image_is_no_choice(name: str) -> None:
    assert split_choice(name) == (name, None)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("quay.io/x/y:1.*", "quay.io/x/y"),
        ("localhost:5000/app:~1.8", "localhost:5000/app"),
        ("[::1]:5000/app:*", "[::1]:5000/app"),
    ],
)
def test_a_choice_stands_after_any_repository(name: str, repository: str) -> None:
    assert split_choice(name)[0] == repository


def test_a_choice_is_shown_as_it_was_written() -> None:
    repository, tags = split_choice("quay.io/x/y:>=1.8, <2")
    assert tags is not None
    assert str(ImageChoice(repository, "x/y", tags)) == "quay.io/x/y:>=1.8, <2"
