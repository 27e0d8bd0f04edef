"""The errors of deltas: of damaged ones, and of the files around them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from docker_charon.errors import DeltaError


def damaged(what: str) -> DeltaError:
    """Return the error for a delta that does not follow its format, or not its own header."""
    return DeltaError(f"the delta is damaged: {what}", hint="copy it again, or make it again")


@contextlib.contextmanager
def delta_file_errors(what: str) -> Iterator[None]:
    """Turn ``OSError`` into a `DeltaError` that says what failed: ``cannot write FILE``."""
    try:
        yield
    except OSError as error:
        raise DeltaError(
            f"{what}: {error.strerror or error}",
            hint="if the disk is full, set TMPDIR to a directory with more room: temporary files "
            "take about 1.3 times the unpacked size of the layers",
        ) from error
