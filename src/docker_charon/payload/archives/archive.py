"""An archive: the entries of a payload, and their content, wherever they are stored."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.payload.random_access import Extent

Report = Callable[[DockerCharonError], None]
"""What to do with a problem: raise it, or record it and go on."""


def raise_it(error: DockerCharonError) -> None:
    """Stop at the first problem: raise it."""
    raise error


class Archive(ABC):
    """The entries of a payload by path, which has ``/`` between its parts.

    ``kind`` says in messages how they are stored, and ``name`` which payload it is. ``verified`` is
    the content of entries that was verified: it is not read from the file again.
    """

    kind: str
    name: str

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: dict[str, zipfile.ZipInfo] = {}
        self.verified: dict[str, bytes] = {}

    def read(self, info: zipfile.ZipInfo, longest: int) -> bytes:
        """Return the whole content of an entry.

        Raises `PayloadError` if it has more than ``longest`` bytes, and as `chunks` does.
        """
        if info.file_size > longest:
            raise PayloadError(f"{info.filename} is too large: {info.file_size} bytes")
        if info.filename in self.verified:
            return self.verified[info.filename]
        return b"".join(bytes(chunk) for chunk in self.chunks(info, check_crc=True))

    def batches(self, infos: Iterable[zipfile.ZipInfo]) -> list[list[zipfile.ZipInfo]]:
        """Return entries in batches; the entries of a batch can be read at the same time.

        There is one batch, with the largest entries first, unless the entries are on several media.
        """
        return [sorted(infos, key=lambda info: -info.file_size)]

    @abstractmethod
    def extent(self, info: zipfile.ZipInfo) -> Extent | None:
        """Return where the content of an entry is, if it is a part of a file that stays open.

        Raises `PayloadError` if the entry cannot be read.
        """

    @abstractmethod
    def chunks(
        self, info: zipfile.ZipInfo, *, start: int = 0, check_crc: bool = False
    ) -> Iterator[memoryview]:
        """Yield the content of an entry from ``start`` on; a chunk is valid until the next one.

        ``check_crc`` is for content without a digest that is read from its start. Raises
        `PayloadError` if it cannot be read, or is not as the archive says.
        """
