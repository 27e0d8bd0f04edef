"""A payload that is being written, in a state from which the next run can continue.

A mark says how much of a blob has arrived (see `arrival_mark`). It is written after the first
bytes, then for each `MARK_EVERY` bytes, and once more when the run fails. The next run hashes that
beginning again and asks the registry for the rest. If the digest turns out to be wrong, the blob is
fetched from its first byte.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from docker_charon.payload.format.zip_records import Record
from docker_charon.payload.partial_files.arrival_mark import arrived, mark
from docker_charon.payload.random_access import PositionalFile

if TYPE_CHECKING:
    from docker_charon.payload.partial_files.leftover import Leftover


class PartialPayload(PositionalFile):
    """A payload that is being written.

    ``leftover`` is the file of an earlier run for other images, if there is one. ``has_content``
    says whether there is something that is worth keeping after a failure. ``present`` is the number
    of bytes of blobs that are there, which the writer counts when it fails. ``in_order`` says
    whether the entries should be written in their order.
    """

    leftover: Leftover | None = None
    has_content = False
    present = 0
    in_order = False

    @abstractmethod
    def known_crc(self, record: Record) -> int | None:
        """Return the CRC-32 of an entry that is there and verified; ``None`` if it must be read."""

    @abstractmethod
    def finish(self, record: Record, crc: int) -> None:
        """Count an entry that is in its place and verified."""

    def mark(self, record: Record, size: int) -> None:
        """Write down that the first ``size`` bytes of an unfinished entry are in their place."""
        mark(self, record, size)
        self.has_content = self.has_content or size > 0

    def arrived(self, record: Record) -> int:
        """Return how many bytes of an entry are there, finished or not."""
        return record.size if self.known_crc(record) is not None else arrived(self, record)
