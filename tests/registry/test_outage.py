"""An outage: all workers wait for a registry that is away, and say so once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clock import Clock
from docker_charon import ConnectionFailed, DockerCharonError, RegistryError, make_payload
from docker_charon.registry import outage
from docker_charon.registry.access import waiting_for
from docker_charon.registry.outage import Outages
from docker_charon.registry.retry import ONCE, RetryPolicy, Tries
from faults.processes import wait_until


def broken(*, permanent: bool = False) -> ConnectionFailed:
    error = ConnectionFailed("the connection broke")
    error.permanent = permanent
    return error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().replace_time(monkeypatch, outage)


class FakeRegistry:
    """Is away for so many seconds from now on; counts how often it is asked."""

    def __init__(self, clock: Clock, away: float, status: int | None = None) -> None:
        self._clock = clock
        self._back = clock.now + away
        self._status = status
        self.asked = 0

    def ask(self) -> int:
        self.asked += 1
        if self._clock.now >= self._back:
            return 401
        if self._status is None:
            raise broken()
        return self._status


@pytest.mark.parametrize("status", [None, 502, 503, 504, 522])
def test_a_registry_that_comes_back_is_waited_for_with_two_lines(
    clock: Clock, caplog: pytest.LogCaptureFixture, status: int | None
) -> None:
    registry = FakeRegistry(clock, 120, status)
    seconds = Outages("r.example", registry.ask).wait(broken(), 300)
    assert seconds is not None
    assert 120 <= seconds <= 125
    assert registry.asked < 40
    assert [record.getMessage() for record in caplog.records] == [
        "waiting up to 300 s for r.example to answer again: the connection broke",
        f"r.example answers again, after {seconds:.0f} s",
    ]


def test_a_registry_that_stays_away_is_given_up_after_the_time(clock: Clock) -> None:
    registry, error = FakeRegistry(clock, 1_000_000), broken()
    outages = Outages("r.example", registry.ask)
    with pytest.raises(ConnectionFailed) as raised:
        outages.wait(error, 60)
    assert raised.value is error
    assert 1050 < clock.now <= 1060


def test_a_registry_that_stays_away_is_waited_for_once(clock: Clock) -> None:
    outages = Outages("r.example", FakeRegistry(clock, 1_000_000).ask)
    for _ in range(3):
        with pytest.raises(ConnectionFailed):
            outages.wait(broken(), 60)
    assert clock.now <= 1060


@pytest.mark.parametrize(("policy", "waits"), [(RetryPolicy(), 2), (ONCE, 1)])
def test_a_registry_is_waited_for_again_after_an_operation_of_several_tries_has_succeeded(
    clock: Clock, policy: RetryPolicy, waits: int
) -> None:
    outages = Outages("r.example", FakeRegistry(clock, 1_000_000).ask)
    started = clock.now
    with pytest.raises(ConnectionFailed):
        outages.wait(broken(), 60)
    Tries(policy, outages).run(lambda: None)
    with pytest.raises(ConnectionFailed):
        outages.wait(broken(), 60)
    assert clock.now - started > waits * 50


@pytest.mark.parametrize(
    "error",
    [
        RegistryError("no", status=404),
        RegistryError("no", status=500),
        broken(permanent=True),
        DockerCharonError("no"),
    ],
)
def test_an_error_with_another_reason_is_no_outage(clock: Clock, error: DockerCharonError) -> None:
    registry = FakeRegistry(clock, 100)
    assert Outages("r.example", registry.ask).wait(error, 300) is None
    assert not registry.asked


def test_a_registry_that_answers_has_no_outage(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    registry = FakeRegistry(clock, 0)
    assert Outages("r.example", registry.ask).wait(broken(), 300) is None
    assert registry.asked == 1
    assert not caplog.records


def test_nothing_is_waited_for_in_no_time(clock: Clock) -> None:
    registry = FakeRegistry(clock, 100)
    assert Outages("r.example", registry.ask).wait(broken(), 0) is None
    assert not registry.asked


def test_all_workers_wait_for_the_one_that_asks(caplog: pytest.LogCaptureFixture) -> None:
    asking, back = threading.Event(), threading.Event()

    def ask() -> int:
        asking.set()
        return 200 if back.is_set() else 503

    outages = Outages("r.example", ask)
    with ThreadPoolExecutor(4) as pool:
        waits = [pool.submit(outages.wait, broken(), 60.0) for _ in range(4)]
        asking.wait(20)
        wait_until(lambda: bool(caplog.records))
        back.set()
        results = [wait.result(20) for wait in waits]
    assert [result for result in results if result is not None]
    assert len(caplog.records) == 2


def test_an_operation_has_all_its_tries_again_after_an_outage(clock: Clock) -> None:
    registry = FakeRegistry(clock, 100)
    tries = Tries(RetryPolicy(tries=3, backoff=0), Outages("r.example", registry.ask))
    errors: Iterator[Any] = iter([broken() for _ in range(4)])

    def attempt() -> str:
        for error in errors:
            raise error
        return "done"

    assert tries.run(attempt) == "done"


def test_a_request_that_fails_while_the_registry_answers_has_its_usual_tries(clock: Clock) -> None:
    registry = FakeRegistry(clock, 0)
    tries = Tries(RetryPolicy(tries=4, backoff=0), Outages("r.example", registry.ask))
    calls = []

    def attempt() -> None:
        calls.append(1)
        raise broken()

    with pytest.raises(ConnectionFailed):
        tries.run(attempt)
    assert len(calls) == 4


def test_outages_of_one_operation_together_have_a_limit(clock: Clock) -> None:
    def ask() -> int:
        return 200 if clock.now % 100 > 50 else 503

    tries = Tries(RetryPolicy(backoff=0, longest_wait=300), Outages("r.example", ask))
    started = clock.now

    def attempt() -> None:
        clock.now += 100 - clock.now % 100  # it goes away again at once
        raise broken()

    with pytest.raises(ConnectionFailed):
        tries.run(attempt)
    assert clock.now - started < 3000


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(DockerCharonError, match="retry_for must be a number of seconds"):
        make_payload("r.example", "p.zip", ["app:1"], retry_for=seconds)


@pytest.mark.parametrize("seconds", ["5", None, True])
def test_what_is_no_number_is_a_type_error(seconds: Any) -> None:
    with pytest.raises(TypeError, match="retry_for"):
        waiting_for(seconds)
