"""A layer delta: a blob that a payload carries as its difference to older blobs.

``payload_descriptor.json`` has this key only if there are any::

    {"layer_deltas": {DIGEST of a blob: {"size": BYTES of the delta,
                                         "bases": {DIGEST of an older blob:
                                                   {"size": BYTES,
                                                    "repositories": [NAME, ...]}, ...}}, ...}}

The delta of a blob is the entry ``deltas/sha256/HEX``, named after the blob. The bases are expected
at the destination, in one of their repositories.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from docker_charon.errors import PayloadError
from docker_charon.oci.descriptor import LARGEST_SIZE
from docker_charon.oci.digest import Digest
from docker_charon.oci.reference import check_named_repository
from docker_charon.value import dataclass

LAYER_DELTAS = "layer_deltas"
"""The key in ``payload_descriptor.json``."""

_SIZE, _BASES, _REPOSITORIES = "size", "bases", "repositories"


@dataclass(frozen=True, slots=True)
class Base:
    """An older blob: its size in bytes, and the repositories of the destination that have it."""

    size: int
    repositories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerDelta:
    """The size in bytes of the delta of a blob, and the older blobs that it is rebuilt from."""

    size: int
    bases: Mapping[Digest, Base]

    def as_json(self) -> dict[str, Any]:
        """Return the value for one blob under the key ``layer_deltas``."""
        return {
            _SIZE: self.size,
            _BASES: {
                digest: {_SIZE: base.size, _REPOSITORIES: base.repositories}
                for digest, base in self.bases.items()
            },
        }


def bases_of(deltas: Mapping[Digest, LayerDelta]) -> Iterator[tuple[Digest, Base]]:
    """Yield the bases of all deltas with their digests, a base of several ones several times."""
    for delta in deltas.values():
        yield from delta.bases.items()


def count_bases(deltas: Mapping[Digest, LayerDelta]) -> int:
    """Return how many blobs deltas name: their own and their bases, each time that it is named."""
    return sum(1 + len(delta.bases) for delta in deltas.values())


def parse_layer_deltas(value: Any, registries: Collection[str]) -> dict[Digest, LayerDelta]:
    """Parse the value of the key ``layer_deltas``; raise `PayloadError` if it is not valid.

    ``registries`` may stand in front of repositories.
    """
    from docker_charon.deltas.header import MOST_BASES  # few payloads need it

    deltas = {}
    for name, members in _object(value).items():
        bases = {
            Digest(digest): Base(_size(base), _repositories(base, registries))
            for digest, base in _object(_object(members).get(_BASES)).items()
        }
        digest = Digest(name)
        if not bases or digest in bases:
            raise PayloadError(f"the delta of {digest} has no base, or is based on itself")
        if len(bases) > MOST_BASES:
            raise PayloadError(f"the delta of {digest} has more than {MOST_BASES} bases")
        deltas[digest] = LayerDelta(_size(members), bases)
    return deltas


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PayloadError(f"a part of {LAYER_DELTAS} is not a JSON object")
    return value


def _size(value: Any) -> int:
    size = _object(value).get(_SIZE)
    if type(size) is not int or not 0 <= size <= LARGEST_SIZE:
        raise PayloadError(f"a size in its {LAYER_DELTAS} is not a number of bytes")
    return size


def _repositories(value: Any, registries: Collection[str]) -> tuple[str, ...]:
    names = _object(value).get(_REPOSITORIES)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise PayloadError(f"the repositories of a base in its {LAYER_DELTAS} are not a list")
    return tuple(check_named_repository(name, registries) for name in names)
