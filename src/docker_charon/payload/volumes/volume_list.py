"""The list of volumes: the files of a given size that a payload was cut into.

The payload ``payload.zip`` becomes ``payload.zip.001``, ``payload.zip.002`` and so on; joined in
this order, they are the single file. ``payload.zip.volumes.json`` lists them::

    {"format_version": 1,
     "size": BYTES OF THE PAYLOAD,
     "sha256": HEX of the payload, or null when not all volumes were at hand to compute it,
     "volume_size": BYTES OF EVERY VOLUME BUT THE LAST,
     "metadata_sha256": HEX of what the payload begins with: its metadata and manifests,
     "volumes": [{"name": NAME, "size": BYTES, "sha256": HEX, "sample": HEX}, ...]}

``sample`` is the SHA-256 of 16 blocks of a volume, evenly spaced from its start to its end. It
distinguishes volumes without reading all of them. The names are for people: the reader derives
them from the name of the list.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docker_charon.errors import PayloadError
from docker_charon.oci.document import parse_json
from docker_charon.payload.random_access import file_errors
from docker_charon.special_file import read_all
from docker_charon.value import dataclass
from docker_charon.written_text import decoded

FORMAT_VERSION = 1
MOST_VOLUMES = 999
"""A payload has at most this many volumes: their numbers have three digits."""

COPY_AGAIN = "copy it from its source again"
"""What to do about a damaged volume."""

_LONGEST_LIST = 1024 * 1024  # bytes; 999 volumes take a third of it
_HEX = "[0-9a-f]{64}"


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
    with file_errors(f"cannot read {path}"):
        try:
            return VolumeList.parse(decoded(read_all(path, _LONGEST_LIST)).encode())
        except ValueError as error:
            raise PayloadError(
                f"{path} is not a list of volumes: {error}", hint=COPY_AGAIN
            ) from error
