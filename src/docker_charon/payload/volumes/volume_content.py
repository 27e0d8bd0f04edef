"""The content of a volume, compared with the list of volumes: a sample of it, or every byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.payload.random_access import RandomAccess, file_errors
from docker_charon.payload.volumes.volume_list import COPY_AGAIN, VolumeList, read_list
from docker_charon.payload.volumes.volume_names import base_and_number
from docker_charon.progress import Progress, ProgressArgument

_SAMPLES = 16
"""A sample has this many blocks of a volume."""

_SAMPLE_BLOCK = 4096  # bytes
_BUFFER = 256 * 1024


def sample(file: RandomAccess, size: int) -> str:
    """Return the SHA-256 of blocks of a volume of ``size`` bytes, as a hexadecimal number."""
    if size <= _SAMPLES * _SAMPLE_BLOCK:
        return hashlib.sha256(file.read(size, 0)).hexdigest()
    digest = hashlib.sha256()
    for n in range(_SAMPLES):
        digest.update(file.read(_SAMPLE_BLOCK, n * (size - _SAMPLE_BLOCK) // (_SAMPLES - 1)))
    return digest.hexdigest()


def pieces(file: RandomAccess, size: int) -> Iterator[memoryview]:
    """Yield the first ``size`` bytes of a file; a piece is valid until the next one."""
    buffer = memoryview(bytearray(min(_BUFFER, size)))
    done = 0
    while done < size and (count := file.readinto(buffer[: size - done], done)):
        yield buffer[:count]
        done += count


def difference(path: Path, number: int, listed: VolumeList) -> str:
    """Return why a file cannot be the volume with this number, by size and sample; or ``""``.

    Raises ``OSError`` when the file cannot be read.
    """
    expected = listed.volumes[number - 1]
    size = path.stat().st_size
    with path.open("rb") as file:
        actual = sample(RandomAccess(file), size)
    if (size, actual) == (expected.size, expected.sample):
        return ""
    for other, volume in enumerate(listed.volumes, 1):
        if (size, actual) == (volume.size, volume.sample):
            return f"{path} is the volume {other:03} of this payload"
    if size != expected.size:
        return f"{path} has {size:,} bytes instead of {expected.size:,}"
    return f"{path} is damaged, or of another payload"


def verify_volume(path: Path, list_file: Path, *, progress: ProgressArgument = None) -> None:
    """Compare one volume with the list of volumes, from its first byte to its last.

    ``progress`` is that of `verify_payload`. Raises `PayloadError` if the volume is not as listed,
    or cannot be read.
    """
    listed = read_list(list_file)
    _, number = base_and_number(path)
    if number is None or number > len(listed.volumes):
        raise PayloadError(f"{path} is not in {list_file}, which has {len(listed.volumes)} volumes")
    volume = listed.volumes[number - 1]
    with file_errors(f"cannot read {path}"):
        problem = difference(path, number, listed)
        with path.open("rb") as file, Progress("verifying", {}, {}, progress) as shown:
            shown.grow(volume.size)
            digest = hashlib.sha256()
            for piece in pieces(RandomAccess(file), 0 if problem else volume.size):
                digest.update(piece)
                shown.moved(len(piece))
    if not problem and digest.hexdigest() != volume.sha256:
        problem = f"{path} is damaged"
    if problem:
        raise PayloadError(problem, hint=COPY_AGAIN)
