"""A file of a mirror configuration: a section for each registry, and what people have added."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import field

from docker_charon.value import dataclass

MARK = "# Written by docker-charon (push-payload --mirrors), which changes it at the next push.\n"
"""The first line of each file."""

_SECTION = re.compile(r"^# Images of (\S+)(?: \(([0-9a-f]+)\))?\n", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^[^\s#]", re.MULTILINE)
_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class MirrorFile:
    """A file of a configuration, by its path relative to the directory of all of them.

    ``sections`` are texts by the registries whose images they are about, and ``heads`` are lines
    above them, by the registries that need them. ``is_indented`` says that the sections belong to a
    head right above them: they end where a line is not indented. Other heads are at the top.
    """

    path: str
    sections: Mapping[str, str]
    comment: str
    heads: Mapping[str, str] = field(default_factory=dict)
    is_indented: bool = False

    def text(self, earlier: str = "") -> str:
        """Return the content.

        Sections of an ``earlier`` one about other registries stay, and so does everything that
        people have added or changed (see `edited`).
        """
        before, old_sections, after = self._parts(earlier)
        sections = {name: _Section.of(name, text) for name, text in self.sections.items()}
        for name, section in old_sections.items():
            if name not in sections or section.is_edited:
                sections[name] = section
        keys = {match[0] for line in before if (match := _KEY.match(line))}
        heads = dict.fromkeys(
            line
            for registry in ("", *sections)
            if (line := self.heads.get(registry)) and _KEY.findall(line)[0] not in keys
        )
        body = (f"\n{sections[registry].as_text}" for registry in sorted(sections))
        # In TOML, a key below a table would belong to it.
        above = (*before, *heads) if self.is_indented else (*heads, *before)
        return "".join((*self._own_lines, *above, *body, after))

    def edited(self, earlier: str) -> list[str]:
        """Return the registries whose sections people have edited and this file would change."""
        _, old_sections, _ = self._parts(earlier)
        return [
            name
            for name, section in old_sections.items()
            if section.is_edited
            and name in self.sections
            and section.written != _checksum(self.sections[name])
        ]

    @property
    def _own_lines(self) -> tuple[str, str]:
        return MARK, f"# {self.comment}\n"

    def _parts(self, earlier: str) -> tuple[list[str], dict[str, _Section], str]:
        """Return the parts of an earlier text that are kept.

        They are the lines that people have added above all sections, the sections, and the text
        that people have added below them.
        """
        head, *parts = _SECTION.split(earlier)
        own = {*self._own_lines, *self.heads.values(), "\n"}
        before = [line for line in head.splitlines(keepends=True) if line not in own]
        after = ""
        if parts and self.is_indented and (end := _TOP_LEVEL.search(parts[-1])):
            parts[-1], after = parts[-1][: end.start()], f"\n{parts[-1][end.start() :]}"
        texts = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        sections = {
            name: _Section(name, f"{text.rstrip()}\n", written) for name, written, text in texts
        }
        return before, sections, after


@dataclass(frozen=True, slots=True)
class _Section:
    """The text about one registry; ``written`` is the checksum of what docker-charon wrote."""

    registry: str
    text: str
    written: str | None

    @classmethod
    def of(cls, registry: str, text: str) -> _Section:
        return cls(registry, text, _checksum(text))

    @property
    def is_edited(self) -> bool:
        return self.written not in (None, _checksum(self.text))

    @property
    def as_text(self) -> str:
        return f"# Images of {self.registry} ({self.written or _checksum(self.text)})\n{self.text}"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode()).hexdigest()[:8]
