"""Damage: the error of a payload whose bytes were changed or lost on its way."""

from __future__ import annotations

from docker_charon.errors import PayloadError

COPY_AGAIN = "copy the payload again from where it was made"
"""What to do about a damaged payload."""
COPY_IT_AGAIN = "copy it again from where it was made"
"""The same, after a message about the file."""


def damaged(problem: str) -> PayloadError:
    """Return the error of a payload with this problem."""
    return PayloadError(f"the payload is damaged: {problem}", hint=COPY_AGAIN)
