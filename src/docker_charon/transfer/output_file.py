"""A file that a transfer writes beside the payload: a report, a receipt or a lock."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.files import is_same_file
from docker_charon.payload.random_access import file_errors
from docker_charon.transfer.input_files import leads_to_one_of


def checked_target(
    path: str | os.PathLike[str], what: str, other_files: Iterable[object] = ()
) -> Path:
    """Return the path of a file that is written at the end, if that will be possible.

    ``what`` names the file in messages. ``other_files`` are those of the same call, which it must
    not replace; what is not a path is ignored.

    Raises `PayloadError` if its directory does not exist or cannot be written to, and
    `DockerCharonError` if it is one of the other files, or a volume of one of them.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a {what} must be a path")
    target, others = Path(path), list(other_files)
    with file_errors(f"cannot write the {what} {target}"):
        is_possible = target.parent.is_dir() and not target.is_dir()
        is_used = leads_to_one_of(target, others) or any(is_same_file(target, f) for f in others)
    if not is_possible:
        raise PayloadError(
            f"cannot write the {what} {target}", hint="name a file in a directory that exists"
        )
    if is_used:
        raise DockerCharonError(
            f"{target} is another file of this command, which the {what} would replace",
            hint=f"give the {what} another name",
        )
    if not os.access(target.parent, os.W_OK):
        raise PayloadError(
            f"cannot write the {what} {target}: its directory is read-only",
            hint="name a file in another directory",
        )
    return target
