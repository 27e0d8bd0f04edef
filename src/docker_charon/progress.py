"""Progress on standard error: a bar in a terminal, otherwise a line every half minute."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from docker_charon.messages import STANDARD_ERROR, say

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_EVERY = 30.0
"""Seconds between two lines if standard error is not a terminal."""

_Key = TypeVar("_Key", bound=Hashable)

_NARROW = 70  # columns; a narrower terminal shows neither the bar itself nor the rate
_WIDE_FORMAT = (
    "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}  {rate_fmt}  {remaining} left{postfix}"
)
_NARROW_FORMAT = "{desc} {percentage:3.0f}% {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class Bar:
    """A progress bar of bytes, or of what ``unit`` says, which disappears when it ends.

    It is shown only in a terminal, and never if ``enabled`` is ``False``.
    """

    def __init__(self, what: str, total: int, enabled: bool | None, unit: str = "B") -> None:
        self._lock = threading.Lock()
        self._what, self._unit = what, unit
        self._is_shown = enabled is not False and STANDARD_ERROR.isatty()
        self._bar: tqdm[Any] | None = None
        self.grow(total)

    def grow(self, size: int) -> None:
        """Add ``size`` to the total, from any thread."""
        with self._lock:
            if self._bar is not None:
                self._bar.total = (self._bar.total or 0) + size
                self._bar.refresh()
            elif self._is_shown and size:
                self._bar = self._new_bar(size)

    def _new_bar(self, total: int) -> tqdm[Any]:
        from tqdm import tqdm  # loading it takes time, and most runs show no bar

        narrow = shutil.get_terminal_size().columns < _NARROW
        return tqdm(
            desc=self._what,
            total=total,
            unit=self._unit,
            unit_scale=self._unit == "B",
            dynamic_ncols=True,
            bar_format=_NARROW_FORMAT if narrow else _WIDE_FORMAT,
            leave=False,
            file=STANDARD_ERROR,
        )

    def update(self, size: int) -> None:
        """Count ``size`` more, from any thread."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(size)

    def note(self, text: str) -> None:
        """Show ``text`` at the end of the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.set_postfix_str(text)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        with self._lock:
            self._is_shown = False
            if self._bar is not None:
                self._bar.close()


class Progress:
    """The progress of a transfer in bytes, blobs and images; all methods may run in any thread.

    ``sizes`` are the bytes that each blob takes, by a key that the caller chooses. ``images`` are
    the names of the images, each with the keys of the blobs that it needs; keys that are not in
    ``sizes`` are ignored. An image with ``None`` is complete when `complete` is called.
    ``enabled=None`` shows a bar if standard error is a terminal. ``True`` also writes lines if it
    is not one: for each image that is complete, and every half minute.
    """

    def __init__(
        self,
        what: str,
        sizes: Mapping[_Key, int],
        images: Mapping[str, Iterable[_Key] | None],
        enabled: bool | None,
    ) -> None:
        needed = {
            name: sizes.keys() & set(keys) for name, keys in images.items() if keys is not None
        }
        self._image_count = len(images)
        self._needed_by: dict[Hashable, list[str]] = {}
        for name, keys in needed.items():
            for key in keys:
                self._needed_by.setdefault(key, []).append(name)
        self._missing = {name: len(keys) for name, keys in needed.items()}
        self._sizes: dict[Hashable, int] = dict(sizes.items())
        self._what, self._total = what, sum(sizes.values())
        self._done = self._moved = self._reused = self._complete = self._rebuilt = 0
        self._started = time.monotonic()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._has_lines = enabled is True and not STANDARD_ERROR.isatty()
        self._is_shown = self._has_lines or (enabled is not False and STANDARD_ERROR.isatty())
        self._bar = Bar(what, self._total, enabled)

    def grow(self, size: int) -> None:
        """Count ``size`` bytes more that have to be transferred."""
        with self._lock:
            self._total += size
        self._bar.grow(size)

    def moved(self, size: int, *, reused: int = 0) -> None:
        """Count ``size`` more transferred bytes; a negative number takes some back.

        ``reused`` of them had been transferred by an earlier run.
        """
        with self._lock:
            self._moved += size
            self._reused += reused
        self._bar.update(size)

    def finished(self, key: Hashable) -> None:
        """Count a finished blob."""
        with self._lock:
            self._done += 1
            self._bar.note(self._blob_count())
            for name in self._needed_by.pop(key, ()):
                self._missing[name] -= 1
                self._say_if_complete(name)

    def rebuilt(self) -> None:
        """Count a layer that has been rebuilt from its difference to older ones."""
        with self._lock:
            self._rebuilt += 1
            self._bar.note(self._blob_count())

    def complete(self, name: str) -> None:
        """Count an image that is complete."""
        with self._lock:
            self._complete += 1
            if self._has_lines:
                say(f"{name} is complete ({self._complete} of {self._image_count} images)")

    def sum_up(self, text: str) -> None:
        """End the progress, and show ``text`` with the time that it took."""
        self._close()
        if self._is_shown:
            seconds = time.monotonic() - self._started
            resumed = f", {shown_size(self._reused)} of it resumed" if self._reused else ""
            say(f"{text}{resumed}, in {seconds:.1f} s")

    def __enter__(self) -> Progress:
        """Begin; images that need no blob are complete at once."""
        with self._lock:
            for name in self._missing:
                self._say_if_complete(name)
        if self._has_lines:
            threading.Thread(target=self._say_regularly, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._ended.set()
        self._bar.close()

    def _say_if_complete(self, name: str) -> None:
        if self._missing[name] == 0:
            self.complete(name)

    def _blob_count(self) -> str:
        resumed = f", {shown_size(self._reused)} resumed" if self._reused else ""
        rebuilt = f", {self._rebuilt} rebuilt" if self._rebuilt else ""
        return f"{self._done}/{len(self._sizes)} blobs{resumed}{rebuilt}"

    def _say_regularly(self) -> None:
        while not self._ended.wait(LINE_EVERY):
            with self._lock:
                seconds = time.monotonic() - self._started
                rate = max(0, self._moved - self._reused) / seconds
                left = f", {(self._total - self._moved) / rate:.0f} s left" if rate else ""
                say(
                    f"{self._what}: {shown_size(self._moved)} of {shown_size(self._total)}, "
                    f"{self._blob_count()}, {shown_size(rate)}/s{left}"
                )


def shown_size(size: float) -> str:
    """Return a number of bytes as text with a decimal unit, such as ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, thing: str) -> str:
    """Return a number and its noun, such as ``1 image`` or ``2 images``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
