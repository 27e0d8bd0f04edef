"""Results: what several threads need is done once."""

from __future__ import annotations

import threading

import pytest

from docker_charon.transfer.results import Results
from docker_charon.workers import Workers


def test_a_task_is_done_once_for_each_key() -> None:
    results: Results[str, str | None] = Results()
    assert results.known("a") is None
    assert "a" not in results
    assert results.of("a", lambda: "first") == "first"
    assert results.of("a", lambda: "second") == "first"
    assert results.of("b", lambda: None) is None
    assert results.of("b", lambda: "too late") is None
    assert results.known("a") == "first"
    assert "b" in results


def test_threads_that_need_the_same_wait_for_the_one_that_does_it() -> None:
    results: Results[int, int] = Results()
    done: list[int] = []
    everybody_is_here = threading.Barrier(4)

    def task() -> int:
        done.append(threading.get_ident())
        return len(done)

    def need(_: int) -> int:
        everybody_is_here.wait()
        return results.of(0, task)

    assert Workers(4).map(need, range(4)) == [1, 1, 1, 1]
    assert len(done) == 1


def test_the_next_thread_tries_what_has_failed() -> None:
    results: Results[str, int] = Results()

    def fail() -> int:
        raise ValueError("no answer")

    for _ in range(2):
        with pytest.raises(ValueError, match="no answer"):
            results.of("a", fail)
    assert "a" not in results
    assert results.of("a", lambda: 1) == 1


def test_a_task_may_need_the_results_of_others() -> None:
    results: Results[int, int] = Results()

    def sum_up_to(number: int) -> int:
        return number and number + results.of(number - 1, lambda: sum_up_to(number - 1))

    assert results.of(4, lambda: sum_up_to(4)) == 10
