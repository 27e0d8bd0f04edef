"""The limit of requests of one registry, which all workers keep together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from docker_charon.errors import RegistryError
from docker_charon.messages import get_logger
from docker_charon.registry.errors import is_too_many
from docker_charon.registry.retry import RetryPolicy

_FIRST_INTERVAL = 0.05
"""Seconds between two requests after a first refusal."""
_LONGEST_INTERVAL = 2.0
_SLOWER = 1.5
"""The factor of the interval after a refusal."""
_FASTER = 0.97
"""The factor of the interval after an accepted request."""
_GROWING_PAUSES = 7
"""How many pauses grow, if the registry does not say how long to wait: up to half a minute."""
_FIRST_MESSAGE = 2.0
"""Seconds of waiting, in all, after which it is logged; again each time they double."""
_BUSY = 503

_T = TypeVar("_T")
_log = get_logger(__name__)


class RateLimit:
    """How fast a registry takes requests, as its refusals show.

    After a refusal no worker sends a request until the time for which the registry asks is over;
    if it does not name a time, the pauses grow. After that the requests of all workers are sent one
    after the other, with an interval that becomes longer with each refusal, and shorter with each
    accepted request. So nearly as many requests are sent as the registry takes, and few of them are
    refused.

    ``policy`` names the longest wait, which begins again whenever a request is accepted. If its
    ``tries`` are 1, nothing is waited for.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._closed_until = 0.0  # the `time.monotonic` for which the registry asks
        self._next = 0.0  # the `time.monotonic` of the next request, by the interval
        self._interval = 0.0  # seconds
        self._refusals = 0  # those of requests that were sent side by side count once
        self._refusals_in_a_row = 0
        self._refused_since: float | None = None  # if no request was accepted after that
        self._waited = 0.0  # seconds in all
        self._silent_until = _FIRST_MESSAGE

    def run(self, send: Callable[[], _T]) -> _T:
        """Call ``send``, which sends a request, when it may be sent; again if it is refused.

        Raises the error of a refusal if the registry is not to be waited for, or not any longer.
        """
        while True:
            number = self._wait()
            try:
                result = send()
            except RegistryError as error:
                if is_refusal(error):
                    self._refuse(error, number)
                    continue
                if error.status == _BUSY:
                    self._slow_down(number)  # nginx answers so by default, and names no time
                elif error.status is not None:
                    self._accept()
                raise
            else:
                self._accept()
                return result

    def _wait(self) -> int:
        """Wait until a request may be sent; return how many refusals there were before."""
        while True:
            with self._lock:
                now = time.monotonic()
                seconds = max(self._closed_until, self._next) - now
                if seconds <= 0:
                    self._next = now + self._interval
                    return self._refusals
            time.sleep(seconds)

    def _accept(self) -> None:
        with self._lock:
            self._refusals_in_a_row, self._refused_since = 0, None
            self._interval *= _FASTER
            if self._interval < _FIRST_INTERVAL / 2:
                self._interval = 0.0

    def _slow_down(self, number: int) -> bool:
        """Make the interval longer after a refusal; ``number`` is what `_wait` has returned.

        Return ``False`` for the refusal of a request that was sent before another refusal. The
        interval stays as it is until a request is accepted.
        """
        with self._lock:
            if number != self._refusals:
                return False
            self._refusals += 1
            self._refusals_in_a_row += 1
            if self._refusals_in_a_row == 1:
                longer = max(self._interval * _SLOWER, _FIRST_INTERVAL)
                self._interval = min(longer, _LONGEST_INTERVAL)
            return True

    def _refuse(self, error: RegistryError, number: int) -> None:
        """Let all requests wait after a refusal; ``number`` is what `_wait` has returned.

        Raises ``error`` if that would take too long.
        """
        if self._policy.tries == 1 or not (error.retry_after or self._policy.when_away):
            raise error
        is_new = self._slow_down(number)
        with self._lock:
            now = time.monotonic()
            growth = min(self._refusals_in_a_row, _GROWING_PAUSES)
            seconds = error.retry_after or self._policy.pause(growth)
            since = now if self._refused_since is None else self._refused_since
            if now + seconds - since > self._policy.longest_wait:
                if error.retry_after or since < now:
                    error.most_tries = 1
                raise error
            self._refused_since = since
            self._closed_until = max(self._closed_until, now + seconds)
            if not is_new:
                return
            self._waited += seconds
            if self._waited < self._silent_until:
                return
            self._silent_until = 2 * self._waited
        _log.warning("waiting %.0f s: %s", max(seconds, 1), error.message)


def is_refusal(error: RegistryError) -> bool:
    """Whether a registry refuses a request because there are too many at this time.

    Servers and proxies that are busy answer 503, and say when to try again.
    """
    is_busy = error.status == _BUSY and error.retry_after is not None
    return is_busy or is_too_many(error.status, error.code)
