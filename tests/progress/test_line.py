"""The lines: what fits into a terminal of any width, and what a log gets."""

from __future__ import annotations

import pytest

from docker_charon.progress.event import ProgressEvent
from docker_charon.progress.line import Status, bar_line, plain_line

HALF = Status(ProgressEvent("making", 26_300_000, 40_000_000, 3, 5, 1, 2), speed=1_370_000)
RESUMED = Status(HALF.event, resumed=13_000_000, rebuilt=2, speed=1_370_000)


@pytest.mark.parametrize("columns", [1, 10, 20, 50, 80, 120, 200])
@pytest.mark.parametrize("status", [HALF, RESUMED])
def test_a_line_leaves_room_for_the_key_that_interrupts_it(columns: int, status: Status) -> None:
    assert len(bar_line(status, columns)) <= max(1, columns - len("^C") - 1)


def test_the_less_room_there_is_the_less_is_shown() -> None:
    assert bar_line(RESUMED, 20) == "Making  65%"
    assert bar_line(RESUMED, 50) == "Making  65%  26.3 of 40.0 MB, 00:10 left"
    assert bar_line(RESUMED, 80) == (
        "Making  65% |████████▌    |  26.3 of 40.0 MB, 1.4 MB/s, 00:10 left, 3/5 blobs"
    )
    assert bar_line(RESUMED, 120).endswith(
        "|  26.3 of 40.0 MB, 1.4 MB/s, 00:10 left, 3/5 blobs, 13.0 MB resumed, 2 rebuilt"
    )


def test_a_terminal_that_lacks_the_blocks_gets_number_signs() -> None:
    assert "|########     |" in bar_line(HALF, 80, "#")


def test_a_log_gets_all_of_it() -> None:
    assert plain_line(RESUMED) == (
        "Making: 26.3 of 40.0 MB, 3/5 blobs, 13.0 MB resumed, 2 rebuilt, 1.4 MB/s, 10 s left"
    )


def test_what_is_not_known_is_not_shown() -> None:
    begun = Status(ProgressEvent("making", 0, 40_000_000, 0, 5, 0, 2))
    assert plain_line(begun) == "Making: 0.0 of 40.0 MB, 0/5 blobs"
    assert "left" not in bar_line(begun, 80)


def test_images_are_counted_when_all_blobs_are_there_and_where_there_are_no_bytes() -> None:
    sent = Status(ProgressEvent("pushing", 5, 5, 5, 5, 1, 2))
    assert plain_line(sent) == "Pushing: 5 of 5 B, 1/2 images"
    looking = Status(ProgressEvent("looking", images_done=12, images_total=40))
    assert plain_line(looking) == "Looking: 12 of 40 images"
    assert "30%" in bar_line(looking, 80)


def test_without_anything_to_count_the_time_is_shown() -> None:
    asking = Status(ProgressEvent("asking"), seconds=12.3, note="registry.lan")
    assert plain_line(asking) == "Asking registry.lan: 12 s"
    assert bar_line(asking, 80) == "Asking registry.lan  12 s"


def test_hours_have_their_own_place() -> None:
    slow = Status(ProgressEvent("making", 0, 36_720_000), speed=10_000)
    assert "1:01:12 left" in bar_line(slow, 80)
