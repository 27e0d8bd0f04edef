"""A time that passes only when somebody sleeps."""

from __future__ import annotations

from typing import Any

import pytest


class Clock:
    """What tests put in the place of `time`; ``slept`` are the seconds of every sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def replace_time(self, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> Clock:
        """Let these modules use this clock."""
        for module in modules:
            monkeypatch.setattr(module, "time", self)
        return self
