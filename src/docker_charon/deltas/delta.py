"""Deltas: a layer as its difference to older layers, from which it is rebuilt byte for byte.

A layer that was built again is a new blob, even if nearly all of its content was in the old one. A
delta carries two differences: that of the content, and that of the choices that the compressor
made. With both, the very bytes of the new blob come back, without the compressor.

The functions here need the packages of ``docker-charon[deltas]``, and raise `DeltaError` where they
are missing. They work on files, use one core, and take 300 MB of memory at the most, however large
the layer is.
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
    """Take a layer apart, to be used for several deltas; it is to be closed, or a context.

    ``path`` is a blob: gzip, of any compressor and any number of members, or a tar. Temporary files
    in ``directory`` (default: `tempfile.gettempdir`) take about 1.3 times what it holds unpacked.

    Raises `UnfitLayer`, a `DeltaError`, for what is neither, or damaged.
    """
    require_extra()
    from docker_charon.deltas.layer import SplitLayer

    return SplitLayer(path, directory)


def shared_sectors(new: SplitLayer, old: SplitLayer) -> float:
    """Return which share of the content of ``new`` is in ``old`` too, from 0 to 1.

    It takes seconds less than a delta does, and is how to choose among old layers.
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
    """Write to ``target`` the delta that makes ``new`` of ``olds``.

    Args:
        new: the blob to be rebuilt, or what `open_layer` returned for it.
        olds: blobs that the receiver has, the best one first; those that do not help are left out.
        target: the file to write; it is not there unless a delta is returned.
        directory: where temporary files go, about 1.3 times what all layers hold unpacked.
        most: how large the delta may be, as a share of the blob.

    Returns:
        The digests and sizes; ``None`` where the blob should travel as it is: the old layers do not
        help, the delta would be larger than ``most``, or ``new`` is neither gzip nor a tar.

    Raises:
        DeltaError: no room for the temporary files, or for the delta.
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
    """Write to ``target`` the blob that ``delta`` makes of old ones.

    The digests of the old blobs are checked first, and that of the new one last, against what the
    delta's header says (`read_header`): it is for the caller to compare that with what was wanted.

    Args:
        delta: a file that `make_delta` wrote, from whomever it comes.
        olds: the old blobs by digest; others than the delta's bases may be among them.
        target: the file to write; it is not there after a failure.
        directory: where temporary files go, `DeltaHeader.temporary_bytes` of them.

    Raises:
        DeltaError: an old blob is missing or is not what its digest says, the delta is damaged, or
            there is no room.
    """
    require_extra()
    from docker_charon.deltas import reconstruction

    reconstruction.apply(delta, olds, target, directory)
