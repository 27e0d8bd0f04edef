"""A time to wait before another try, as the headers of an answer name it."""

from __future__ import annotations

import contextlib
import email.utils
import math
import re
import time
from collections.abc import Mapping

_FIRST_DATE = 1e9
"""A number of seconds that is not a time to wait, but a date, in seconds since 1970."""
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds to wait before another try; ``None`` if an answer does not say it.

    ``Retry-After`` is a number or a date (RFC 9110, section 10.2.3), which is compared with the
    ``Date`` of the answer, because clocks differ. Docker Hub sends the number of a date, in seconds
    since 1970. Without that header, the limit of requests may be one for a number of seconds, as
    in ``RateLimit-Remaining: 0;w=21600``.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        used_up = re.fullmatch(r"0; ?w=(\d{1,9})", headers.get("RateLimit-Remaining", "").strip())
        return float(used_up[1]) if used_up else None
    seconds = float(value) if re.fullmatch(r"\d{1,12}(\.\d*)?", value) else None
    if seconds is not None and seconds < _FIRST_DATE:
        return seconds
    then = seconds or _timestamp(value)
    now = _timestamp(headers.get("Date", "")) or time.time()
    return None if then is None else max(then - now, 0.0)


def _timestamp(text: str) -> float | None:
    """Return a date of HTTP in seconds since 1970; ``None`` for anything else."""
    with contextlib.suppress(ValueError, TypeError, OverflowError, IndexError):
        return email.utils.parsedate_to_datetime(text).timestamp()
    return None


def duration(seconds: float) -> str:
    """Return a time as a message names it, rounded up: ``10 days``, ``6 hours``, ``1 minute``."""
    unit, name = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    number = math.ceil(seconds / unit)
    return f"{number} {name}{'s' * (number > 1)}"
