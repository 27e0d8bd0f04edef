"""Progress of a transfer, shown on standard error."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """A bar of bytes, or of what ``unit`` says.

    ``enabled=None`` shows it only where standard error is a terminal.
    """

    def __init__(self, what: str, total: int, enabled: bool | None, unit: str = "B") -> None:
        if enabled is None:
            enabled = sys.stderr is not None and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._bar: tqdm[Any] | None = None
        if enabled:
            from tqdm import tqdm  # it takes its time to load, and most runs are not watched

            self._bar = tqdm(
                desc=what,
                total=total,
                unit=unit,
                unit_scale=unit == "B",
                unit_divisor=1000,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def update(self, size: int) -> None:
        """Count ``size`` more bytes, from any thread."""
        if self._bar is not None:
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
        if self._bar is not None:
            self._bar.close()
