"""A recipe: the delta of a blob, in a payload, and the blobs that it is applied to.

These may come as deltas too, each in the same payload or in another one, and so on.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from docker_charon.deltas.header import LONGEST_HEADER, DeltaHeader, read_header
from docker_charon.errors import DeltaError, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.archives.damage import damaged
from docker_charon.payload.format.layer_delta import LayerDelta
from docker_charon.payload.reader import Payload


@dataclass(frozen=True, eq=False)
class Recipe:
    """How ``blob`` is rebuilt: from its ``delta`` in ``payload``, and the bases of that."""

    payload: Payload
    blob: Descriptor
    delta: LayerDelta

    @cached_property
    def header(self) -> DeltaHeader:
        """The header of the delta, which says the same as the payload and its manifests.

        Raises `PayloadError` if it does not, or if it cannot be read.
        """
        start = bytearray()
        for chunk in self.payload.delta_chunks(self.blob.digest):
            start += chunk[:LONGEST_HEADER]
            if len(start) >= LONGEST_HEADER:
                break
        try:
            header = read_header(io.BytesIO(start))
        except DeltaError as error:
            raise self.damaged(error.message) from None
        if (header.new.digest, header.new.size) != (self.blob.digest, self.blob.size):
            raise self.damaged(
                f"it gives {header.new.digest} of {header.new.size:,} bytes, where the manifest "
                f"says {self.blob.size:,}"
            )
        bases = {digest: base.size for digest, base in self.delta.bases.items()}
        if {base.digest: base.size for base in header.bases} != bases:
            raise self.damaged("it names other bases than the payload")
        return header

    @property
    def temporary_size(self) -> int:
        """The most bytes that files take while the blob is rebuilt, without it and its bases."""
        return self.delta.size + self.header.temporary_bytes

    def damaged(self, problem: str) -> PayloadError:
        """Return the error for a delta that does not give its blob."""
        return damaged(f"the delta of {self.blob.digest}: {problem}")


def recipes_in(payload: Payload) -> list[Recipe]:
    """Return the recipes of all blobs that a payload carries as deltas."""
    if not payload.deltas:
        return []  # most payloads have none
    blobs = {blob.digest: blob for image in payload.all_images for blob in image.blobs}
    return [Recipe(payload, blobs[digest], delta) for digest, delta in payload.deltas.items()]


class Recipes:
    """The recipes of all blobs that can be rebuilt from payloads and from ``others``.

    ``others`` are blobs that come from elsewhere. ``whole`` has the first payload that carries a
    blob as it is; the blobs in ``rebuilt`` are not in it, although a payload may carry them. A blob
    that is neither in ``whole`` nor in ``others`` has a recipe in ``by_digest`` if everything that
    the recipe needs is available. If several payloads have a delta of it, the first one that is
    possible is taken. So no recipe needs itself, and the time is linear in the number of bases.
    """

    def __init__(
        self,
        payloads: Iterable[Payload],
        others: Collection[Digest] = (),
        rebuilt: Collection[Digest] = (),
    ) -> None:
        self.whole: dict[Digest, Payload] = {}
        self.by_digest: dict[Digest, Recipe] = {}
        self._all: dict[Digest, list[Recipe]] = {}
        for payload in payloads:
            for digest in payload.carried:
                self.whole.setdefault(digest, payload)
            for recipe in recipes_in(payload):
                self._all.setdefault(recipe.blob.digest, []).append(recipe)
        for digest in rebuilt:
            self.whole.pop(digest, None)
        self._present = self.whole.keys() | set(others)
        self._choose()

    def _choose(self) -> None:
        """Choose recipes, beginning with those whose bases are all present."""
        waiting: dict[Digest, list[Recipe]] = {}
        lacking: dict[Recipe, int] = {}
        possible: list[Recipe] = []
        for recipe in (r for several in self._all.values() for r in several):
            absent = recipe.delta.bases.keys() - self._present
            lacking[recipe] = len(absent)
            for base in absent:
                waiting.setdefault(base, []).append(recipe)
            if not absent:
                possible.append(recipe)
        for recipe in possible:  # it grows meanwhile
            digest = recipe.blob.digest
            if digest in self._present or digest in self.by_digest:
                continue
            self.by_digest[digest] = recipe
            for dependent in waiting.get(digest, ()):
                lacking[dependent] -= 1
                if not lacking[dependent]:
                    possible.append(dependent)

    def has(self, digest: Digest) -> bool:
        """Whether a blob is available: carried, from elsewhere, or by a recipe."""
        return digest in self._present or digest in self.by_digest

    def order(self, digest: Digest, made: Collection[Digest] = ()) -> list[Recipe]:
        """Return the recipes for a blob in their order: bases first, it last.

        Those for blobs that are ``made`` already are left out, and those that only these need.
        """
        ordered: dict[Digest, Recipe] = {}
        waiting = [(digest, False)]
        while waiting:
            needed, bases_done = waiting.pop()
            recipe = self.by_digest.get(needed)
            if recipe is None or needed in ordered or needed in made:
                continue
            if bases_done:
                ordered[needed] = recipe
                continue
            waiting.append((needed, True))
            waiting += [(base, False) for base in recipe.delta.bases]
        return list(ordered.values())

    def check(self, digest: Digest) -> None:
        """Raise `PayloadError` if the header of a delta that a blob needs is wrong."""
        for recipe in self.order(digest):
            _ = recipe.header

    def missing(self, digest: Digest) -> list[Digest]:
        """Return the bases that are missing for a blob that comes as a delta, in any payload."""
        first = [base for recipe in self._all.get(digest, ()) for base in recipe.delta.bases]
        missing: dict[Digest, None] = {}
        seen = {digest}
        waiting = list(first)
        while waiting:
            needed = waiting.pop()
            if needed in seen or self.has(needed):
                continue
            seen.add(needed)
            recipes = self._all.get(needed, [])
            if not recipes:
                missing[needed] = None
            waiting += [base for recipe in recipes for base in recipe.delta.bases]
        # If deltas need each other in a circle, the next one of the circle is what is missing.
        return list(missing) or [base for base in first if not self.has(base)]
