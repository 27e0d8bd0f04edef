"""Results: what several threads need is done once, by the first of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Results(Generic[_K, _V]):
    """The results of tasks by their keys, for all threads of one run.

    A thread that needs the result of a task that another thread is doing waits for it. A task that
    fails has no result: its error goes to the thread that did it, and the next thread tries again.
    """

    def __init__(self) -> None:
        self._results: dict[_K, _V] = {}
        self._running: dict[_K, threading.Lock] = {}
        self._lock = threading.Lock()

    def __contains__(self, key: object) -> bool:
        """Whether there is a result."""
        return key in self._results

    def known(self, key: _K) -> _V | None:
        """Return a result, or ``None`` if there is none yet."""
        return self._results.get(key)

    def of(self, key: _K, task: Callable[[], _V]) -> _V:
        """Return a result; do ``task`` if there is none yet. Raises what the task raises."""
        with self._lock:
            if key in self._results:
                return self._results[key]
            running = self._running.setdefault(key, threading.Lock())
        with running:
            if key not in self._results:
                self._results[key] = task()
                self._running.pop(key, None)
            return self._results[key]
