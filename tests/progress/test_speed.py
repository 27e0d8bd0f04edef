"""The speed: of what moves now, not of what was there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from docker_charon.progress import Progress, progress
from docker_charon.progress.speed import Speed


@dataclass
class Clock:
    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_not_known_before_a_byte_has_moved(clock: Clock) -> None:
    assert Speed(clock).value() is None


def test_it_counts_from_the_first_byte_on(clock: Clock) -> None:
    speed = Speed(clock)
    clock.seconds += 60
    for _ in range(4):
        speed.count(1000)
        clock.seconds += 1
    assert speed.value() == 1000


def test_it_forgets_what_was_long_ago(clock: Clock) -> None:
    speed = Speed(clock)
    for size in (1_000_000, *[1000] * 60):
        speed.count(size)
        clock.seconds += 1
    assert speed.value() == pytest.approx(1000)


def test_it_is_not_known_after_a_pause(clock: Clock) -> None:
    speed = Speed(clock)
    speed.count(1000)
    clock.seconds += 60
    speed.count(0)
    clock.seconds += 60
    assert speed.value() is None


def test_what_an_earlier_run_left_makes_nothing_faster(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "Speed", lambda: Speed(clock))
    shown = Progress("making", {"blob": 40_000_000}, {}, False)
    shown.moved(26_000_000, reused=26_000_000)
    clock.seconds += 3
    for _ in range(2):
        shown.moved(1_000_000)
        clock.seconds += 1
    assert shown.status.speed == 1_000_000
    assert shown.status.seconds_left == 12
