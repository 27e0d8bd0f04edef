"""Deltas: a layer as its difference to older layers, from which it is rebuilt byte for byte.

A layer that is built again is a new blob, even if nearly all of its content was in the old layer. A
delta contains two differences: the difference of the content, and the difference of the choices
that the compressor made. Together they give back the exact bytes of the new blob, without the
compressor.

The functions here need the packages of ``docker-charon[deltas]``, and raise `DeltaError` if one is
missing. They work on files and use one core and at most 300 MB of memory, for layers of any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from docker_charon.deltas.extra import require_extra

if TYPE_CHECKING:
    from docker_charon.deltas.header import Delta
    from docker_charon.deltas.layer import SplitLayer


def open_layer(path: Path, directory: Path | None = None) -> SplitLayer:
    """Take a layer apart once, to use it for several deltas.

    ``path`` is a blob: gzip of any compressor with any number of members, or a tar. Use the result
    as a context manager, or close it. Its temporary files in ``directory`` (default:
    `tempfile.gettempdir`) take about 1.3 times the unpacked size of the layer.

    Raises `UnfitLayer`, which is a `DeltaError`, if the blob is neither gzip nor a tar, or damaged.
    """
    require_extra()
    from docker_charon.deltas.layer import SplitLayer

    return SplitLayer(path, directory)


def shared_sectors(new: SplitLayer, old: SplitLayer) -> float:
    """Return the share of the content of ``new`` that ``old`` contains too, from 0 to 1.

    This is much faster than making a delta, and shows which of several old layers is the best one.
    """
    from docker_charon.deltas import bases

    return bases.shared_sectors(new, old)


def make_delta(
    new: Path | SplitLayer,
    olds: Sequence[Path | SplitLayer],
    target: Path,
    *,
    directory: Path | None = None,
    most: float = 0.8,
) -> Delta | None:
    """Write the delta from which ``new`` is rebuilt with the help of ``olds``.

    Args:
        new: the new blob, or the result of `open_layer` for it.
        olds: blobs that the receiver has, the best one first. Blobs that add nothing are left out.
        target: the file to write. It exists afterwards only if a delta is returned.
        directory: for temporary files, about 1.3 times the unpacked size of all layers.
        most: the largest size of the delta, as a share of the size of the new blob.

    Returns:
        The digests and sizes. ``None`` if the blob should travel whole: the old layers share too
        little, the delta is larger than ``most``, or the blob is neither gzip nor a tar.

    Raises:
        DeltaError: a file cannot be read or written, or the layer that was rebuilt from the delta,
            to verify it, was not the new one.
    """
    require_extra()
    from docker_charon.deltas import construction

    return construction.make(new, olds, target, directory, most)


def apply_delta(
    delta: Path,
    olds: Mapping[str, Path],
    target: Path,
    *,
    directory: Path | None = None,
) -> None:
    """Write the new blob to ``target``, rebuilt from a delta and old blobs.

    The digests of the old blobs are checked first and the digest of the new blob is checked last,
    against the header of the delta. The caller must check that the header names the blob that it
    wants (`read_header`).

    Args:
        delta: a file that `make_delta` wrote. Its origin need not be trusted.
        olds: the old blobs by digest. There may be more of them than the delta needs.
        target: the file to write. It does not exist after a failure.
        directory: for temporary files, `DeltaHeader.temporary_bytes` of them.

    Raises:
        DeltaError: an old blob is missing or does not match its digest, the delta is damaged, or a
            file cannot be read or written.
    """
    require_extra()
    from docker_charon.deltas import reconstruction

    reconstruction.apply(delta, olds, target, directory)
