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


def answer(status: int, *, code: str = "") -> RegistryError:
    return RegistryError(f"it answers {status}", status=status, code=code)


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


@pytest.mark.usefixtures("slept")
def test_long_pauses_are_told_also_after_progress(caplog: pytest.LogCaptureFixture) -> None:
    tries = Tries(RetryPolicy(backoff=1.5))
    for position in (1, 2, 3):
        for _ in range(2):
            tries.wait(answer(503))
        tries.progress(position)
    assert len(caplog.records) == 3
