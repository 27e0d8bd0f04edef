"""A layer, taken apart into temporary files: its raw bytes and its structure."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType

from docker_charon.deltas.codes import DeflateError
from docker_charon.deltas.failure import damaged, delta_file_errors
from docker_charon.deltas.header import DeltaLayer
from docker_charon.deltas.inflate import read_structure
from docker_charon.deltas.raw import is_gzip, raw_chunks
from docker_charon.deltas.sectors import SectorIndex
from docker_charon.deltas.structure import plain_rows
from docker_charon.deltas.structure_file import StructureFile, most_rows
from docker_charon.errors import DeltaError, UnfitLayer

_CHUNK = 1 << 20


class SplitLayer:
    """The raw bytes and the structure of a layer, in temporary files that `close` deletes.

    The raw bytes are unpacked at once. The structure takes much longer to read; it is read when it
    is first needed, and kept. The files are written to ``directory`` (default:
    `tempfile.gettempdir`). If ``expected`` is given, the layer must have its digest and sizes.

    Raises `UnfitLayer` if the layer cannot be taken apart, and `DeltaError` if it is not the
    expected one or if there is no room for the files.
    """

    def __init__(
        self, path: Path, directory: Path | None = None, expected: DeltaLayer | None = None
    ) -> None:
        self.path = path
        self.raw_size = 0
        self._expected = expected
        self._kept = 0
        with self._errors_named(), ExitStack() as stack:
            self.digest, self.size = _digest_and_size(path)
            if expected and (self.digest, self.size) != (expected.digest, expected.size):
                raise DeltaError(
                    f"the layer {expected.digest} of {expected.size:,} bytes is damaged: it has "
                    f"{self.size:,} bytes with the digest {self.digest}",
                    hint="fetch that layer again",
                )
            self._raw, self._headers, self._records = (
                stack.enter_context(tempfile.TemporaryFile(dir=directory)) for _ in range(3)
            )
            self._keep_raw()
            self._files = stack.pop_all()

    def __enter__(self) -> SplitLayer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the temporary files."""
        self._files.close()

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        what = f"cannot take the layer {self.path.name} apart"
        try:
            with delta_file_errors(what):
                yield
        except DeflateError as error:
            raise UnfitLayer(f"{what}: it is {error}") from error

    def _count(self, size: int) -> None:
        self._kept += size
        if self._expected and self._kept > self._expected.split_size:
            raise damaged(
                f"{self.digest} takes more than the {self._expected.split_size:,} bytes of "
                "temporary files that its header says"
            )

    def _keep_raw(self) -> None:
        for chunk in raw_chunks(self.path):
            self._count(len(chunk))
            self.raw_size += len(chunk)
            self._raw.write(chunk)

    @cached_property
    def sectors(self) -> SectorIndex:
        """The layer's sectors, which only the maker of a delta needs."""
        sectors = SectorIndex()
        with self._errors_named():
            for start in range(0, self.raw_size, _CHUNK):
                sectors.add(self.raw(start, start + _CHUNK))
        return sectors

    @cached_property
    def structure(self) -> StructureFile:
        """The layer's structure."""
        structure = StructureFile(self._headers, self._records, self._count, most_rows(self.size))
        with self._errors_named():
            if is_gzip(self.path):
                read_structure(self.path, structure.add)
            else:
                for row in plain_rows(self.raw_size):
                    structure.add(row)
            if structure.raw_size != self.raw_size:
                raise DeflateError("a gzip file whose tokens do not give its content")
        return structure

    @property
    def description(self) -> DeltaLayer:
        """The layer's digest and sizes."""
        _ = self.structure  # whose size is part of it
        return DeltaLayer(self.digest, self.size, self.raw_size, self._kept)

    def raw(self, start: int, end: int) -> bytes:
        """Return raw bytes."""
        self._raw.seek(start)
        return self._raw.read(end - start)


def _digest_and_size(path: Path) -> tuple[str, int]:
    """Return the SHA-256 digest of a file, as ``sha256:...``, and its size."""
    hasher, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
            size += len(chunk)
    return f"sha256:{hasher.hexdigest()}", size
