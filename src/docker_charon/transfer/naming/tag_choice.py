"""A choice of tags: a pattern or a range of versions in the place of a tag.

- ``1.8.*``: tags as text, with the wildcards of a shell (``*``, ``?``, ``[0-9]``).
- ``>=1.8,<2``, ``~1.8``, ``^1.8``, ``!=1.8.3``: versions. A bound stands for all versions that
  begin with it: ``<=1.8`` and ``=1.8`` include 1.8.3, ``>1.8`` does not. ``~1.8.3`` is 1.8.3 or
  later, below 1.9; ``^1.8.3`` is below 2 (``^0.3`` below 0.4).

A range chooses no pre-releases unless one of its bounds is a pre-release (``>=1.8-0`` as well), and
no variant such as ``-alpine`` unless its bounds have it (``>=1.8-alpine``; a ``*`` may be in it).
The newest of a pattern are chosen in the same way: what its text spells out is asked for.
Tags of signatures and of lists of referrers, ``sha256-…``, are never chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from docker_charon.errors import InvalidReference
from docker_charon.messages import quoted_name
from docker_charon.oci.reference import OPERATORS
from docker_charon.oci.referrers import is_tag_of_referrers
from docker_charon.oci.version import Version, asks_for_pre_releases
from docker_charon.value import dataclass

_BRACKETS = re.compile(r"\[[^\]]*\]")
_BEFORE_VERSION = re.compile(r"[^0-9*?]*")
_PRE_RELEASE_PART = re.compile(r"-[a-z]+[0-9.*?]*", re.IGNORECASE)
_BOUND = re.compile(r"(?P<operator>>=|<=|!=|==?|>|<|~|\^)\s*(?P<version>[^\s,<>=!~^]+)[\s,]*")
_ANY_NUMBERS = re.compile(r"(?:\.[*xX])+(?=-|$)")


@dataclass(frozen=True, slots=True)
class TagChoice:
    """A choice of tags as it was written, and what it means."""

    text: str
    meaning: _Pattern | _Range

    @classmethod
    def parse(cls, text: str, name: str) -> TagChoice:
        """Parse a choice in an image's ``name``; raise `InvalidReference` if it is not valid."""
        if "@" in text:
            raise InvalidReference(
                f"{quoted_name(name)} chooses tags and has a digest too",
                hint="leave out one of them",
            )
        is_range = text[0] in OPERATORS
        return cls(text, _Range.parse(text, name) if is_range else _Pattern.parse(text))

    def choose(self, tags: Iterable[str], newest: int | None = None) -> list[str]:
        """Return the chosen tags: those that are no versions, then the versions, newest last.

        ``newest`` leaves only this many versions, under every tag that they have.
        """
        chosen = {
            tag: self.meaning.version(tag)
            for tag in tags
            if self.meaning.matches(tag) and not is_tag_of_referrers(tag)
        }
        if newest is not None:
            versions = {tag: v for tag, v in chosen.items() if v is not None}
            newest_keys = set(sorted({version.key for version in versions.values()})[-newest:])
            chosen = {tag: v for tag, v in versions.items() if v.key in newest_keys}
        return sorted(chosen, key=lambda tag: _order(tag, chosen[tag]))


def newest_first(tags: Iterable[str]) -> list[str]:
    """Return the tags of images, newest versions first, then those that are no versions."""
    images = [tag for tag in tags if not is_tag_of_referrers(tag)]
    return sorted(images, key=lambda tag: _order(tag, None), reverse=True)


def _order(tag: str, version: Version | None) -> tuple[Any, ...]:
    version = version or Version.parse(tag)
    return (False, tag) if version is None else (True, version.key, tag)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern of text, and what it says of the versions that are the newest.

    ``prefix`` is the text before a version, and ``suffix`` the pattern of the variant after it.
    """

    text: str
    prefix: str
    suffix: str
    has_pre_releases: bool

    @classmethod
    def parse(cls, text: str) -> _Pattern:
        plain = _BRACKETS.sub("?", text)
        before = _BEFORE_VERSION.match(plain)
        prefix = "" if before is None else before[0]
        _, dash, variant = plain.removeprefix(prefix).partition("-")
        suffix, has_pre_releases = dash + variant, asks_for_pre_releases(plain)
        if has_pre_releases:
            suffix = _PRE_RELEASE_PART.sub("", suffix, count=1)
        return cls(text, prefix, suffix, has_pre_releases)

    def matches(self, tag: str) -> bool:
        return fnmatchcase(tag, self.text)

    def version(self, tag: str) -> Version | None:
        """Return the version of a tag that the pattern matches, if it counts among the newest."""
        version = Version.parse(tag.removeprefix(self.prefix))
        if version is None or (version.is_pre_release and not self.has_pre_releases):
            return None
        is_other_variant = version.suffix and not fnmatchcase(version.suffix, self.suffix)
        return None if is_other_variant else version


@dataclass(frozen=True, slots=True)
class _Bound:
    """An operator and a version."""

    operator: str
    version: Version

    def holds(self, version: Version) -> bool:
        """Whether a version is within the bound; variants do not matter."""
        bound = self.version
        is_less = version.order < bound.order
        if self.operator in (">=", "~", "^"):
            is_same = version.first(self._fixed) == bound.first(self._fixed)
            return not is_less and (is_same or self.operator == ">=")
        if bound.is_exact:
            is_more = version.order > bound.order
        else:
            numbers = version.first(len(bound.numbers))
            is_less, is_more = numbers < bound.first(None), numbers > bound.first(None)
        if self.operator in ("<", "<="):
            return is_less if self.operator == "<" else not is_more
        if self.operator == ">":
            return is_more
        return (is_less or is_more) == (self.operator == "!=")

    @property
    def _fixed(self) -> int:
        """How many of the first numbers ``~`` and ``^`` keep."""
        numbers = self.version.numbers
        if self.operator == "~":
            return min(2, len(numbers))
        return next((n for n, number in enumerate(numbers, 1) if number), len(numbers))


@dataclass(frozen=True, slots=True)
class _Range:
    """Bounds, all of which hold; ``suffix`` is the pattern of the variant."""

    bounds: tuple[_Bound, ...]
    suffix: str
    has_pre_releases: bool

    @classmethod
    def parse(cls, text: str, name: str) -> _Range:
        """Parse bounds with commas or spaces between them."""
        bounds: list[_Bound] = []
        position, has_pre_releases = 0, False
        while position < len(text):
            match = _BOUND.match(text, position)
            written = "" if match is None else _ANY_NUMBERS.sub("", match["version"])
            version = Version.parse(written.removesuffix("-0"))
            if match is None or version is None:
                raise InvalidReference(
                    f"{quoted_name(name)} is not a choice of tags",
                    hint="write a range of versions as my-image:>=1.8,<2, a pattern as "
                    "my-image:1.8.*, and several names as a list",
                )
            position = match.end()
            has_pre_releases |= version.is_pre_release or written.endswith("-0")
            bounds.append(_Bound(match["operator"], version))
        suffixes = {bound.version.suffix for bound in bounds} - {""}
        if len(suffixes) > 1 or len({bound.version.is_date for bound in bounds}) > 1:
            raise InvalidReference(
                f"{quoted_name(name)} has bounds that exclude each other",
                hint="give all bounds the same suffix, and do not mix dates with other versions",
            )
        return cls(tuple(bounds), "".join(suffixes), has_pre_releases)

    def matches(self, tag: str) -> bool:
        return self.version(tag) is not None

    def version(self, tag: str) -> Version | None:
        """Return the version of a tag if it is in the range."""
        version = Version.parse(tag)
        if version is None or version.is_date != self.bounds[0].version.is_date:
            return None
        if version.is_pre_release and not self.has_pre_releases:
            return None
        is_in_range = all(bound.holds(version) for bound in self.bounds)
        return version if is_in_range and fnmatchcase(version.suffix, self.suffix) else None
