"""Repetition: the first values of a test that runs with many, and the rest, which are slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def repeated(values: Iterable[Any], *, always: int = 1) -> list[Any]:
    """Return the values for ``parametrize``; all but the first ``always`` are marked slow."""
    return [
        pytest.param(value, marks=[pytest.mark.slow] if number >= always else [])
        for number, value in enumerate(values)
    ]
