"""A version in a tag: numbers, perhaps a pre-release, perhaps a variant such as ``-alpine``.

Tags of images follow Semantic Versioning only roughly. So more forms are versions than that
specification allows: ``v1.8``, ``2024.01``, ``1.2.3.4``, ``3.14.0rc1``, ``2025-03-26``. A suffix
that is not a known pre-release is a variant of the image, and ``-14`` is a rebuild.
"""

from __future__ import annotations

import re
from typing import Any

from docker_charon.value import dataclass

_PRE_RELEASE_WORDS = "alpha|beta|milestone|preview|pre|rc|cr"
_PRE_RELEASE = (
    rf"[-.]?(?P<word>{_PRE_RELEASE_WORDS})(?P<word_number>(?:[-.]?[0-9]+(?![0-9]))*)(?![a-z0-9])"
    r"|[-.](?P<dev>dev|m)(?P<dev_number>[-.]?[0-9]+)(?![a-z0-9])"
    r"|(?P<letter>[abc])(?P<letter_number>[0-9]+)(?![a-z0-9])"  # as Python has it: 3.14.0b1
)
_VERSION = (  # compiled when a choice of tags needs it
    r"v?(?:(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})(?![0-9])"
    r"(?:t(?P<time>[0-9]{2}(?:-?[0-9]{2}){1,2})z?)?"
    r"|(?P<numbers>[0-9]+(?:\.[0-9]+)*))"
    rf"(?:{_PRE_RELEASE})?"
    r"(?:[-.]?post-?(?P<post>[0-9]+)(?![a-z0-9])|[-.](?:final|ga|release)(?![a-z0-9]))?"
    r"(?:[_+](?P<build>[a-z0-9.]+))?"  # a tag cannot have a +, and Helm writes _ in its place
    r"(?:-(?P<revision>[0-9]+)(?:-g[0-9a-f]{7,40})?(?![a-z0-9.]))?"
    r"(?P<suffix>[-._+].*)?"
)
_ASKING = rf"(?<![a-z])(?:{_PRE_RELEASE_WORDS}|dev|m|a|b|c)(?![a-z])"
_SAME_WORDS = {"a": "alpha", "b": "beta", "c": "rc", "cr": "rc", "m": "milestone"}
_LONGEST_NUMBER = 5
"""Digits of a version that is a single number: longer ones are dates, counters and commits."""

_Natural = tuple[tuple[bool, int, str], ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A version. Versions are sorted by `key`.

    ``numbers`` are the numbers between dots, as many as were written; of a date, they are the day
    and the time. ``pre_release`` is its word and its numbers; the word is ``""`` for a release.
    ``after`` is what makes a later build of the same numbers: a post-release, build metadata, a
    rebuild. ``suffix`` is the variant with its separator, as it was written. ``is_date`` says
    whether it is a date or a long number without dots.
    """

    numbers: tuple[int, ...]
    pre_release: tuple[str, tuple[int, ...]]
    after: tuple[_Natural, ...]
    suffix: str
    is_date: bool

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Parse a tag; return ``None`` if it is not a version, such as ``latest``."""
        match = re.fullmatch(_VERSION, text, re.IGNORECASE)
        if match is None:
            return None
        is_date = match["numbers"] is None
        if is_date:
            clock = (match["time"] or "").replace("-", "")
            day = int(match["year"] + match["month"] + match["day"])
            numbers: tuple[int, ...] = (day, int(clock.ljust(6, "0")))
        else:
            numbers = tuple(map(int, match["numbers"].split(".")))
            is_date = len(numbers) == 1 and len(match["numbers"]) > _LONGEST_NUMBER
        word = (match["word"] or match["dev"] or match["letter"] or "").lower()
        number = match["word_number"] or match["dev_number"] or match["letter_number"] or ""
        word = _SAME_WORDS.get(word, word)
        later = (match["post"], match["build"], match["revision"])
        return cls(
            numbers,
            (word, tuple(map(int, re.findall(r"[0-9]+", number)))),
            tuple(natural(part or "") for part in later),
            match["suffix"] or "",
            is_date,
        )

    @property
    def is_pre_release(self) -> bool:
        """Whether it comes before the release with the same numbers."""
        return bool(self.pre_release[0])

    @property
    def is_exact(self) -> bool:
        """Whether it means one build, and not every build with its numbers."""
        return self.is_pre_release or any(self.after)

    @property
    def order(self) -> tuple[Any, ...]:
        """The key to compare versions of one variant by: ``1.8`` is the same as ``1.8.0``."""
        return self.first(None), (not self.is_pre_release, self.pre_release), self.after

    @property
    def key(self) -> tuple[Any, ...]:
        """The key to sort all versions by: dates come before all others."""
        return not self.is_date, *self.order, natural(self.suffix)

    def first(self, count: int | None) -> tuple[int, ...]:
        """Return the first numbers, or all of them for ``None``, without zeros at the end."""
        numbers = list(self.numbers[:count])
        while numbers and not numbers[-1]:
            numbers.pop()
        return tuple(numbers)


def asks_for_pre_releases(pattern: str) -> bool:
    """Whether a pattern of tags names a pre-release, as ``1.8.*-rc*`` does."""
    return re.search(_ASKING, pattern, re.IGNORECASE) is not None


def natural(text: str) -> _Natural:
    """Return a key to sort texts by, so that ``r9`` comes before ``r10``."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", text.lower())
    return tuple((not number, int(number or 0), other) for number, other in parts)
