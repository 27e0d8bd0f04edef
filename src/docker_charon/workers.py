"""Workers: a few threads that do tasks in parallel, and that can be stopped."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from docker_charon.errors import DockerCharonError

MOST_JOBS = 1000
"""The most threads; more would only wait for each other and for the registry."""

_T = TypeVar("_T")
_R = TypeVar("_R")
_GRACE = 1.0  # seconds that threads have to stop; one that hangs in a system call does not


class Stopped(Exception):  # not an error: another task has failed
    """Raised in a task to stop it, because its result is not needed any more."""


class Workers:
    """Up to ``jobs`` threads, which stop after a failure or an interruption.

    Raises `DockerCharonError` unless ``jobs`` is from 1 to `MOST_JOBS`.
    """

    def __init__(self, jobs: int = 1) -> None:
        if type(jobs) is not int:
            raise TypeError(f"jobs must be an int, not {type(jobs).__name__}")
        if jobs < 1:
            raise DockerCharonError(f"the number of jobs must be at least 1, not {jobs}")
        if jobs > MOST_JOBS:
            raise DockerCharonError(f"the number of jobs must be at most {MOST_JOBS}")
        self.jobs = jobs
        self._stop = threading.Event()

    def check(self) -> None:
        """Raise `Stopped` if the workers have been stopped; a long task calls this regularly."""
        if self._stop.is_set():
            raise Stopped

    def map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Return the results of ``function``; they, and its calls, are in the order of the items.

        The first failure stops the other tasks and is raised. ``KeyboardInterrupt`` stops them too
        and is raised soon: threads that hang in a system call are not waited for. Raises `Stopped`
        if the workers have been stopped before.
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
                        return  # another thread has taken the last item
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
                    with contextlib.suppress(RuntimeError):  # the system has no more threads
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
