"""The files that a user names for one run: what is written must not replace any other of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.files import is_same_file
from docker_charon.payload.random_access import file_errors


def refuse_replacing(
    written: Mapping[str, object],
    read: Mapping[str, Collection[object]],
    *,
    in_volumes: Collection[str] = (),
) -> None:
    """Raise `PayloadError` if a file that a run writes is another file of the same run.

    ``written`` and ``read`` are paths, file objects or ``None``, by what messages call them:
    ``the report``, ``an earlier payload``. Those of ``written`` that are ``in_volumes`` are the
    files that belong to a path, and not that path itself. What is read may be in volumes too.
    """
    others = [
        *((role, file, role in in_volumes) for role, file in written.items()),
        *((role, file, False) for role, files in read.items() for file in files),
    ]
    for number, (role, file) in enumerate(written.items()):
        places = list(_volumes(file)) if role in in_volumes else [file]
        for other_role, other, is_only_volumes in others[number + 1 :]:
            if _is_among(other, places, is_only_volumes=is_only_volumes):
                raise PayloadError(
                    f"{_shown(other)} cannot be both {role} and {other_role}",
                    hint=f"give {role} another name",
                )


def checked_target(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path of a file that is written at the end of a run; ``what`` is in it.

    Raises `PayloadError` if its directory does not exist now, and ``TypeError`` if it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a {what} must be a path")
    target = Path(path)
    with file_errors(f"cannot write the {what} {target}"):
        is_possible = target.parent.is_dir() and not target.is_dir()
    if not is_possible:
        raise PayloadError(
            f"cannot write the {what} {target}", hint="name a file in a directory that exists"
        )
    return target


def _is_among(file: object, places: Collection[object], *, is_only_volumes: bool) -> bool:
    """Whether a file, or a volume of it, is in one of these places; none of them need to exist."""
    own = [] if is_only_volumes else [file]
    return any(
        is_same_file(one, place) for one in (*own, *_volumes(file)) for place in places
    ) or bool({*_real_paths(own)} & {*_real_paths(places)})


def _shown(file: object) -> object:
    """Return what messages call a file."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    return getattr(file, "name", file)


def _real_paths(files: Collection[object]) -> Iterator[str]:
    """Yield the paths among files, without links in them."""
    for file in files:
        if isinstance(file, (str, os.PathLike)):
            with file_errors(f"cannot use {os.fspath(file)}"):
                yield os.path.realpath(file)


def _volumes(file: object) -> Iterator[Path]:
    """Yield the list and the first volume of the payload that a path belongs to."""
    if isinstance(file, (str, os.PathLike)):
        from docker_charon.payload.volumes import base_and_number, list_path, volume_path

        base, _ = base_and_number(Path(file))
        if base.name:
            yield list_path(base)
            yield volume_path(base, 1)
