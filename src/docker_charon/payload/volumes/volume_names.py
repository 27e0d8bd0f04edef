"""The names of volumes: ``payload.zip.001`` and so on, and ``payload.zip.volumes.json``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_LIST_SUFFIX = ".volumes.json"
_NUMBERED = re.compile(r"(.+)\.(\d{3})", re.DOTALL)


def volume_path(base: Path, number: int) -> Path:
    """Return the path of a volume of the payload ``base``; the first one has the number 1."""
    return base.with_name(f"{base.name}.{number:03}")


def list_path(base: Path) -> Path:
    """Return the path of the list of the volumes of the payload ``base``."""
    return base.with_name(base.name + _LIST_SUFFIX)


def base_and_number(path: Path) -> tuple[Path, int | None]:
    """Return the payload that a volume, or a list of volumes, belongs to; and its number.

    The number is ``None`` for a list, and for a path that is the payload's own.
    """
    if path.name.endswith(_LIST_SUFFIX) and path.name != _LIST_SUFFIX:
        return path.with_name(path.name.removesuffix(_LIST_SUFFIX)), None
    match = _NUMBERED.fullmatch(path.name)
    if match is None or not int(match[2]):
        return path, None
    return path.with_name(match[1]), int(match[2])


def find_file(name: str, directories: Iterable[Path]) -> Path | None:
    """Return the first file of this name in the directories."""
    return next((path for folder in directories if (path := folder / name).is_file()), None)
