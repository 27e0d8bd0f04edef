"""Progress of a transfer, shown on standard error."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from tqdm import tqdm


class Progress:
    """A bar of bytes.

    ``enabled=None`` shows it only where standard error is a terminal.
    """

    def __init__(self, what: str, total: int, enabled: bool | None) -> None:
        if enabled is None:
            enabled = sys.stderr is not None and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._bar = tqdm(
            desc=what,
            total=total,
            unit="B",
            unit_scale=True,
            unit_divisor=1000,
            dynamic_ncols=True,
            disable=not enabled,
            file=sys.stderr,
        )

    def update(self, size: int) -> None:
        """Count ``size`` more bytes, from any thread."""
        with self._lock:
            self._bar.update(size)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
