"""The selection of names: each once, in the order of the file, and what was passed over."""

from __future__ import annotations

from docker_charon.lists.image_list import PassedOver, Selection
from docker_charon.lists.tree import Mapping, Scalar, Style


def test_names_are_taken_once_and_in_their_order() -> None:
    selection = Selection()
    for name in ("b:1", "a:1", "b:1"):
        selection.take(Scalar(1, name))
    assert selection.finish(["x", "y", "x"]).names == ["b:1", "a:1"]
    assert selection.finish(["x", "y", "x"]).formats == ["x", "y"]


def test_what_is_passed_over_is_in_the_order_of_its_lines_and_named_once() -> None:
    selection = Selection()
    for line, text in ((9, "$A"), (2, "$B"), (11, "$A")):
        selection.take(Scalar(line, text))
    selection.take(Scalar(4, "a", Style.ALIAS))
    selection.take(Mapping(5))
    passed_over = selection.finish([]).passed_over
    assert [(passed.line, passed.value) for passed in passed_over] == [
        *((2, "$B"), (4, "*a"), (5, ""), (9, "$A"))
    ]


def test_a_hint_is_dropped_if_the_name_is_taken() -> None:
    selection = Selection()
    selection.hint(1, "quay.io/a:1", "why")
    selection.hint(2, "quay.io/b:1", "why")
    selection.take(Scalar(3, "quay.io/a:1"))
    assert selection.finish([]).passed_over == [PassedOver(2, "quay.io/b:1", "why")]


def test_a_name_is_not_joined_from_a_part_that_is_no_text() -> None:
    selection = Selection()
    alias = Scalar(2, "tag", Style.ALIAS)
    selection.take_joined(1, "a:tag", [Scalar(1, "a"), alias])
    selection.take_joined(3, "b:2", [Scalar(3, "b"), Scalar(4, "2")])
    images = selection.finish([])
    assert images.names == ["b:2"]
    assert [(passed.line, passed.value) for passed in images.passed_over] == [(2, "*tag")]
