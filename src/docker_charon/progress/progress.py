"""The progress of one phase of a transfer: counted in any thread, shown or reported regularly."""

from __future__ import annotations

import contextlib
import enum
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from docker_charon.messages import STANDARD_ERROR, get_logger, say
from docker_charon.progress.event import ProgressArgument, ProgressEvent, check_progress
from docker_charon.progress.line import Status, plain_line
from docker_charon.progress.pause import is_paused
from docker_charon.progress.quantity import shown_size
from docker_charon.progress.speed import Speed

if TYPE_CHECKING:
    from docker_charon.progress.bar import Bar

LINE_EVERY = 30.0
"""Seconds between two lines if standard error is not a terminal."""
BAR_EVERY = 0.1
"""Seconds between two states of the bar, or between two events for a callable."""

_Key = TypeVar("_Key", bound=Hashable)
_log = get_logger(__name__)


class _Form(enum.Enum):
    """How progress is shown."""

    HIDDEN = enum.auto()
    BAR = enum.auto()
    LINES = enum.auto()
    EVENTS = enum.auto()


class Progress:
    """The progress of a phase in bytes, blobs and images; all methods may run in any thread.

    ``phase`` is that of a `ProgressEvent`. ``sizes`` are the bytes that each blob takes, by a key
    that the caller chooses. ``images`` are the names of the images, each with the keys of the blobs
    that it needs; keys that are not in ``sizes`` are ignored. An image with ``None`` is complete
    when `complete` is called. ``progress`` says how the progress is shown. If it is shown as lines
    instead of a bar, there is one every `LINE_EVERY` seconds and, with ``name_images``, one for
    each complete image. ``note`` says what is done if there is nothing to count.
    """

    def __init__(
        self,
        phase: str,
        sizes: Mapping[_Key, int],
        images: Mapping[str, Iterable[_Key] | None],
        progress: ProgressArgument,
        *,
        name_images: bool = True,
        note: str = "",
    ) -> None:
        check_progress(progress)
        needed = {
            name: sizes.keys() & set(keys) for name, keys in images.items() if keys is not None
        }
        self._image_count = len(images)
        self._needed_by: dict[Hashable, list[str]] = {}
        for name, keys in needed.items():
            for key in keys:
                self._needed_by.setdefault(key, []).append(name)
        self._missing = {name: len(keys) for name, keys in needed.items()}
        self._phase, self._note, self._name_images = phase, note, name_images
        self._blob_count, self._total = len(sizes), sum(sizes.values())
        self._done = self._moved = self._reused = self._complete = self._rebuilt = 0
        self._speed = Speed()
        self._started = time.monotonic()
        self._lock = threading.RLock()
        self._show_lock = threading.Lock()
        self._ended = threading.Event()
        self._listener: Callable[[ProgressEvent], object] | None = None
        if callable(progress):
            self._listener = progress
        self._last_event: ProgressEvent | None = None
        self._bar: Bar | None = None
        self._form = _form_of(progress)

    def grow(self, size: int) -> None:
        """Add ``size`` bytes to those that have to be transferred."""
        with self._lock:
            self._total += size

    def moved(self, size: int, *, reused: int = 0) -> None:
        """Count ``size`` more transferred bytes; a negative number takes some back.

        ``reused`` of them had been transferred by an earlier run.
        """
        with self._lock:
            self._moved += size
            self._reused += reused
            if size != reused:
                self._speed.count(size - reused)

    def finished(self, key: Hashable) -> None:
        """Count a finished blob."""
        with self._lock:
            self._done += 1
            for name in self._needed_by.pop(key, ()):
                self._missing[name] -= 1
                self._count_if_complete(name)

    def rebuilt(self) -> None:
        """Count a layer that has been rebuilt from its difference to older ones."""
        with self._lock:
            self._rebuilt += 1

    def complete(self, name: str) -> None:
        """Count the image ``name`` as complete."""
        with self._lock:
            self._complete += 1
            if self._form is _Form.LINES and self._name_images:
                say(f"{name} is complete ({self._complete} of {self._image_count} images)")

    def sum_up(self, text: str) -> None:
        """End the progress, and show ``text`` with the time since its beginning."""
        self._close()
        if self._form in (_Form.BAR, _Form.LINES):
            seconds = time.monotonic() - self._started
            resumed = f", {shown_size(self._reused)} of it resumed" if self._reused else ""
            say(f"{text}{resumed}, in {seconds:.1f} s")

    @property
    def status(self) -> Status:
        """How far the phase is."""
        with self._lock:
            event = ProgressEvent(
                self._phase,
                self._moved,
                self._total,
                self._done,
                self._blob_count,
                self._complete,
                self._image_count,
            )
            seconds = time.monotonic() - self._started
            speed = self._speed.value()
            return Status(event, self._reused, self._rebuilt, speed, seconds, self._note)

    def __enter__(self) -> Progress:
        """Begin; images that need no blob are complete at once."""
        with self._lock:
            for name in self._missing:
                self._count_if_complete(name)
        if self._form is _Form.HIDDEN:
            return self
        if self._form is _Form.EVENTS:
            self._show()
        with contextlib.suppress(RuntimeError):  # the system has no more threads
            threading.Thread(target=self._show_regularly, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        with self._show_lock:
            if self._ended.is_set():
                return
            self._ended.set()
            if self._bar is not None:
                self._bar.close()
        if self._form is _Form.EVENTS:
            self._report(self.status.event)

    def _count_if_complete(self, name: str) -> None:
        if self._missing[name] == 0:
            self.complete(name)

    def _show_regularly(self) -> None:
        while not self._ended.wait(LINE_EVERY if self._form is _Form.LINES else BAR_EVERY):
            with self._show_lock:
                if not self._ended.is_set() and not is_paused():
                    self._show()

    def _show(self) -> None:
        status = self.status
        if self._form is _Form.EVENTS:
            self._report(status.event)
        elif self._form is _Form.LINES:
            say(plain_line(status))
        else:
            if self._bar is None:
                # It takes time, and few runs need it.
                from docker_charon.progress.bar import new_bar

                self._bar = new_bar()
            self._bar.show(status)

    def _report(self, event: ProgressEvent) -> None:
        """Call the callable, unless its last event was the same or it has raised an exception."""
        if self._listener is None or event == self._last_event:
            return
        self._last_event = event
        try:
            self._listener(event)
        except Exception as error:
            self._listener = None
            _log.warning(
                "the progress is not reported any more, because the callable raised %s: %s",
                type(error).__name__,
                error,
            )


def _form_of(progress: ProgressArgument) -> _Form:
    """Return how progress is shown, given what standard error is now."""
    if callable(progress):
        return _Form.EVENTS
    if progress is False:
        return _Form.HIDDEN
    if STANDARD_ERROR.isatty():
        return _Form.LINES if os.environ.get("TERM") == "dumb" else _Form.BAR
    if "IPython" in sys.modules:
        from docker_charon.progress.bar import is_notebook

        if is_notebook():
            return _Form.BAR
    return _Form.LINES if progress else _Form.HIDDEN
