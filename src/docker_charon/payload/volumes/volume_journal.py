"""The journal of a payload that is written in volumes: it lists the finished volumes.

It has one JSON object a line. The first line describes the payload, and each of the others is a
finished volume, as the list of volumes has it, with the CRC-32 of every entry that begins in it::

    {"size": BYTES, "volume_size": BYTES, "metadata_sha256": HEX}
    {"number": 1, "name": NAME, "size": BYTES, "sha256": HEX, "sample": HEX, "crcs": {PATH: CRC}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from docker_charon.errors import PayloadError
from docker_charon.files import sync
from docker_charon.payload.partial_files.locked_file import MOVE_AWAY
from docker_charon.payload.random_access import write_all
from docker_charon.payload.volumes.volume_list import Volume, VolumeList
from docker_charon.value import dataclass

_START = b'{"size":'


@dataclass(frozen=True, slots=True)
class FinishedVolume:
    """A line of the journal; ``number`` begins with 1."""

    number: int
    volume: Volume
    crcs: Mapping[str, int]


class VolumeJournal:
    """The journal in an open file that no other process writes.

    ``goes_on`` is whether an earlier run wrote the same payload. ``finished`` are the volumes of
    the payload that are finished, and ``abandoned`` those of another one that an earlier run has
    not completed. Raises `PayloadError` if the file is not a journal.
    """

    def __init__(
        self, file: IO[bytes], path: Path, size: int, volume_size: int, metadata_sha256: str
    ) -> None:
        self._file = file
        self._payload: dict[str, Any] = {
            "size": size,
            "volume_size": volume_size,
            "metadata_sha256": metadata_sha256,
        }
        content = file.read()
        if content.strip(b"\0") and content[: len(_START)] != _START[: len(content)]:
            raise PayloadError(
                f"{path} exists, and is not the journal of a payload in volumes",
                hint=MOVE_AWAY,
            )
        values = list(_values(content))
        self.goes_on = values[:1] == [self._payload]
        earlier = list(_finished(values[1:]))
        self.finished = earlier if self.goes_on else []
        self.abandoned = [] if self.goes_on else earlier
        file.seek(0)
        file.truncate()
        self._write([self._payload, *map(_line, self.finished)])

    def add(self, finished: FinishedVolume) -> None:
        """Add a finished volume, and flush it to the disk."""
        self._write([_line(finished)])
        self.finished.append(finished)

    def is_of(self, listed: VolumeList) -> bool:
        """Whether a list is of the same payload, with volumes of the same size."""
        return self._payload == {key: getattr(listed, key) for key in self._payload}

    def listed(self, volumes: Iterable[Volume], sha256: str | None) -> VolumeList:
        """Return the list of the payload's volumes, which are all finished."""
        return VolumeList(sha256=sha256, volumes=tuple(volumes), **self._payload)

    def _write(self, values: list[dict[str, Any]]) -> None:
        write_all(self._file, b"".join(json.dumps(value).encode() + b"\n" for value in values))
        sync(self._file)


def _line(finished: FinishedVolume) -> dict[str, Any]:
    return {"number": finished.number, **asdict(finished.volume), "crcs": dict(finished.crcs)}


def _values(content: bytes) -> Iterator[Any]:
    """Yield the values in the lines, up to a line that a power failure has damaged."""
    for line in content.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def _finished(values: list[Any]) -> Iterator[FinishedVolume]:
    for value in values:
        try:
            yield FinishedVolume(int(value["number"]), Volume.parse(value), dict(value["crcs"]))
        except (ValueError, TypeError, LookupError, OverflowError):
            return
