"""A retry policy: which failures are tried again, how often, and after which pause."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from docker_charon.errors import (
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    RegistryError,
)
from docker_charon.messages import get_logger
from docker_charon.registry.outage import GATEWAY, Outages
from docker_charon.value import dataclass

TRANSIENT = frozenset({408, 425, 429, 500, *GATEWAY})
"""The statuses after which another try may succeed."""

WHEN_ASKING = TRANSIENT - {500}
"""Those of a question that only saves work: 500 may be about one damaged blob or manifest."""

_LONGEST_SILENCE = 2.0
"""Seconds of waiting, in one operation, after which it is logged; again each time they double."""

_T = TypeVar("_T")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How an operation is tried again: one request, or several that belong together.

    ``tries`` includes the first one. ``backoff`` is the first pause in seconds; each pause is twice
    as long as the one before, and up to a quarter shorter or longer by chance. ``longest_wait`` is
    the number of seconds for which a registry is waited for that does not answer, or that limits
    requests (see `Outages` and `RateLimit`). ``statuses`` and ``codes`` are those of the answers
    after which there is another try. ``when_unreachable`` says whether there is one if no
    connection can be made, ``when_damaged`` if content does not have its digest
    (`DigestMismatch`), ``when_redirected`` if the storage, to which the registry redirects, refuses
    the address that the registry has given. ``when_away`` says whether to wait for a registry that
    serves nobody, without saying for how long: it does not answer at all, or refuses all requests.
    """

    tries: int = 5
    backoff: float = 0.4
    longest_wait: float = 300.0
    statuses: frozenset[int] = TRANSIENT
    codes: frozenset[str] = frozenset()
    when_unreachable: bool = True
    when_damaged: bool = False
    when_redirected: bool = False
    when_away: bool = True

    def allows(self, error: DockerCharonError) -> bool:
        """Whether another try may succeed after ``error``."""
        if isinstance(error, ConnectionFailed):
            return not error.permanent and (self.when_unreachable or not error.unreachable)
        if isinstance(error, RegistryError):
            is_expected = error.status in self.statuses or error.code in self.codes
            return is_expected or (self.when_redirected and error.elsewhere)
        return self.when_damaged and isinstance(error, DigestMismatch)

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after ``failures`` failures in a row."""
        factor = random.uniform(0.75, 1.25)  # noqa: S311  # no secret
        return float(self.backoff * 2 ** (failures - 1) * factor)


ONCE = RetryPolicy(tries=1, when_away=False)
"""The policy of a request in an operation that is tried again as a whole."""


class Tries:
    """The tries of one operation. ``failures`` are those since its last progress.

    ``outages`` are those of the registry that the operation needs.
    """

    def __init__(self, policy: RetryPolicy, outages: Outages | None = None) -> None:
        self.failures = 0
        self._policy = policy
        self._outages = outages
        self._waited = 0.0
        self._silent_until = _LONGEST_SILENCE
        self._furthest = 0

    def run(self, attempt: Callable[[], _T]) -> _T:
        """Call ``attempt`` until it returns; raise its error if the policy has no other try."""
        while True:
            try:
                result = attempt()
            except DockerCharonError as error:
                self.wait(error)
            else:
                self._start_again()
                return result

    def progress(self, position: int) -> None:
        """Start to count again if the operation has reached a new ``position``, in bytes."""
        if position > self._furthest:
            self._furthest = position
            self._start_again()

    def wait(self, error: DockerCharonError) -> None:
        """Wait before the next try; raise ``error`` if none is left.

        Waits are logged if they take `_LONGEST_SILENCE` or more in all, and whenever that doubles.
        """
        self.failures += 1
        if not self._policy.allows(error):
            raise error
        if self._policy.when_away and self._outages is not None and self.failures > 1:
            left = self._policy.longest_wait - self._waited
            seconds_away = self._outages.wait(error, left)
            if seconds_away is not None:
                self.failures = 0
                self._waited += seconds_away
                return
        most_tries = error.most_tries if isinstance(error, RegistryError) else None
        if self.failures >= min(self._policy.tries, most_tries or self._policy.tries):
            raise error
        seconds = self._policy.pause(self.failures)
        self._waited += seconds
        if self._waited >= self._silent_until:
            self._silent_until = 2 * self._waited
            _log.warning("waiting %.0f s: %s", max(seconds, 1), error.message)
        time.sleep(seconds)

    def _start_again(self) -> None:
        """Forget the failures and the waits, because the operation has come further."""
        self.failures, self._waited, self._silent_until = 0, 0.0, _LONGEST_SILENCE
        if self._policy.when_away and self._outages is not None:
            self._outages.advance()
