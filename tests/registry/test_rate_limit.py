"""A limit of requests: all workers wait together, and send as fast as the registry takes them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from clock import Clock
from docker_charon.errors import ConnectionFailed, RegistryError
from docker_charon.registry import rate_limit
from docker_charon.registry.rate_limit import RateLimit, is_refusal
from docker_charon.registry.retry import ONCE, RetryPolicy, Tries

USUAL = RetryPolicy()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(random, "uniform", lambda *_: 1.0)
    return Clock().replace_time(monkeypatch, rate_limit)


def refusal(retry_after: float | None = None, status: int = 429) -> RegistryError:
    error = RegistryError(f"it answers {status}", status=status)
    error.retry_after = retry_after
    return error


class Request:
    """Is refused with these errors, one after the other, and accepted after that."""

    def __init__(self, clock: Clock, *errors: RegistryError) -> None:
        self.times: list[float] = []
        self._clock = clock
        self._errors = list(errors)

    def __call__(self) -> str:
        self.times.append(self._clock.now)
        if self._errors:
            raise self._errors.pop(0)
        return "done"


class Bucket:
    """A registry that takes ``rate`` requests a second, and ``burst`` at once after a pause."""

    def __init__(self, clock: Clock, rate: float, burst: int, *, names_time: bool) -> None:
        self.refused = 0
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._names_time = names_time
        self._tokens = float(burst)
        self._counted = clock.now

    def send(self) -> None:
        earned = (self._clock.now - self._counted) * self._rate
        self._tokens, self._counted = min(self._burst, self._tokens + earned), self._clock.now
        if self._tokens < 1:
            self.refused += 1
            seconds = math.ceil((1 - self._tokens) / self._rate)
            raise refusal(seconds if self._names_time else None)
        self._tokens -= 1


@pytest.mark.parametrize("names_time", [True, False])
@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (2, 2), (4, 4), (10, 10), (100 / 60, 100)])
def test_nearly_as_many_requests_are_sent_as_the_registry_takes(
    clock: Clock, rate: float, burst: int, names_time: bool
) -> None:
    bucket, limit = Bucket(clock, rate, burst, names_time=names_time), RateLimit(USUAL)
    started = clock.now
    for _ in range(300):
        limit.run(bucket.send)
    assert clock.now - started < 1.35 * (300 - burst) / rate
    assert bucket.refused < 45


def test_the_wait_that_a_registry_asks_for_is_kept(clock: Clock) -> None:
    request = Request(clock, refusal(7), refusal(20))
    assert RateLimit(USUAL).run(request) == "done"
    assert [time - request.times[0] for time in request.times] == [0, 7, 27]


def test_a_registry_without_a_limit_is_not_waited_for(clock: Clock) -> None:
    limit = RateLimit(USUAL)
    for _ in range(100):
        limit.run(Request(clock))
    assert not clock.slept


def test_after_a_limit_is_gone_requests_are_sent_at_once_again(clock: Clock) -> None:
    limit = RateLimit(USUAL)
    limit.run(Request(clock, refusal(1)))
    for _ in range(100):
        limit.run(Request(clock))
    before = clock.now
    limit.run(Request(clock))
    assert clock.now == before


def side_by_side(limit: RateLimit, request: Request, other: Callable[[], str]) -> Callable[[], str]:
    """Return a request that is sent first, and answered after another worker has sent its own."""
    answers = iter([other])

    def send() -> str:
        for answer in answers:
            limit.run(answer)
        return request()

    return send


def test_a_worker_waits_if_another_is_told_to(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = RateLimit(USUAL)
    waiting, other = Request(clock, refusal(3)), Request(clock)
    started, others, pass_time = clock.now, iter([other]), clock.sleep

    def sleep(seconds: float) -> None:
        for request in others:  # another worker wants to send while this one waits
            limit.run(request)
        pass_time(seconds)

    monkeypatch.setattr(clock, "sleep", sleep)
    limit.run(waiting)
    assert other.times == [started + 3]


def test_requests_that_are_refused_side_by_side_are_one_refusal(clock: Clock) -> None:
    limit = RateLimit(USUAL)
    limit.run(side_by_side(limit, Request(clock, refusal(1)), Request(clock, refusal(1))))
    started = clock.now
    for _ in range(10):
        limit.run(Request(clock))
    assert clock.now - started < 10 * 0.05


def test_all_waits_since_a_request_was_accepted_have_a_limit(clock: Clock) -> None:
    limit = RateLimit(replace(USUAL, longest_wait=50))
    limit.run(Request(clock, refusal(20), refusal(20)))
    request = Request(clock, *[refusal(20) for _ in range(5)])
    with pytest.raises(RegistryError) as raised:
        limit.run(request)
    assert len(request.times) == 3
    assert raised.value.most_tries == 1


def test_a_registry_that_was_waited_for_in_vain_is_not_waited_for_again(clock: Clock) -> None:
    limit = RateLimit(replace(USUAL, longest_wait=30))
    requests = [Request(clock, *[refusal(1) for _ in range(100)]) for _ in range(3)]
    started = clock.now
    for request in requests:
        with pytest.raises(RegistryError):
            limit.run(request)
    assert [len(request.times) for request in requests[1:]] == [1, 1]
    assert 25 < clock.now - started < 35


def test_waits_go_on_while_other_requests_are_accepted(clock: Clock) -> None:
    limit = RateLimit(replace(USUAL, longest_wait=5))

    class Unlucky(Request):
        def __call__(self) -> str:
            limit.run(Request(clock))
            return super().__call__()

    assert limit.run(Unlucky(clock, *[refusal(4) for _ in range(20)])) == "done"


def test_a_wait_that_is_too_long_is_not_begun(clock: Clock) -> None:
    limit, request = RateLimit(USUAL), Request(clock, *[refusal(864_000) for _ in range(5)])
    with pytest.raises(RegistryError):
        Tries(USUAL).run(lambda: limit.run(request))
    assert len(request.times) == 1
    assert limit.run(Request(clock, refusal(1))) == "done"
    assert 1 <= sum(clock.slept) < 1.2


def test_pauses_grow_if_a_registry_does_not_say_how_long_to_wait(clock: Clock) -> None:
    request = Request(clock, *[refusal() for _ in range(1000)])
    with pytest.raises(RegistryError):
        RateLimit(USUAL).run(request)
    pauses = [after - before for before, after in itertools.pairwise(request.times)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert 250 < sum(pauses) <= 300


@pytest.mark.parametrize(
    ("policy", "seconds", "tries"),
    [
        (ONCE, 1, 1),
        (replace(USUAL, tries=3, when_away=False), None, 3),
        (replace(USUAL, tries=3, longest_wait=0), None, 3),
        (replace(USUAL, tries=3, longest_wait=0), 1, 1),
    ],
)
def test_where_a_policy_does_not_wait_there_are_only_its_tries(
    clock: Clock, policy: RetryPolicy, seconds: float | None, tries: int
) -> None:
    limit, request = RateLimit(policy), Request(clock, *[refusal(seconds) for _ in range(9)])
    with pytest.raises(RegistryError):
        Tries(replace(policy, backoff=0)).run(lambda: limit.run(request))
    assert len(request.times) == tries
    assert max(clock.slept, default=0) < 0.1  # an interval between two requests, and no wait


@pytest.mark.parametrize("error", [refusal(status=404), ConnectionFailed("lost")])
def test_an_error_that_is_no_refusal_is_raised_at_once(clock: Clock, error: RegistryError) -> None:
    request = Request(clock, error)
    with pytest.raises(RegistryError):
        RateLimit(USUAL).run(request)
    assert len(request.times) == 1
    assert not clock.slept


def test_requests_become_slower_if_a_registry_is_busy_and_names_no_time(clock: Clock) -> None:
    limit = RateLimit(USUAL)
    with pytest.raises(RegistryError):
        limit.run(Request(clock, refusal(status=503)))
    requests = [Request(clock) for _ in range(3)]
    for request in requests:
        limit.run(request)
    times = [request.times[0] for request in requests]
    assert all(before < after for before, after in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("status", "code", "retry_after", "expected"),
    [
        (429, "", None, True),
        (403, "TOOMANYREQUESTS", None, True),
        (503, "TOOMANYREQUESTS", None, True),
        (503, "", 1.0, True),
        (503, "", 0.0, True),
        (503, "", None, False),
        (500, "", 1.0, False),
        (404, "", None, False),
        (None, None, None, False),
    ],
)
def test_a_refusal_is_told_by_its_status_its_code_and_its_time(
    status: int | None, code: str | None, retry_after: float | None, expected: bool
) -> None:
    error = RegistryError("no", status=status, code=code)
    error.retry_after = retry_after
    assert is_refusal(error) is expected


def test_waits_are_told_now_and_then(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    limit = RateLimit(USUAL)
    for _ in range(60):
        limit.run(Request(clock, refusal(1)))
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["waiting 1 s: it answers 429"] * 5  # after 2, 4, 8, 16 and 32 seconds
