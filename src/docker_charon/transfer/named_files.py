"""The files that a user names for one run: what is written must not replace any other of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.files import is_device_or_pipe, is_same_file, without_link
from docker_charon.payload.file_object import PayloadTarget
from docker_charon.payload.random_access import file_errors
from docker_charon.value import dataclass


def refuse_replacing(
    written: Mapping[str, object],
    read: Mapping[str, Collection[object]],
    *,
    in_volumes: Collection[str] = (),
) -> None:
    """Raise `PayloadError` if a file that a run writes is another file of the same run.

    ``written`` and ``read`` are paths, file objects or ``None``, by what messages call them:
    ``the report``, ``an earlier payload``. Those of ``written`` that are ``in_volumes`` are written
    as volumes, and not to the path itself. What is read may be in volumes too.
    """
    targets = [
        _NamedFile.of(role, file, in_volumes=role in in_volumes) for role, file in written.items()
    ]
    sources = [_NamedFile.of(role, file) for role, files in read.items() for file in files]
    for target, other in (
        *itertools.combinations(targets, 2),
        *itertools.product(targets, sources),
    ):
        if target.is_same(other):
            raise PayloadError(
                f"{other.shown} cannot be both {target.role} and {other.role}",
                hint=f"give {target.role} another name",
            )


def checked_target(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path of a file that is written at the end of a run; ``what`` is in it.

    Of a symbolic link, it is the path of the target, which is replaced. Devices and pipes are
    written to and not replaced, so that their directory does not matter.

    Raises `PayloadError` if its directory does not exist or is read-only now, and ``TypeError`` if
    ``path`` is not a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a {what} must be a path")
    target = Path(path)
    if is_device_or_pipe(target):
        return target
    with file_errors(f"cannot write the {what} {target}"):
        target = without_link(target)
        is_possible = target.parent.is_dir() and not target.is_dir()
    if not is_possible:
        raise PayloadError(
            f"cannot write the {what} {target}", hint="name a file in a directory that exists"
        )
    if not os.access(target.parent, os.W_OK):
        raise PayloadError(
            f"cannot write the {what} {target}: its directory is read-only",
            hint="name a file in another directory",
        )
    return target


def check_payload_target(zip_file: PayloadTarget, what: str) -> None:
    """Raise as `checked_target` does, before a run, if a payload cannot be written to a path.

    File objects are not checked.
    """
    if isinstance(zip_file, (str, os.PathLike)):
        checked_target(zip_file, what)


@dataclass(frozen=True, slots=True)
class _NamedFile:
    """A file of a run. ``role`` and ``shown`` are what messages call it; paths are without links.

    ``single`` is the file, and ``path`` its path, unless it is only written in volumes.
    ``volumes_of`` is the payload whose volumes belong to it, and ``part_of`` the one of which its
    name says that it is a volume or the list.
    """

    role: str
    shown: object
    single: object
    path: str | None = None
    volumes_of: str | None = None
    part_of: str | None = None

    @classmethod
    def of(cls, role: str, file: object, *, in_volumes: bool = False) -> _NamedFile:
        if not isinstance(file, (str, os.PathLike)):
            return cls(role, getattr(file, "name", file), file)
        from docker_charon.payload.volumes.volume_names import (
            base_and_number,
            list_path,
            volume_path,
        )

        shown = os.fspath(file)
        with file_errors(f"cannot use {shown}"):
            base = Path(os.path.realpath(base_and_number(Path(file))[0]))
            path = Path(os.path.realpath(file))
            if in_volumes:
                return cls(role, shown, None, volumes_of=str(path))
            is_part = path != base
            has_volumes = bool(base.name) and list_path(base).exists()
            if not is_part:
                has_volumes |= bool(base.name) and volume_path(base, 1).exists()
                has_volumes &= not path.exists()
        return cls(
            *(role, shown, file, str(path)),
            volumes_of=str(base) if has_volumes else None,
            part_of=str(base) if is_part else None,
        )

    def is_same(self, other: _NamedFile) -> bool:
        """Whether two files are one file, or one of them belongs to the volumes of the other."""
        return (
            is_same_file(self.single, other.single)
            or _are_equal(self.path, other.path)
            or _are_equal(self.volumes_of, other.volumes_of)
            or _are_equal(self.volumes_of, other.part_of)
            or _are_equal(self.part_of, other.volumes_of)
        )


def _are_equal(path: str | None, other: str | None) -> bool:
    return path is not None and path == other
