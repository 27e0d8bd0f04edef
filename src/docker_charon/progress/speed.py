"""The speed of a transfer over the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from docker_charon.progress.pause import working_time

_WINDOW = 15.0
"""Seconds that the speed is measured over."""
_SAMPLE_EVERY = 0.5
"""Seconds between two samples."""


class Speed:
    """Counts bytes, and returns how many have moved in a second.

    The time begins with the first byte, and pauses do not count, so neither lowers the speed.
    """

    def __init__(self, clock: Callable[[], float] = working_time) -> None:
        self._clock = clock
        self._moved = 0
        self._samples: deque[tuple[float, int]] = deque()

    def count(self, size: int) -> None:
        """Count ``size`` bytes; a negative number takes some back."""
        now = self._clock()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_EVERY:
            self._samples.append((now, self._moved))
        self._moved += size

    def value(self) -> float | None:
        """Return the bytes a second; ``None`` if no byte has moved in the last seconds."""
        now = self._clock()
        while len(self._samples) > 1 and now - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()
        if not self._samples:
            return None
        begin, moved_before = self._samples[0]
        seconds, moved = now - begin, self._moved - moved_before
        return moved / seconds if seconds > 0 and moved > 0 else None
