"""The packages that only deltas need: numpy, and zstd where Python has none."""

from __future__ import annotations

import importlib.util
import sys

from docker_charon.errors import DeltaError

_ZSTD = "compression" if sys.version_info >= (3, 14) else "backports.zstd"
_NEEDED = ("numpy", _ZSTD)


def require_extra() -> None:
    """Raise `DeltaError`, which names what to install, where one of the packages is missing."""
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        raise DeltaError(
            f"differences inside layers need {' and '.join(missing)}, which this Python lacks",
            hint="pip install docker-charon[deltas]",
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False
