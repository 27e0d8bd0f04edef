"""The files of a mirror configuration, which are written after a push."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from docker_charon.errors import DockerCharonError, PushIncomplete
from docker_charon.files import write_beside
from docker_charon.messages import argument, get_logger
from docker_charon.payload.random_access import file_errors
from docker_charon.progress import counted
from docker_charon.special_file import is_stream
from docker_charon.transfer.renaming.destinations import Destinations, as_repository
from docker_charon.transfer.renaming.mirror_file import MARK, MirrorFile
from docker_charon.transfer.renaming.mirrors import (
    Configuration,
    Mirror,
    checked_kinds,
    configuration,
)
from docker_charon.transfer.renaming.namespaces import moved_namespaces
from docker_charon.transfer.renaming.repository_map import DOCKER_HUB_NAME, rule_argument
from docker_charon.written_text import decoded

_log = get_logger(__name__)


class MirrorFiles:
    """The files of the mirror configurations of some ``kinds``, in a directory that exists.

    Raises `DockerCharonError` if a kind is not known. Without kinds, nothing is done.
    """

    def __init__(
        self,
        kinds: str | Iterable[str],
        directory: str | os.PathLike[str],
        registry: str,
        *,
        secure: bool,
    ) -> None:
        self._kinds = checked_kinds(kinds)
        self._directory = Path(directory)
        self._mirror = Mirror(registry, secure)
        self._contents: dict[Path, bytes] = {}

    def plan(self, destinations: Destinations, repositories: Iterable[str]) -> None:
        """Decide what to write for repositories of a payload; warn of what nodes cannot find.

        Raises `DockerCharonError` if nothing can be written, or if files of somebody else are in
        the way.
        """
        if not self._kinds:
            return
        if not destinations.have_full_names:
            raise DockerCharonError(
                "there is no mirror configuration for this payload: it does not say which registry "
                "its images are from",
                hint=f"make it with full names ({argument('without --registry', 'registry=None')}"
                f"); or, if they are Docker Hub's, push it with {_map(DOCKER_HUB_NAME)}",
            )
        with file_errors(f"cannot write to {self._directory}"):
            if not self._directory.is_dir():
                raise DockerCharonError(
                    f"cannot write the mirror configuration to {self._directory}",
                    hint="name a directory that exists",
                )
        registries = moved_namespaces(destinations, repositories)
        for kind in self._kinds:
            planned = configuration(kind, self._mirror, registries)
            _warn_of_lost(kind, planned)
            for file in planned.files:
                path = self._directory / file.path
                self._contents[path] = _content(path, file)

    def end(
        self, left_out: Collection[str], incomplete: PushIncomplete | None, *, dry_run: bool
    ) -> None:
        """Write the files after a push, unless images have failed."""
        if dry_run:
            for path in self._contents:
                _log.info("write %s", path)
        elif incomplete is None:
            self._write(left_out)
        elif self._contents:
            _log.warning("no mirror configuration is written until all images are pushed")

    def _write(self, left_out: Collection[str]) -> None:
        for path, content in self._contents.items():
            with file_errors(f"cannot write {path}"):
                path.parent.mkdir(exist_ok=True)
                write_beside(path, content)
            _log.info("%s is written for the nodes", path)
        if self._contents and left_out:
            _log.warning(
                "the mirror configuration is also for %s that %s left out",
                counted(len(left_out), "image"),
                "was" if len(left_out) == 1 else "were",
            )


def _content(path: Path, file: MirrorFile) -> bytes:
    """Return what to write; raise `DockerCharonError` if somebody else's file would be lost."""
    folder = path.parent
    if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112
        raise DockerCharonError(
            f"cannot write {path}: {folder} is there already, and is not a directory",
            hint=_elsewhere(),
        )
    with file_errors(f"cannot read {path}"):
        earlier = _text_in(path)
    if not earlier.startswith(MARK):
        raise DockerCharonError(
            f"{path} is there already, and docker-charon has not written it",
            hint=_elsewhere(),
        )
    for registry in file.edited(earlier):
        _log.warning(
            "%s: the part about %s has been edited, and stays as it is; a push with another %s "
            "shows what it would be now",
            path,
            registry,
            argument("--mirrors-dir", "mirrors_dir="),
        )
    return file.text(earlier).encode()


def _elsewhere() -> str:
    """Return what to do if somebody else's file has the name of one of these."""
    option = argument("--mirrors-dir", "mirrors_dir=")
    return f"name another directory ({option}), or move the file away"


def _text_in(path: Path) -> str:
    """Return the text of a file: a new one has our mark.

    A stream, whose reading may take for ever, has none.
    """
    if is_stream(path):
        return ""
    if not path.exists():
        return MARK
    text = decoded(path.read_bytes(), errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _warn_of_lost(kind: str, planned: Configuration) -> None:
    """Warn of the first repository that nodes cannot find, and say how many others there are."""
    if planned.lost:
        first, *others = planned.lost
        _log.warning(
            "nodes with %s cannot find %s%s under the old name, because it becomes %s; %s "
            "keeps the names of its registry",
            kind,
            first.old_name,
            f" and {counted(len(others), 'other')}" if others else "",
            first.destination,
            _map(first.registry),
        )


def _map(registry: str) -> str:
    """Return the argument that keeps the names of a registry."""
    return rule_argument(registry, as_repository(registry))
