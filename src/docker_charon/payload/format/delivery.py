"""A delivery: which one of its ledger a payload is, and what a receipt says of its arrival.

``payload_descriptor.json`` has these keys only in the files that need them::

    {"ledger": {"number": N, counted from 1,
                "previous": DIGEST of the ledger file before, or null for the first delivery,
                "brought": {N: [DIGEST of what delivery N brought to the destination, ...]},
                "history": ["previous" of each delivery so far, ...] in a ledger only,
                "arrived": [N of each delivery of which a receipt has shown something, ...]
                in a ledger that has any},
     "receipt": {"registry": HOST, "missing_blobs": {DIGEST: [REPOSITORY, ...], ...},
                 "missing_images": {IMAGE: {"digest": DIGEST or null, "reason": TEXT}, ...}}
                in a receipt only}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any

from docker_charon.errors import PayloadError
from docker_charon.oci.digest import Digest
from docker_charon.oci.reference import check_named_repository
from docker_charon.value import dataclass

LEDGER, RECEIPT = "ledger", "receipt"
"""The keys in ``payload_descriptor.json``."""

_NUMBER, _PREVIOUS, _BROUGHT, _HISTORY = "number", "previous", "brought", "history"
_ARRIVED = "arrived"
_REGISTRY, _BLOBS, _IMAGES = "registry", "missing_blobs", "missing_images"
_DIGEST, _REASON = "digest", "reason"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The place of a payload in a ledger, the series of deliveries to one site.

    ``number`` counts from 1; a ledger has that of the last delivery in it. ``previous`` is the
    SHA-256 digest of the ledger file from which the payload was made, or ``None`` if there was none
    yet. ``brought`` has, for blobs that the destination is expected to have, the number of the
    delivery that carried each; it is unknown for others. In a ledger, ``brought`` also has the
    last delivery of each image, by its digest, and ``history`` the ``previous`` of every delivery;
    otherwise ``history`` is ``None``. ``arrived`` are the deliveries of a ledger of which a receipt
    has shown something at the destination.
    """

    number: int
    previous: Digest | None
    brought: Mapping[Digest, int] = field(default_factory=dict)
    history: tuple[Digest | None, ...] | None = None
    arrived: frozenset[int] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """Return the value of the key ``ledger``."""
        brought: dict[str, list[Digest]] = {}
        for digest, number in sorted(self.brought.items(), key=lambda item: (item[1], item[0])):
            brought.setdefault(str(number), []).append(digest)
        document: dict[str, Any] = {
            _NUMBER: self.number,
            _PREVIOUS: self.previous,
            _BROUGHT: brought,
        }
        if self.history is not None:
            document[_HISTORY] = list(self.history)
        if self.arrived:
            document[_ARRIVED] = sorted(self.arrived)
        return document

    @classmethod
    def parse(cls, value: Any) -> Delivery:
        """Parse the value of the key ``ledger``; raise `PayloadError` if it is not valid."""
        document = _members(LEDGER, value)
        history = document.get(_HISTORY)
        brought = {
            Digest(digest): _number(number)
            for number, digests in _members(_BROUGHT, document.get(_BROUGHT)).items()
            for digest in _items(_BROUGHT, digests)
        }
        number = _number(document.get(_NUMBER))
        if history is not None and len(_items(_HISTORY, history)) != number:
            raise PayloadError(f"its {LEDGER} has {len(history)} deliveries instead of {number}")
        return cls(
            number,
            _optional_digest(document.get(_PREVIOUS)),
            brought,
            None if history is None else tuple(map(_optional_digest, history)),
            frozenset(map(_number, _items(_ARRIVED, document.get(_ARRIVED, [])))),
        )


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image that has not arrived: the digest that it has in the payload, and why."""

    digest: Digest | None
    reason: str

    @classmethod
    def parse(cls, value: Any) -> MissingImage:
        """Parse an image of a receipt; raise `PayloadError` if it is not valid."""
        document = _members(_IMAGES, value)
        return cls(_optional_digest(document.get(_DIGEST)), _text(document.get(_REASON)))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a receipt says beside its inventory: what of a payload has not arrived at a registry.

    ``registry`` is its ``host`` or ``host:port``. ``missing_blobs`` has the repositories that lack
    a blob, both those that the payload carried and those that it counted on. ``missing_images`` are
    the images that the registry does not have as they are in the payload. All repositories and
    images have the names that they have in the payload, without a prefix.
    """

    registry: str
    missing_blobs: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)
    missing_images: Mapping[str, MissingImage] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the value of the key ``receipt``."""
        return {
            _REGISTRY: self.registry,
            _BLOBS: {digest: list(names) for digest, names in sorted(self.missing_blobs.items())},
            _IMAGES: {
                name: {_DIGEST: missing.digest, _REASON: missing.reason}
                for name, missing in self.missing_images.items()
            },
        }

    @classmethod
    def parse(cls, value: Any, registries: Collection[str] = ()) -> Arrival:
        """Parse the value of the key ``receipt``; raise `PayloadError` if it is not valid.

        ``registries`` may stand in front of repositories.
        """
        document = _members(RECEIPT, value)
        blobs = _members(_BLOBS, document.get(_BLOBS))
        images = _members(_IMAGES, document.get(_IMAGES))
        return cls(
            _text(document.get(_REGISTRY)),
            {Digest(digest): _repositories(names, registries) for digest, names in blobs.items()},
            {name: MissingImage.parse(missing) for name, missing in images.items()},
        )


def _members(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PayloadError(f"its {key} is not a JSON object")
    return value


def _items(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PayloadError(f"its {key} is not a list")
    return value


def _repositories(value: Any, registries: Collection[str]) -> tuple[str, ...]:
    names = map(_text, _items(_BLOBS, value))
    return tuple(check_named_repository(name, registries) for name in names)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PayloadError(f"its {RECEIPT} has something else where text belongs")
    return value


def _number(value: Any) -> int:
    """Return the number of a delivery; as the key of a JSON object it is text."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise PayloadError("the number of a delivery is not a number")
    return int(text)


def _optional_digest(value: Any) -> Digest | None:
    return None if value is None else Digest(value)
