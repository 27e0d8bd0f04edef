"""The packages that only deltas need: numpy, and zstd for older versions of Python."""

from __future__ import annotations

import importlib.util
import sys

from docker_charon.errors import DeltaError

_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_NEEDED = ("numpy", _ZSTD)


def require_extra() -> None:
    """Raise `DeltaError`, which says what to install, if one of the packages is missing."""
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        raise DeltaError(
            f"{' and '.join(missing)} must be installed for differences inside layers",
            hint="pip install 'docker-charon[deltas]' (docker-charon.pyz cannot contain them)",
        )


def unusable(error: ImportError) -> DeltaError:
    """Return the error for packages that are installed and cannot be imported."""
    return DeltaError(
        f"the packages for differences inside layers cannot be used: {error}",
        hint="install the packages of docker-charon[deltas] again",
    )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False
