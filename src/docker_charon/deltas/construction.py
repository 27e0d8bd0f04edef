"""Makes a delta from a new layer and old layers if it saves enough, and verifies it at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from docker_charon.deltas.bases import Bases, sectors_by_base
from docker_charon.deltas.failure import delta_file_errors
from docker_charon.deltas.frames import compress
from docker_charon.deltas.header import (
    MOST_BASES,
    Delta,
    DeltaHeader,
    header_bytes,
    read_header,
)
from docker_charon.deltas.layer import SplitLayer
from docker_charon.deltas.piece import piece_bytes
from docker_charon.deltas.reconstruction import rebuild
from docker_charon.errors import UnfitLayer

_LEAST_SHARED = 0.02
"""The share of the new sectors in the old layers below which samples decide."""

_SAMPLES = 8
_SAMPLE = 256 * 1024
_AROUND_SAMPLE = 8 * 1024 * 1024
_MOST_OF_SAMPLE = 0.7
"""How large samples may be with the old content, compared to without it."""

_LEAST_OF_BASE = 0.01
"""The share of the new sectors that an old layer must add to those before it to be used."""


class _NotWorthIt(Exception):
    """The delta becomes larger than it may be."""


def make(
    new: Path | SplitLayer,
    olds: Sequence[Path | SplitLayer],
    target: Path,
    directory: Path | None = None,
    most: float = 0.8,
) -> Delta | None:
    """Write a delta; see `docker_charon.deltas.make_delta`."""
    with delta_file_errors(f"cannot make the delta {target}"), ExitStack() as stack:
        layers: list[SplitLayer] = []
        for layer in (new, *olds):
            try:
                if isinstance(layer, Path):
                    layer = stack.enter_context(SplitLayer(layer, directory))
                layers.append(layer)
            except UnfitLayer:
                if layer is new:
                    return None
        new_layer, *old_layers = layers
        bases = Bases(_useful(new_layer, old_layers)[:MOST_BASES])
        if not bases.granules or not _is_promising(new_layer, bases):
            return None
        try:
            header = _write(new_layer, bases, target, int(most * new_layer.size))
            _verify(target, bases)
        except BaseException as error:
            target.unlink(missing_ok=True)
            if isinstance(error, (_NotWorthIt, UnfitLayer)):
                return None
            raise
        return Delta(header.new, header.bases, target.stat().st_size)


def _useful(new: SplitLayer, olds: Sequence[SplitLayer]) -> list[SplitLayer]:
    """Return the old layers that add content to those before them, or else only the first one."""
    shares = sectors_by_base(new, olds)
    useful = [old for old, share in zip(olds, shares, strict=True) if share >= _LEAST_OF_BASE]
    return useful or list(olds[:1])


def _is_promising(new: SplitLayer, bases: Bases) -> bool:
    """Return whether the old content makes the new content smaller, judged without any tokens."""
    if sectors_by_base(new, bases.layers).sum() >= _LEAST_SHARED:
        return True
    alone = helped = 0
    for n in range(_SAMPLES):
        share = (n + 0.5) / _SAMPLES
        start = int(share * new.raw_size)
        sample = new.raw(start, start + _SAMPLE)
        old = bases.layers[0]
        start = int(share * old.raw_size)
        around = old.raw(max(start - _AROUND_SAMPLE, 0), start + _AROUND_SAMPLE)
        alone += len(compress(sample, b""))
        helped += len(compress(sample, around))
    return helped <= _MOST_OF_SAMPLE * alone


def _write(new: SplitLayer, bases: Bases, target: Path, most: int) -> DeltaHeader:
    """Write a delta of no more than ``most`` bytes; raise `_NotWorthIt` for a larger one."""
    with target.open("wb") as file:
        structure = new.structure
        header = DeltaHeader(new.description, tuple(base.description for base in bases.layers))
        file.write(header_bytes(header))
        for rows in structure.pieces():
            start, end = structure.raw_range(rows)
            raw = new.raw(start, end)
            extents = bases.choose(raw, start, start / max(new.raw_size, 1))
            file.write(piece_bytes(raw, structure.part(rows), bases, extents))
            if file.tell() > most:
                raise _NotWorthIt
    return header


def _verify(delta: Path, bases: Bases) -> None:
    """Rebuild the layer, and raise `DeltaError` if it is not the right one."""
    with delta.open("rb") as file:
        rebuild(file, read_header(file), bases, lambda data: None)
