"""Work done side by side, on a few threads, that ends when it is told to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from docker_charon.errors import DockerCharonError

MOST_JOBS = 1000
"""Threads; more would only wait for each other, and for the registry."""

_T = TypeVar("_T")
_R = TypeVar("_R")
_GRACE = 1.0  # seconds that threads have to end; one that waits for a server may not see it


class Stopped(Exception):  # it is no error: something else went wrong
    """Raised inside a task whose result nobody waits for any more."""


class Workers:
    """Up to ``jobs`` threads. After a failure or an interruption they do nothing more."""

    def __init__(self, jobs: int = 1) -> None:
        if type(jobs) is not int:
            raise TypeError(f"jobs is an int, not {type(jobs).__name__}")
        if jobs < 1:
            raise DockerCharonError(f"{jobs} jobs do no work: there must be at least one")
        if jobs > MOST_JOBS:
            raise DockerCharonError(f"there can be {MOST_JOBS} jobs at the most")
        self.jobs = jobs
        self._stop = threading.Event()

    def check(self) -> None:
        """Raise `Stopped` if there is no point in going on: for long tasks, now and then."""
        if self._stop.is_set():
            raise Stopped

    def map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Return ``function`` of each item, in the items' order; begun in that order too.

        The first failure stops the rest and is raised. So does ``KeyboardInterrupt``, at once:
        a thread that hangs in a system call is left behind.
        """
        todo = list(enumerate(items))
        todo.reverse()
        results: dict[int, _R] = {}
        failures: list[BaseException] = []

        def work() -> None:
            try:
                while todo and not self._stop.is_set():
                    try:
                        n, item = todo.pop()
                    except IndexError:
                        return  # another thread was faster
                    results[n] = function(item)
            except BaseException as error:
                failures.append(error)
                self._stop.set()

        count = min(self.jobs, len(todo))
        if count <= 1:
            work()
        else:
            threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
            try:
                for thread in threads:
                    with contextlib.suppress(RuntimeError):  # the system has no more of them
                        thread.start()
                if not any(thread.ident for thread in threads):
                    work()
                self._wait(threads)
            except BaseException:
                self._stop.set()
                self._wait(threads)
                raise
        for failure in failures:
            if not isinstance(failure, Stopped):
                raise failure
        self.check()
        return [results[n] for n in range(len(results))]

    def _wait(self, threads: list[threading.Thread]) -> None:
        deadline = None
        for thread in threads:
            while thread.is_alive():
                thread.join(0.05)
                if deadline is None and self._stop.is_set():
                    deadline = time.monotonic() + _GRACE
                if deadline is not None and time.monotonic() > deadline:
                    return
