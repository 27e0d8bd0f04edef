"""An outage: a registry that does not answer for a while, which all workers wait for together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from docker_charon.errors import ConnectionFailed, DockerCharonError, RegistryError
from docker_charon.messages import get_logger

_FIRST_PAUSE = 0.5  # seconds between two questions; each pause is longer than the one before
_LONGEST_PAUSE = 5.0
_GROWTH = 1.5
GATEWAY = frozenset({502, 503, 504, *range(520, 525)})
"""How a proxy answers for a registry that is away; 520 to 524 are those of Cloudflare.

Docker Hub and other registries are behind Cloudflare.
"""

_log = get_logger(__name__)


class Outages:
    """The outages of one registry, whose name is ``registry``.

    ``ask`` sends a request that every registry answers, and returns the HTTP status of the answer.
    It raises `RegistryError`. After an operation has waited for the registry in vain, it is not
    waited for again until an operation comes further.
    """

    def __init__(self, registry: str, ask: Callable[[], int]) -> None:
        self._registry = registry
        self._ask = ask
        self._was_in_vain = False
        self._count = 0  # of those that have ended
        self._lock = threading.Lock()

    def advance(self) -> None:
        """Note that an operation has come further."""
        self._was_in_vain = False

    def wait(self, error: DockerCharonError, longest: float) -> float | None:
        """Wait until the registry answers again, for at most ``longest`` seconds.

        ``error`` is the error of a request. Return the seconds that it took; ``None`` if the
        registry answers at once, so that the error has another reason. Raises ``error`` if the
        registry still does not answer. The first worker asks and logs; the others wait for it.
        """
        if not could_be_outage(error) or longest <= 0:
            return None
        count = self._count
        started = time.monotonic()
        with self._lock:
            if self._count != count:
                return time.monotonic() - started  # it ended while this worker waited
            if self._answers():
                return None
            if self._was_in_vain or time.monotonic() - started + _FIRST_PAUSE > longest:
                raise error  # another worker has waited in vain
            _log.warning(
                "waiting up to %.0f s for %s to answer again: %s",
                longest,
                self._registry,
                error.message,
            )
            pause = _FIRST_PAUSE
            while time.monotonic() - started + pause <= longest:
                time.sleep(pause)
                if self._answers():
                    self._count += 1
                    seconds = time.monotonic() - started
                    _log.warning("%s answers again, after %.0f s", self._registry, seconds)
                    return seconds
                pause = min(_LONGEST_PAUSE, pause * _GROWTH)
            self._was_in_vain = True
        raise error

    def _answers(self) -> bool:
        try:
            return self._ask() not in GATEWAY
        except RegistryError as error:
            return not could_be_outage(error)


def could_be_outage(error: DockerCharonError) -> bool:
    """Whether requests fail with such an error while a registry does not answer."""
    if isinstance(error, ConnectionFailed):
        return not error.permanent and not error.elsewhere
    return isinstance(error, RegistryError) and error.status in GATEWAY
