"""Ends of a process: a signal, and the seed of the random moment at which it comes.

``KILLS=60`` tries more of them.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COUNT = int(os.environ.get("KILLS", "12"))


def ends() -> list[Any]:
    """Return pairs of a seed and a signal for ``parametrize``, each signal equally often.

    The first pair of each signal is always tried; the others are marked slow.
    """
    return [
        pytest.param(
            seed,
            SIGNALS[seed % len(SIGNALS)],
            marks=[pytest.mark.slow] if seed >= len(SIGNALS) else [],
        )
        for seed in range(COUNT)
    ]
