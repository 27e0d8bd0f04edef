"""Rebuilds the new layer from a delta and its old layers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from docker_charon.deltas.bases import Bases
from docker_charon.deltas.codes import DeflateError
from docker_charon.deltas.deflate import LayerWriter
from docker_charon.deltas.failure import damaged, delta_file_errors
from docker_charon.deltas.header import DeltaHeader, DeltaLayer, read_header
from docker_charon.deltas.layer import SplitLayer
from docker_charon.deltas.piece import read_piece
from docker_charon.deltas.structure_file import fills_piece, most_rows
from docker_charon.errors import DeltaError, UnfitLayer


class _Output:
    """Hashes the new layer while it is written, and stops where it becomes too large."""

    def __init__(self, expected: DeltaLayer, write: Callable[[bytes], object]) -> None:
        self._expected = expected
        self._write = write
        self._hasher = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._expected.size:
            raise damaged("it produces more bytes than its header says")
        self._hasher.update(data)
        self._write(data)

    def check(self) -> None:
        digest = f"sha256:{self._hasher.hexdigest()}"
        if (digest, self.size) != (self._expected.digest, self._expected.size):
            raise damaged(
                f"it produces {digest} of {self.size:,} bytes instead of "
                f"{self._expected.digest} of {self._expected.size:,} bytes"
            )


def rebuild(
    delta: IO[bytes], header: DeltaHeader, bases: Bases, write: Callable[[bytes], object]
) -> None:
    """Pass the new layer to ``write`` in order; ``delta`` is at its first piece.

    Raises `DeltaError` unless this is exactly the layer that the header names.
    """
    output = _Output(header.new, write)
    layer = LayerWriter(output.write)
    raw_left, rows_left = header.new.raw_size, most_rows(header.new.size)
    is_last = False
    while piece := read_piece(delta, bases):
        raw, structure = piece
        raw_left -= len(raw)
        rows_left -= structure.row_count
        if is_last or raw_left < 0 or rows_left < 0:  # it would cost more than its header says
            raise damaged("it has too many pieces")
        is_last = not fills_piece(raw, structure)
        try:
            layer.write_rows(structure.rows, structure.headers, structure.records, raw)
        except DeflateError as error:
            raise damaged(f"it has {error}") from error
    output.check()


def apply(
    delta: Path, olds: Mapping[str, Path], target: Path, directory: Path | None = None
) -> None:
    """Write the new layer; see `docker_charon.deltas.apply_delta`."""
    what = f"cannot rebuild a layer from {delta} into {target}"
    with delta_file_errors(what), delta.open("rb") as file, ExitStack() as stack:
        header = read_header(file)
        layers = [stack.enter_context(_base(base, olds, directory)) for base in header.bases]
        try:
            with target.open("wb") as output:
                rebuild(file, header, Bases(layers), output.write)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _base(base: DeltaLayer, olds: Mapping[str, Path], directory: Path | None) -> SplitLayer:
    """Check the digest of an old layer, and take the layer apart."""
    path = olds.get(base.digest)
    if path is None:
        raise DeltaError(
            f"the delta needs the layer {base.digest}, which is missing",
            hint="give that layer as one of the old layers",
        )
    try:
        return SplitLayer(path, directory, expected=base)
    except UnfitLayer as error:
        raise damaged(error.message) from error
