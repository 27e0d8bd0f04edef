"""Comma lists: which names are in a text."""

from __future__ import annotations

import pytest

from docker_charon.lists.comma_list import split_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a:1,b:2", ["a:1", "b:2"]),
        (" a , b ,, ", ["a", "b"]),
        (",", []),
        ("a:>=1.8,<2,b:7", ["a:>=1.8,<2", "b:7"]),
        ("a:>=1.8, <2 ,!=1.9,b:~3,c", ["a:>=1.8,<2,!=1.9", "b:~3", "c"]),
        ("a:>=1.8 <2,b", ["a:>=1.8 <2", "b"]),
        ("a:1.*,b:*", ["a:1.*", "b:*"]),
        ("quay.io/x/y:^1,localhost:5000/z:=2", ["quay.io/x/y:^1", "localhost:5000/z:=2"]),
        ("<2", ["<2"]),  # it belongs to nothing, and stays so that it is refused by name
    ],
)
def test_a_comma_parts_names_and_the_bounds_of_one_range(text: str, names: list[str]) -> None:
    assert split_names(text) == names
