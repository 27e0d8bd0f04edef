"""The files that a payload is made from, which it must not replace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.files import is_same_file
from docker_charon.payload.file_object import PayloadSource, PayloadTarget
from docker_charon.payload.random_access import file_errors


def file_list(files: Iterable[PayloadSource], parameter: str) -> list[PayloadSource]:
    """Return a list of files; ``parameter`` is its name in an error."""
    if isinstance(files, (str, bytes, os.PathLike)) or hasattr(files, "read"):
        raise TypeError(f"{parameter} is a list of files, not a single one")
    return list(files)


def refuse_own_inputs(
    target: PayloadTarget, volume_size: int | None, inputs: Iterable[object]
) -> None:
    """Raise `PayloadError` if the new payload would replace a file that it is made from."""
    in_volumes = volume_size is not None and isinstance(target, (str, os.PathLike))
    targets = _volumes(target) if in_volumes else [target]
    for file in inputs:
        files = [file, *(_volumes(file) if isinstance(file, (str, os.PathLike)) else ())]
        if any(is_same_file(one, other) for one in files for other in targets):
            raise PayloadError(
                f"{file} is used to make the new payload, which would replace it",
                hint="write the new payload to another file",
            )


def _volumes(path: Any) -> list[Path]:
    """Return the list and the first volume of the payload that a path belongs to."""
    from docker_charon.payload.volumes import base_and_number, list_path, volume_path

    base, _ = base_and_number(Path(path))
    return [list_path(base), volume_path(base, 1)] if base.name else []


def leads_to_one_of(path: str | os.PathLike[str], files: Iterable[object]) -> bool:
    """Whether a path leads to the place of another path among ``files``; none need to exist.

    All volumes of a payload, and their list, are one place.
    """
    paths = (file for file in files if isinstance(file, (str, os.PathLike)))
    return _place(path) in map(_place, paths)


def _place(path: str | os.PathLike[str]) -> str:
    from docker_charon.payload.volumes import base_and_number

    return os.path.realpath(base_and_number(Path(path))[0])


def check_ledger_path(zip_file: PayloadTarget, ledger: str | os.PathLike[str]) -> None:
    """Refuse a payload that would take the place of its ledger."""
    with file_errors(f"cannot use the ledger {os.fspath(ledger)}"):
        is_used = leads_to_one_of(ledger, [zip_file])
    if is_used:
        raise DockerCharonError(
            f"{os.fspath(ledger)} cannot be both the payload and its ledger",
            hint="give the payload another name",
        )
