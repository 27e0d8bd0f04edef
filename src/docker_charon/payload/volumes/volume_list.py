"""Volumes: the bytes of a payload, cut into files of a given size, and the list of these files.

The payload ``payload.zip`` becomes ``payload.zip.001``, ``payload.zip.002`` and so on; joined in
this order, they are the single file. ``payload.zip.volumes.json`` lists them::

    {"format_version": 1,
     "size": BYTES OF THE PAYLOAD,
     "sha256": HEX of the payload, or null when not all volumes were at hand to compute it,
     "volume_size": BYTES OF EVERY VOLUME BUT THE LAST,
     "metadata_sha256": HEX of what the payload begins with: its metadata and manifests,
     "volumes": [{"name": NAME, "size": BYTES, "sha256": HEX, "sample": HEX}, ...]}

``sample`` is the SHA-256 of `SAMPLES` blocks of a volume, evenly spaced from its start to its end.
It distinguishes volumes without reading all of them. The names are for people: the reader derives
them from the name of the list.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.oci.document import parse_json
from docker_charon.payload.random_access import RandomAccess, file_errors
from docker_charon.progress import Progress, ProgressArgument
from docker_charon.value import dataclass

LIST_SUFFIX = ".volumes.json"
FORMAT_VERSION = 1
MOST_VOLUMES = 999
"""A payload has at most this many volumes: their numbers have three digits."""

SAMPLES = 16
"""A sample has this many blocks of a volume."""

COPY_AGAIN = "copy it from its source again"
"""What to do about a damaged volume."""

_SAMPLE_BLOCK = 4096  # bytes
_BUFFER = 256 * 1024
_LONGEST_LIST = 1024 * 1024  # bytes; 999 volumes take a third of it
_FAT_LIMIT = 4 * 1024**3
_NUMBERED = re.compile(r"(.+)\.(\d{3})", re.DOTALL)
_SIZE = r"(?ai)(\d+(?:\.\d+)?) ?([kmgt]?)(i?b)?"
_HEX = "[0-9a-f]{64}"


def parse_size(text: str) -> int:
    """Return a size in bytes, as people write it: ``4G``, ``4.7GB``, ``700MiB``, ``1000000``.

    ``K``, ``M``, ``G`` and ``T`` are powers of 1024, as 7-Zip means them, and so are ``KiB``,
    ``MiB``, ``GiB`` and ``TiB``. ``KB``, ``MB``, ``GB`` and ``TB`` are powers of 1000, as the
    makers of media mean them. Case does not matter. 4 GiB, however it is written, is one byte less:
    the largest file that FAT32 can hold.

    Raises `DockerCharonError` for anything else.
    """
    match = re.fullmatch(_SIZE, text.strip())
    if match is None:
        raise DockerCharonError(f"{text!r} is not a size", hint="write it as 4G, 4.7GB or 700MiB")
    from decimal import Decimal  # the names of volumes do not need it

    number, prefix, unit = match[1], match[2].upper(), (match[3] or "").lower()
    power = " KMGT".index(prefix or " ")
    size = int(Decimal(number) * (1000 if unit == "b" else 1024) ** power)
    return checked_size(size)


def checked_size(size: int) -> int:
    """Return the size of volumes in bytes: 4 GiB is one byte less (see `parse_size`).

    Raises `DockerCharonError` for a size that is not positive.
    """
    if size < 1:
        raise DockerCharonError("a volume has at least one byte", hint="write 4G, 4.7GB or 700MiB")
    return size - 1 if size == _FAT_LIMIT else size


def volume_path(base: Path, number: int) -> Path:
    """Return the path of a volume of the payload ``base``; the first one has the number 1."""
    return base.with_name(f"{base.name}.{number:03}")


def list_path(base: Path) -> Path:
    """Return the path of the list of the volumes of the payload ``base``."""
    return base.with_name(base.name + LIST_SUFFIX)


def base_and_number(path: Path) -> tuple[Path, int | None]:
    """Return the payload that a volume, or a list of volumes, belongs to; and its number.

    The number is ``None`` for a list, and for a path that is the payload's own.
    """
    if path.name.endswith(LIST_SUFFIX) and path.name != LIST_SUFFIX:
        return path.with_name(path.name.removesuffix(LIST_SUFFIX)), None
    match = _NUMBERED.fullmatch(path.name)
    if match is None or not int(match[2]):
        return path, None
    return path.with_name(match[1]), int(match[2])


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume as the list has it; ``size`` is in bytes, the digests are hexadecimal SHA-256."""

    name: str
    size: int
    sha256: str
    sample: str

    @classmethod
    def parse(cls, value: Any) -> Volume:
        """Return the volume that a JSON object describes; raise ``ValueError`` for others."""
        if not isinstance(value, dict):
            raise ValueError("a volume is not a JSON object")
        name = value.get("name")
        if not isinstance(name, str):
            raise ValueError("a volume's name is not a string")
        return cls(name, _size(value, "size"), _hex(value, "sha256"), _hex(value, "sample"))


@dataclass(frozen=True, slots=True)
class VolumeList:
    """The volumes of a payload, from the first to the last; see the module for the members."""

    size: int
    sha256: str | None
    volume_size: int
    metadata_sha256: str
    volumes: tuple[Volume, ...]

    def encode(self) -> bytes:
        """Return the list as a JSON document."""
        document = {"format_version": FORMAT_VERSION, **asdict(self)}
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> VolumeList:
        """Return the list in a JSON document; raise ``ValueError`` if it is not one."""
        document = parse_json(content)
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
        if document.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"it does not have the format {FORMAT_VERSION}")
        values = document.get("volumes")
        if not isinstance(values, list) or not 1 <= len(values) <= MOST_VOLUMES:
            raise ValueError(f"it does not have between 1 and {MOST_VOLUMES} volumes")
        sha256 = None if document.get("sha256") is None else _hex(document, "sha256")
        listed = cls(
            _size(document, "size"),
            sha256,
            _size(document, "volume_size"),
            _hex(document, "metadata_sha256"),
            tuple(Volume.parse(value) for value in values),
        )
        if [volume.size for volume in listed.volumes] != volume_sizes(
            listed.size, listed.volume_size
        ):
            raise ValueError("the sizes of its volumes do not fit together")
        return listed


def _size(value: dict[str, Any], key: str) -> int:
    size = value.get(key)
    if type(size) is not int or size < 1:
        raise ValueError(f"its {key} is not a number of bytes")
    return size


def _hex(value: dict[str, Any], key: str) -> str:
    digest = value.get(key)
    if not isinstance(digest, str) or not re.fullmatch(_HEX, digest):
        raise ValueError(f"its {key} is not a SHA-256")
    return digest


def volume_sizes(size: int, volume_size: int) -> list[int]:
    """Return the sizes of the volumes of a payload of ``size`` bytes.

    Raises ``ValueError`` when there are more than `MOST_VOLUMES`.
    """
    full, rest = divmod(size, volume_size)
    if full + bool(rest) > MOST_VOLUMES:
        raise ValueError(f"there are more than {MOST_VOLUMES} volumes")
    return [volume_size] * full + ([rest] if rest else [])


def read_list(path: Path) -> VolumeList:
    """Read a list of volumes; raise `PayloadError` when it cannot be read."""
    with file_errors(f"cannot read {path}"), path.open("rb") as file:
        content = file.read(_LONGEST_LIST + 1)
    try:
        if len(content) > _LONGEST_LIST:
            raise ValueError("it is too large")
        return VolumeList.parse(content)
    except ValueError as error:
        raise PayloadError(f"{path} is not a list of volumes: {error}", hint=COPY_AGAIN) from error


def sample(file: RandomAccess, size: int) -> str:
    """Return the SHA-256 of blocks of a volume of ``size`` bytes, as a hexadecimal number."""
    if size <= SAMPLES * _SAMPLE_BLOCK:
        return hashlib.sha256(file.read(size, 0)).hexdigest()
    digest = hashlib.sha256()
    for n in range(SAMPLES):
        digest.update(file.read(_SAMPLE_BLOCK, n * (size - _SAMPLE_BLOCK) // (SAMPLES - 1)))
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


def find_file(name: str, directories: Iterable[Path]) -> Path | None:
    """Return the first file of this name in the directories."""
    return next((path for folder in directories if (path := folder / name).is_file()), None)
