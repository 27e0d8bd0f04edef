"""Payloads cut into volumes by other means than ours."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

from docker_charon.payload.random_access import RandomAccess
from docker_charon.payload.volumes.volume_content import sample
from docker_charon.payload.volumes.volume_list import Volume, VolumeList
from docker_charon.payload.volumes.volume_names import list_path, volume_path


def listed(*contents: bytes, name: str = "p.zip") -> VolumeList:
    """Return the list of volumes with these contents."""
    return VolumeList(
        sum(map(len, contents)),
        hashlib.sha256(b"".join(contents)).hexdigest(),
        len(contents[0]),
        "0" * 64,
        tuple(
            Volume(
                f"{name}.{n:03}",
                len(content),
                hashlib.sha256(content).hexdigest(),
                sample(RandomAccess(io.BytesIO(content)), len(content)),
            )
            for n, content in enumerate(contents, 1)
        ),
    )


def cut(whole: bytes, base: Path, size: int) -> None:
    """Write the volumes of a payload, and their list."""
    contents = [whole[start : start + size] for start in range(0, len(whole), size)]
    for n, content in enumerate(contents, 1):
        volume_path(base, n).write_bytes(content)
    list_path(base).write_bytes(listed(*contents, name=base.name).encode())


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


class Drive:
    """A drive with one medium at a time, and somebody who inserts what is asked for."""

    def __init__(self, base: Path, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.asked: list[str] = []
        self._media = base.parent

    def ask(self, problem: str) -> bool:
        self.asked.append(problem.split()[0])
        for path in self.folder.iterdir():
            path.unlink()
        shutil.copy(self._media / self.asked[-1], self.folder)
        return True
