"""A failure of a registry's own storage, as distribution describes it in an error."""

from __future__ import annotations

import json
from typing import Any

_REASONS = {
    5: "its disk has an error",
    13: "it may not write there",
    28: "its disk is full",
    30: "it is read-only",
    116: "its network share is gone",
    122: "its quota is used up",
}
"""What Linux's numbers of errors mean for a registry that stores files."""


def storage_failure(body: bytes) -> str | None:
    """Return why the registry could not write or read a file, if the body of an answer says it.

    distribution has Go's error about the file in ``detail``, and only "unknown error" besides.
    """
    try:
        document: Any = json.loads(body)
        number = document["errors"][0]["detail"]["Enclosed"]["Err"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return _REASONS.get(number) if isinstance(number, int) else None
