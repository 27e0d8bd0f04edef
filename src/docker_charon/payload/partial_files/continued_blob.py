"""A blob of which an interrupted run has left the beginning, and whose rest is fetched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from docker_charon.errors import DigestMismatch
from docker_charon.oci.descriptor import Descriptor


class Readable(Protocol):
    """The content of a blob that is being fetched."""

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the end."""


Fetch = Callable[[Descriptor, str, int], AbstractContextManager[Readable]]
"""Opens a blob in a repository, from an offset in bytes on."""


class ContinuedBlob:
    """Reads a beginning to its end, and only then opens the rest, unless that is empty.

    Reading raises `DigestMismatch` if the beginning cannot be read again from the disk.
    """

    def __init__(
        self,
        blob: Descriptor,
        beginning: Readable,
        rest: Callable[[], AbstractContextManager[Readable]],
    ) -> None:
        self._blob = blob
        self._beginning: Readable | None = beginning
        self._open_rest = rest
        self._rest: Readable | None = None
        self._position = 0
        self._stack = contextlib.ExitStack()

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the end."""
        size = self._read_beginning(buffer)
        if not size and self._position < self._blob.size:
            if self._rest is None:
                self._rest = self._stack.enter_context(self._open_rest())
            size = self._rest.readinto(buffer)
        self._position += size
        return size

    def _read_beginning(self, buffer: memoryview) -> int:
        if self._beginning is None:
            return 0
        try:
            size = self._beginning.readinto(buffer)
        except OSError as error:
            raise DigestMismatch(
                f"the beginning of {self._blob.digest} cannot be read again: {error.strerror}"
            ) from error
        if not size:
            self._beginning = None
        return size

    def __enter__(self) -> ContinuedBlob:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
