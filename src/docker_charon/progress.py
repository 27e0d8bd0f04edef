"""Progress on standard error: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""

_NARROW = 70  # columns, below which the bar itself and the rate are left out
_WIDE_FORMAT = (
    "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}  {rate_fmt}  {remaining} left{postfix}"
)
_NARROW_FORMAT = "{desc} {percentage:3.0f}% {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class Bar:
    """A bar of bytes, or of what ``unit`` says; it is gone when it ends.

    It is there only in a terminal, unless ``enabled`` is ``False``.
    """

    def __init__(self, what: str, total: int, enabled: bool | None, unit: str = "B") -> None:
        self._lock = threading.Lock()
        self._bar: tqdm[Any] | None = None
        if enabled is not False and total and _is_terminal():
            from tqdm import tqdm  # it takes its time to load, and most runs are not watched

            narrow = shutil.get_terminal_size().columns < _NARROW
            self._bar = tqdm(
                desc=what,
                total=total,
                unit=unit,
                unit_scale=unit == "B",
                dynamic_ncols=True,
                bar_format=_NARROW_FORMAT if narrow else _WIDE_FORMAT,
                leave=False,
                file=sys.stderr,
            )

    def update(self, size: int) -> None:
        """Count ``size`` more, from any thread."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(size)

    def note(self, text: str) -> None:
        """Show ``text`` at its end."""
        if self._bar is not None:
            with self._lock:
                self._bar.set_postfix_str(text)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take it away."""
        if self._bar is not None:
            with self._lock:
                self._bar.close()


class Progress:
    """How far a transfer is: bytes, blobs and images.

    ``blobs`` are the sizes in bytes of what is transferred, by digest. ``images`` are the names of
    the images, each with the digests that it needs; those that are not among ``blobs`` do not
    count. ``enabled=None`` shows a bar if standard error is a
    terminal, and nothing elsewhere; with ``True`` there are lines elsewhere, as each image is
    complete and every half minute.
    """

    def __init__(
        self,
        what: str,
        blobs: Mapping[str, int],
        images: Mapping[str, Iterable[str]],
        enabled: bool | None,
    ) -> None:
        waiting = {name: blobs.keys() & set(digests) for name, digests in images.items()}
        self._needed_by: dict[str, list[str]] = {}
        for name, digests in waiting.items():
            for digest in digests:
                self._needed_by.setdefault(digest, []).append(name)
        self._lacking = {name: len(digests) for name, digests in waiting.items()}
        self._what, self._sizes, self._total = what, blobs, sum(blobs.values())
        self._done = self._moved = self._reused = self._complete = 0
        self._started = time.monotonic()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._has_lines = enabled is True and not _is_terminal()
        self._is_shown = self._has_lines or (enabled is not False and _is_terminal())
        self._bar = Bar(what, self._total, enabled)

    def moved(self, size: int) -> None:
        """Count ``size`` more bytes; a negative number takes some back."""
        with self._lock:
            self._moved += size
        self._bar.update(size)

    def finished(self, digest: str, *, reused: bool = False) -> None:
        """Count a blob that is in its place; ``reused`` if an earlier run had brought it."""
        with self._lock:
            self._done += 1
            self._reused += self._sizes[digest] if reused else 0
            self._bar.note(self._counted())
            for name in self._needed_by.pop(digest, ()):
                self._lacking[name] -= 1
                self._tell_if_complete(name)

    def sum_up(self, text: str) -> None:
        """Say what has been done, once it has."""
        self._close()
        if self._is_shown:
            seconds = time.monotonic() - self._started
            resumed = f", {shown_size(self._reused)} of it resumed" if self._reused else ""
            _say(f"{text}{resumed}, in {seconds:.1f} s")

    def __enter__(self) -> Progress:
        """Begin; what waits for nothing is complete already."""
        with self._lock:
            for name in self._lacking:
                self._tell_if_complete(name)
        if self._has_lines:
            threading.Thread(target=self._tell_now_and_then, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._ended.set()
        self._bar.close()

    def _tell_if_complete(self, name: str) -> None:
        if self._lacking[name] == 0:
            self._complete += 1
            if self._has_lines:
                _say(f"{name} is complete ({self._complete} of {len(self._lacking)} images)")

    def _counted(self) -> str:
        resumed = f", {shown_size(self._reused)} resumed" if self._reused else ""
        return f"{self._done}/{len(self._sizes)} blobs{resumed}"

    def _tell_now_and_then(self) -> None:
        while not self._ended.wait(LINE_EVERY):
            with self._lock:
                seconds = time.monotonic() - self._started
                rate = max(0, self._moved - self._reused) / seconds
                left = f", {(self._total - self._moved) / rate:.0f} s left" if rate else ""
                _say(
                    f"{self._what}: {shown_size(self._moved)} of {shown_size(self._total)}, "
                    f"{self._counted()}, {shown_size(rate)}/s{left}"
                )


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _say(text: str) -> None:
    if sys.stderr is not None:
        print(f"docker-charon: {text}", file=sys.stderr, flush=True)


def shown_size(size: float) -> str:
    """Return a number of bytes in powers of 1,000, as ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, thing: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
