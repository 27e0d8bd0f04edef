"""Work side by side: order, failures, interruptions."""

from __future__ import annotations

import threading
import time

import pytest

from docker_charon import DockerCharonError
from docker_charon.workers import Stopped, Workers


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    def late_if_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    assert Workers(jobs).map(late_if_first, range(20)) == [n * n for n in range(20)]


def test_items_are_begun_in_their_order() -> None:
    begun: list[int] = []
    Workers(1).map(begun.append, range(5))
    assert begun == [0, 1, 2, 3, 4]


def test_as_many_run_at_once_as_there_are_jobs() -> None:
    meeting = threading.Barrier(3, timeout=30)
    Workers(3).map(lambda _: meeting.wait(), range(3))


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_first_failure_stops_the_rest_and_is_raised(jobs: int) -> None:
    begun = []

    def fail(n: int) -> None:
        begun.append(n)
        raise LookupError(n)

    workers = Workers(jobs)
    with pytest.raises(LookupError):
        workers.map(fail, range(100))
    assert len(begun) <= jobs
    with pytest.raises(Stopped):
        workers.check()


def test_a_task_that_checks_ends_when_another_one_fails() -> None:
    workers = Workers(2)
    ended = threading.Event()

    def work(n: int) -> None:
        if n:
            raise LookupError
        try:
            while True:
                workers.check()
        except Stopped:
            ended.set()
            raise

    with pytest.raises(LookupError):
        workers.map(work, range(2))
    assert ended.is_set()


def test_a_thread_that_hangs_does_not_hold_up_a_failure() -> None:
    release, ended = threading.Event(), threading.Event()

    def work(n: int) -> None:
        if n:
            raise LookupError
        release.wait(60)
        ended.set()

    with pytest.raises(LookupError):
        Workers(2).map(work, range(2))
    assert not ended.is_set()
    release.set()


@pytest.mark.parametrize("jobs", [0, -1])
def test_there_must_be_a_job(jobs: int) -> None:
    with pytest.raises(DockerCharonError, match="at least 1"):
        Workers(jobs)


@pytest.mark.parametrize("jobs", [1001, 10**30])
def test_there_are_not_more_jobs_than_make_sense(jobs: int) -> None:
    with pytest.raises(DockerCharonError, match="at most 1000"):
        Workers(jobs)
    assert Workers(1000).map(abs, [-1, -2]) == [1, 2]


@pytest.mark.parametrize("given", [0, 1, 3])
def test_where_the_system_gives_no_more_threads_fewer_do_it_all(
    given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, left = threading.Thread.start, iter(range(given))

    def start_some(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    assert Workers(5).map(abs, range(-20, 0)) == list(range(20, 0, -1))


def test_jobs_are_a_number() -> None:
    with pytest.raises(TypeError, match="int"):
        Workers("4")  # type: ignore[arg-type]
