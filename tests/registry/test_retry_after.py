"""A time to wait: seconds, a date, the window of a limit; and what is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from docker_charon.registry import retry_after as module
from docker_charon.registry.retry import RetryPolicy
from docker_charon.registry.retry_after import duration, retry_after

DATE = "Thu, 01 May 2025 22:01:18 GMT"
NOW = 1746136878.0  # seconds from 1970 to that date


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the date on this machine."""
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("864000", 864_000),
        ("Thu, 01 May 2025 22:01:48 GMT", 30),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (f"{NOW + 60:.0f}", 60),
        (f"{NOW - 60:.0f}", 0),
        ("soon", None),
        ("60s", None),
        ("880.092µs", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("", None),
        ("Thu, 01 May 99999999999 22:01:48 GMT", None),
        ("Thu, 99 May 2025 22:01:48 GMT", None),
    ],
)
def test_a_wait_is_seconds_or_a_date_and_nonsense_is_none(
    header: str, seconds: float | None
) -> None:
    assert retry_after({"Retry-After": header}) == seconds


@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
@pytest.mark.parametrize("header", ["Thu, 01 May 2025 22:01:48 GMT", f"{NOW + 30:.0f}"])
def test_a_date_is_that_of_the_clock_of_the_server(
    monkeypatch: pytest.MonkeyPatch, header: str, hours: int
) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW + hours * 3600))
    assert retry_after({"Retry-After": header, "Date": DATE}) == 30


def test_without_a_valid_date_of_the_server_the_clock_of_this_machine_counts() -> None:
    headers = {"Retry-After": "Thu, 01 May 2025 22:01:48 GMT", "Date": "today"}
    assert retry_after(headers) == 30


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    [
        ("0;w=21600", 21_600),
        ("0; w=60", 60),
        ("1;w=21600", None),
        ("0", None),
        ("0;w=soon", None),
        ("", None),
    ],
)
def test_a_limit_that_is_used_up_lasts_for_its_window(
    remaining: str, seconds: float | None
) -> None:
    assert retry_after({"RateLimit-Remaining": remaining}) == seconds
    assert retry_after({"RateLimit-Remaining": remaining, "Retry-After": "5"}) == 5


def test_no_header_is_no_wait() -> None:
    assert retry_after({}) is None


def test_a_wait_of_any_length_is_a_number_that_can_be_compared() -> None:
    seconds = retry_after({"Retry-After": "9" * 400})
    assert seconds is None or seconds > RetryPolicy().longest_wait


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 minute"),
        (60, "1 minute"),
        (61, "2 minutes"),
        (3600, "1 hour"),
        (21_600, "6 hours"),
        (864_000, "10 days"),
    ],
)
def test_a_time_is_named_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
