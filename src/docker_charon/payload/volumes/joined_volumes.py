"""Joined volumes: the volumes of a payload, read as one file without copying them."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, count
from pathlib import Path
from typing import IO, Any, cast

from docker_charon.errors import PayloadError
from docker_charon.messages import argument, get_logger
from docker_charon.payload.volumes.volume_content import difference
from docker_charon.payload.volumes.volume_list import COPY_AGAIN, VolumeList, read_list
from docker_charon.payload.volumes.volume_names import (
    base_and_number,
    find_file,
    list_path,
    volume_path,
)
from docker_charon.value import dataclass

_log = get_logger(__name__)

Ask = Callable[[str], bool]
"""Asks a person for another medium. The argument says which file is missing.

``True`` means that the file should be searched again, ``False`` that nobody can provide it.
"""


class JoinedVolumes(io.RawIOBase):
    """All volumes of a payload as one read-only file. A volume is opened when it is first read.

    ``in_turn`` is whether some volumes are on media that ``ask`` has to ask for; then they should
    be read one after the other. The file has one position, so threads must use `RandomAccess`.

    Reading raises `PayloadError` if a volume is missing, or differs from the list.
    """

    def __init__(
        self,
        base: Path,
        folders: Iterable[Path],
        sizes: Iterable[int],
        listed: VolumeList | None = None,
        ask: Ask | None = None,
    ) -> None:
        super().__init__()
        self.name = str(base)
        self.in_turn = False
        self._folders = tuple(folders)
        self._listed = listed
        self._ask = ask
        self._ends = list(accumulate(sizes))
        self._names = {n: volume_path(base, n).name for n in range(1, len(self._ends) + 1)}
        self._files: dict[int, IO[bytes]] = {}
        self._position = 0

    def check(self) -> None:
        """Search all volumes; raise a `PayloadError` that names those that are wrong.

        Missing volumes are accepted if ``ask`` can ask for them.
        """
        problems = {n: problem for n in self._names if (problem := self._locate(n)[1])}
        missing = {n for n in problems if find_file(self._names[n], self._folders) is None}
        self.in_turn = self._ask is not None and bool(missing)
        wrong = [problem for n, problem in problems.items() if n not in missing or not self.in_turn]
        if wrong:
            hint = _missing_hint() if missing == problems.keys() else COPY_AGAIN
            raise PayloadError("; ".join(wrong), hint=hint)

    def number_at(self, offset: int) -> int:
        """Return the number of the volume that has the byte at an offset."""
        return bisect_right(self._ends, offset) + 1

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``; return the number of bytes, which is less only at the end."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._position < self._ends[-1]:
            number = self.number_at(self._position)
            left = self._ends[number - 1] - self._position
            size = self._read(number, view[done : done + left])
            done += size
            self._position += size
        return done

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ends[-1]}[whence]
        if start + offset < 0:
            raise OSError(22, "there is nothing before the first volume")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def close(self) -> None:
        """Close all volumes."""
        self._release()
        super().close()

    def _release(self) -> None:
        """Close the volumes, so that a medium can be removed."""
        while self._files:
            self._files.popitem()[1].close()

    def _read(self, number: int, buffer: memoryview) -> int:
        if number not in self._files:
            self._files[number] = self._open(number)
        file = self._files[number]
        start = self._ends[number - 2] if number > 1 else 0
        file.seek(self._position - start)
        size = cast(io.RawIOBase, file).readinto(buffer)
        if not size:
            raise PayloadError(f"{self._names[number]} was cut short", hint=COPY_AGAIN)
        return size

    def _open(self, number: int) -> IO[bytes]:
        """Open a volume; ask for its medium while it is missing."""
        while True:
            path, problem = self._locate(number)
            if path is not None:
                with contextlib.suppress(FileNotFoundError):  # it was removed just now
                    return path.open("rb", buffering=0)
            self._release()
            if self._ask is None or not self._ask(problem):
                is_here = find_file(self._names[number], self._folders)
                raise PayloadError(problem, hint=COPY_AGAIN if is_here else _missing_hint())

    def _locate(self, number: int) -> tuple[Path | None, str]:
        """Return the path of a volume, or ``None`` and what is wrong with it."""
        name = self._names[number]
        first_problem = f"{name} is missing"
        for path in [folder / name for folder in self._folders if (folder / name).is_file()]:
            try:
                problem = difference(path, number, self._listed) if self._listed else ""
            except OSError as error:
                problem = f"cannot read {path}: {error.strerror or error}"
            if not problem:
                return path, ""
            first_problem = problem
        return None, first_problem


@dataclass(frozen=True, slots=True)
class VolumePath(os.PathLike[str]):
    """The path of a payload that may be in volumes, and what else is needed to find these.

    The volumes are searched in the directory of ``path`` and in ``directories``; ``ask`` is asked
    for those that are missing.
    """

    path: Path
    directories: tuple[Path, ...] = ()
    ask: Ask | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> VolumePath:
        """Return any path as a value of this class."""
        return path if isinstance(path, VolumePath) else cls(Path(path))

    @property
    def all_directories(self) -> list[Path]:
        """The directories to search, in order."""
        return [self.path.parent, *self.directories]

    def listed_alone(self) -> Path | None:
        """Return the list of volumes if the path is one of these volumes; else ``None``."""
        base, number = base_and_number(self.path)
        if number is None:
            return None
        return find_file(list_path(base).name, self.all_directories)


@contextlib.contextmanager
def open_volumes(path: str | os.PathLike[str]) -> Iterator[JoinedVolumes | None]:
    """Open the payload ``path`` if it is in volumes; else yield ``None``.

    ``path`` is any volume, the list of volumes, or the name of the payload without a number. It may
    be a `VolumePath`. Without the list, the volumes are the files with consecutive numbers. They
    cannot be compared with anything then, and a warning is logged.

    Raises `PayloadError`, which names the volumes that are missing, cut short, or wrong.
    """
    volumes = _find(VolumePath.of(path))
    if volumes is None:
        yield None
        return
    with volumes:
        volumes.check()
        yield volumes


def _find(source: VolumePath) -> JoinedVolumes | None:
    """Return the volumes that belong to a path; ``None`` if it is the path of a single file."""
    path, folders = source.path, source.all_directories
    base, number = base_and_number(path)
    listing = list_path(base).name
    list_file = None if path == base and path.exists() else find_file(listing, folders)
    if list_file is None:
        is_single_file = path.exists() and (number is None or _is_zip(path))
        has_volume = path.exists() or find_file(volume_path(base, 1).name, folders) is not None
        if is_single_file or not has_volume:
            return None
        volumes = _without_list(base, folders)
        if volumes is not None:
            _log.warning("%s is missing: the volumes cannot be compared with it", listing)
            return volumes
        missing = f"{listing} is missing, and not all volumes are there"
        while list_file is None and source.ask is not None and source.ask(missing):
            list_file = find_file(listing, folders)
        if list_file is None:
            raise PayloadError(missing, hint=_missing_hint())
    listed = read_list(list_file)
    if number is not None and number > len(listed.volumes):
        raise PayloadError(f"{path} is not in {list_file}, which has {len(listed.volumes)} volumes")
    sizes = [volume.size for volume in listed.volumes]
    return JoinedVolumes(base, folders, sizes, listed, source.ask)


def _without_list(base: Path, folders: list[Path]) -> JoinedVolumes | None:
    """Return the volumes with consecutive numbers; ``None`` if together they are not a zip.

    All but the last must have the same size.
    """
    sizes: list[int] = []
    for number in count(1):
        path = find_file(volume_path(base, number).name, folders)
        if path is None:
            break
        size = path.stat().st_size
        if sizes and (sizes[-1] != sizes[0] or size > sizes[0]):
            short = volume_path(base, number - 1 if size <= sizes[0] else 1).name
            raise PayloadError(
                f"{short} has another size than the volumes beside it", hint=COPY_AGAIN
            )
        sizes.append(size)
    volumes = JoinedVolumes(base, folders, sizes)
    if sizes and zipfile.is_zipfile(cast(IO[bytes], volumes)):
        volumes.seek(0)
        return volumes
    volumes.close()
    return None


def _is_zip(path: Path) -> bool:
    """Whether a file is a complete zip, although its name ends like that of a volume."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(4) == b"PK\3\4" and zipfile.is_zipfile(file)
    return False


def _missing_hint() -> str:
    """Return what to do about a missing volume; only the command line takes other directories."""
    return "copy it beside the others" + argument(", or name its directory with --volume-dir", "")
