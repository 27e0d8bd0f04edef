"""The pause: while a person is asked, progress is silent and its clock stands still."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from docker_charon.progress import Progress, paused, progress
from docker_charon.progress.pause import is_paused, working_time
from docker_charon.progress.speed import Speed


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time in seconds, which a test can change."""
    seconds = [100.0]
    clock = SimpleNamespace(monotonic=lambda: seconds[0])
    monkeypatch.setattr("docker_charon.progress.pause.time", clock)
    return seconds


def test_it_lasts_until_the_last_question_is_answered() -> None:
    with paused():
        with paused():
            assert is_paused()
        assert is_paused()
    assert not is_paused()


def test_a_person_who_looks_for_a_medium_makes_nothing_slower(now: list[float]) -> None:
    speed = Speed()
    for _ in range(4):
        speed.count(1000)
        now[0] += 1
    with paused():
        now[0] += 300
        assert speed.value() == 1000
    assert speed.value() == 1000


def test_its_clock_goes_on_after_an_interruption(now: list[float]) -> None:
    begun = working_time()
    with pytest.raises(KeyboardInterrupt), paused():
        now[0] += 10
        raise KeyboardInterrupt
    now[0] += 1
    assert working_time() - begun == 1


def test_no_line_follows_a_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = iter(range(3))
    has_had_turns = threading.Event()

    def turn() -> bool:
        if next(turns, None) is None:
            has_had_turns.set()
        return is_paused()

    monkeypatch.setattr(progress, "LINE_EVERY", 0.001)
    monkeypatch.setattr(progress, "is_paused", turn)
    with paused(), Progress("pushing", {"blob": 10}, {}, True) as shown:
        assert has_had_turns.wait(60)
        shown.sum_up("done")
    assert capsys.readouterr().err.startswith("docker-charon: done")
