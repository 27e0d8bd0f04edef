"""The pause: no progress is shown, and no speed measured, while a person is asked something."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

_lock = threading.Lock()  # held for a few instructions, never while somebody is waited for
_questions = 0
_begun = 0.0
_past_seconds = 0.0


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Show no progress meanwhile: a bar disappears with the next message, such as the question."""
    global _questions, _begun, _past_seconds
    with _lock:
        _questions += 1
        if _questions == 1:
            _begun = time.monotonic()
    try:
        yield
    finally:
        with _lock:
            _questions -= 1
            if not _questions:
                _past_seconds += time.monotonic() - _begun


def is_paused() -> bool:
    """Return whether a person is asked something now."""
    return _questions > 0


def working_time() -> float:
    """Return the seconds of a clock that stands still during pauses."""
    with _lock:
        return (_begun if _questions else time.monotonic()) - _past_seconds
