"""A retry policy: what is worth another try, how many there are, and how long they wait."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from docker_charon.errors import (
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    InvalidManifest,
    RegistryError,
)
from docker_charon.registry.outage import Outages
from docker_charon.registry.retry import ONCE, RetryPolicy, Tries


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pass the time quickly; return how long every wait would have been."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


class Operation:
    """Fails with these errors, one after the other, and then succeeds."""

    def __init__(self, *failures: DockerCharonError) -> None:
        self.calls = 0
        self._failures = list(failures)

    def __call__(self) -> str:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return "done"


def answer(status: int, *, code: str = "", retry_after: float | None = None) -> RegistryError:
    error = RegistryError(f"it answers {status}", status=status, code=code)
    error.retry_after = retry_after
    return error


def no_connection(*, unreachable: bool = False, permanent: bool = False) -> ConnectionFailed:
    error = ConnectionFailed("no connection")
    error.unreachable, error.permanent = unreachable, permanent
    return error


USUAL = RetryPolicy()


@pytest.mark.parametrize(
    ("policy", "error", "is_allowed"),
    [
        (USUAL, answer(503), True),
        (USUAL, answer(425), True),
        (USUAL, answer(520), True),
        (USUAL, answer(524), True),
        (USUAL, answer(505), False),
        (USUAL, answer(404), False),
        (USUAL, RegistryError("it names no place"), False),
        (USUAL, answer(400, code="DIGEST_INVALID"), False),
        (replace(USUAL, codes=frozenset({"DIGEST_INVALID"})), answer(400, code="X"), False),
        (
            replace(USUAL, codes=frozenset({"DIGEST_INVALID"})),
            answer(400, code="DIGEST_INVALID"),
            True,
        ),
        (replace(USUAL, statuses=frozenset({429})), answer(503), False),
        (USUAL, no_connection(), True),
        (USUAL, no_connection(permanent=True), False),
        (USUAL, no_connection(unreachable=True), True),
        (replace(USUAL, when_unreachable=False), no_connection(unreachable=True), False),
        (replace(USUAL, when_unreachable=False), no_connection(), True),
        (USUAL, DigestMismatch("other bytes"), False),
        (replace(USUAL, when_damaged=True), DigestMismatch("other bytes"), True),
        (replace(USUAL, when_damaged=True), InvalidManifest("nonsense"), False),
    ],
)
def test_a_policy_says_which_errors_are_worth_another_try(
    policy: RetryPolicy, error: DockerCharonError, is_allowed: bool
) -> None:
    assert policy.allows(error) is is_allowed


@pytest.mark.usefixtures("slept")
def test_an_operation_is_tried_until_it_succeeds() -> None:
    operation = Operation(answer(503), no_connection())
    assert Tries(USUAL).run(operation) == "done"
    assert operation.calls == 3


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize(("policy", "calls"), [(ONCE, 1), (RetryPolicy(tries=3), 3), (USUAL, 5)])
def test_the_last_error_is_raised_when_no_try_is_left(policy: RetryPolicy, calls: int) -> None:
    errors = [answer(500 + number) for number in (0, 2, 3, 4, 0, 2, 3)]
    operation = Operation(*errors)
    with pytest.raises(RegistryError) as caught:
        Tries(policy).run(operation)
    assert caught.value is errors[calls - 1]
    assert operation.calls == calls


def test_an_error_of_our_own_is_not_tried_again(slept: list[float]) -> None:
    def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        Tries(USUAL).run(broken)
    assert not slept


def test_each_pause_is_longer_than_the_one_before(slept: list[float]) -> None:
    Tries(RetryPolicy(tries=7)).run(Operation(*[answer(503) for _ in range(6)]))
    assert len(slept) == 6
    assert slept == sorted(slept)


def test_all_waits_of_an_operation_together_have_a_limit(slept: list[float]) -> None:
    waits = [answer(429, retry_after=20.0) for _ in range(5)]
    with pytest.raises(RegistryError):
        Tries(RetryPolicy(tries=10, longest_wait=50)).run(Operation(*waits))
    assert slept == [20, 20]


def test_waits_that_a_registry_asks_for_are_no_tries(slept: list[float]) -> None:
    waits = [answer(429, retry_after=1.0) for _ in range(20)]
    assert Tries(RetryPolicy(tries=3)).run(Operation(*waits)) == "done"
    assert slept == [1] * 20


def test_an_operation_within_another_does_not_make_its_waits_endless(slept: list[float]) -> None:
    policy = RetryPolicy(tries=3, longest_wait=4, backoff=0.001)

    def attempt() -> None:
        Tries(policy).run(Operation(*[answer(429, retry_after=1.0) for _ in range(100)]))

    with pytest.raises(RegistryError):
        Tries(policy).run(attempt)
    assert sum(slept) < 20


@pytest.mark.usefixtures("slept")
def test_a_long_wait_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    waits = [answer(429, retry_after=1.0) for _ in range(60)]
    Tries(USUAL).run(Operation(*waits))
    assert len(caplog.records) == 5  # after 2, 4, 8, 16 and 32 seconds


def test_a_single_request_does_not_wait_for_what_a_registry_asks_for(slept: list[float]) -> None:
    with pytest.raises(RegistryError):
        Tries(ONCE).run(Operation(answer(429, retry_after=1.0)))
    assert not slept


def test_parts_of_an_operation_share_its_tries(slept: list[float]) -> None:
    tries = Tries(RetryPolicy(tries=4))

    def attempt() -> None:
        tries.wait(answer(503))
        raise answer(500)

    with pytest.raises(RegistryError):
        tries.run(attempt)
    assert len(slept) == 3


def test_an_operation_that_comes_further_has_all_its_tries_again(slept: list[float]) -> None:
    tries = Tries(RetryPolicy(tries=2))
    for position in (10, 20, 30):
        tries.wait(answer(503))
        tries.progress(position)
    assert len(slept) == 3


def test_an_operation_that_comes_as_far_as_before_has_not(slept: list[float]) -> None:
    tries = Tries(RetryPolicy(tries=2))
    tries.wait(answer(503))
    tries.progress(10)
    tries.wait(answer(503))
    tries.progress(10)
    with pytest.raises(RegistryError):
        tries.wait(answer(503))
    assert len(slept) == 2


def no_answer() -> int:
    raise no_connection()


def test_a_registry_that_was_waited_for_in_vain_is_not_waited_for_again(
    slept: list[float],
) -> None:
    outages = Outages("r.example", no_answer)
    policy = RetryPolicy(longest_wait=30)
    for _ in range(3):
        refusals = [answer(429, retry_after=1.0) for _ in range(100)]
        with pytest.raises(RegistryError):
            Tries(policy, outages).run(Operation(*refusals))
    assert slept == [1] * 30


@pytest.mark.parametrize("comes_further", ["success", "progress"])
def test_a_registry_that_goes_on_is_waited_for_again(
    slept: list[float], comes_further: str
) -> None:
    outages = Outages("r.example", no_answer)
    outages.was_in_vain = True
    if comes_further == "success":
        assert Tries(USUAL, outages).run(Operation()) == "done"
    else:
        Tries(USUAL, outages).progress(1)
    assert Tries(USUAL, outages).run(Operation(answer(429, retry_after=1.0))) == "done"
    assert slept == [1]


def test_an_operation_waits_on_while_others_come_further(slept: list[float]) -> None:
    outages = Outages("r.example", no_answer)
    policy = RetryPolicy(longest_wait=5)
    waiting = Tries(policy, outages)
    for _ in range(20):
        waiting.wait(answer(429, retry_after=4.0))
        assert Tries(policy, outages).run(Operation()) == "done"
    waiting.wait(answer(429, retry_after=4.0))
    with pytest.raises(RegistryError):
        waiting.wait(answer(429, retry_after=4.0))
    assert slept == [4] * 21


def test_a_single_request_does_not_tell_that_a_registry_goes_on() -> None:
    outages = Outages("r.example", no_answer)
    outages.was_in_vain = True
    assert Tries(ONCE, outages).run(Operation()) == "done"
    assert outages.was_in_vain


def test_a_wait_that_is_not_begun_is_not_in_vain(slept: list[float]) -> None:
    outages = Outages("r.example", no_answer)
    with pytest.raises(RegistryError):
        Tries(USUAL, outages).run(Operation(answer(429, retry_after=21_600.0)))
    assert Tries(USUAL, outages).run(Operation(answer(429, retry_after=1.0))) == "done"
    assert slept == [1]


@pytest.mark.usefixtures("slept")
def test_waits_after_progress_are_told_as_those_before(caplog: pytest.LogCaptureFixture) -> None:
    tries = Tries(USUAL)
    for position in (1, 2, 3):
        for _ in range(3):
            tries.wait(answer(429, retry_after=1.0))
        tries.progress(position)
    assert len(caplog.records) == 3
