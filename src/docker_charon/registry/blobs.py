"""A blob on its way from a registry: connections may break, the blob goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import requests

from docker_charon.errors import DigestMismatch, RegistryError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.registry.failure import FAILURES
from docker_charon.registry.http import pause, read_body

_RESUMES = 5  # of one blob, without a byte in between
_BUFFER = 256 * 1024

_log = logging.getLogger(__name__)


class BlobStream:
    """A blob as it comes, not yet verified.

    ``ask`` opens it from a given byte on, and ``explain`` makes one line of a failure. A connection
    that breaks is made anew, and the blob goes on where it stopped.
    """

    def __init__(
        self,
        blob: Descriptor,
        ask: Callable[[int], requests.Response],
        explain: Callable[[Exception], RegistryError],
    ) -> None:
        self._blob = blob
        self._ask = ask
        self._explain = explain
        self._position = 0
        self._failures = 0
        self._response = ask(0)

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, 0 at the end.

        Raises `RegistryError` when the connection breaks again and again without a byte.
        """
        while True:
            problem: Exception | None = None
            try:
                size = read_body(self._response, buffer)
            except FAILURES as error:
                size, problem = 0, error
            if size:
                self._position += size
                self._failures = 0
                return size
            if problem is None and self._position >= self._blob.size:
                return 0
            self._go_on(problem)

    def _go_on(self, problem: Exception | None) -> None:
        """Open the rest of the blob; the pauses grow with every failure that follows another."""
        self._response.close()
        self._failures += 1
        if self._failures > _RESUMES:
            if problem is not None:
                raise self._explain(problem) from problem
            raise DigestMismatch(
                f"the registry sends {self._position} bytes of {self._blob.digest}, whose manifest "
                f"says {self._blob.size}"
            )
        _log.info("%s: going on at byte %s", self._blob.digest, self._position)
        time.sleep(pause(self._failures))
        self._response = self._ask(self._position)

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the blob in pieces, each of them valid until the next one is asked for."""
        buffer = memoryview(bytearray(_BUFFER))
        while size := self.readinto(buffer):
            yield buffer[:size]

    def __enter__(self) -> BlobStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
