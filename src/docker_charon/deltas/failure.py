"""What goes wrong with files, as our own error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from docker_charon.errors import DeltaError


@contextlib.contextmanager
def files_told(what: str) -> Iterator[None]:
    """Make a `DeltaError` that begins with ``what`` of a file that cannot be read or written."""
    try:
        yield
    except OSError as error:
        raise DeltaError(
            f"{what}: {error.strerror or error}",
            hint="temporary files need about 1.3 times what the layers hold unpacked: where that "
            "is the trouble, name a directory with more room in TMPDIR",
        ) from error
