"""A list of images: the names that were taken from a file, and what was passed over."""

from __future__ import annotations

from dataclasses import dataclass, field

from docker_charon.lists.name import reason_against, shown
from docker_charon.lists.tree import Node, Scalar, Style


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A value that may name an image and was not taken, and why; lines are counted from 1."""

    line: int
    value: str
    reason: str


@dataclass(slots=True)
class ImageList:
    """The names in a file, in their order, and the values that were passed over.

    ``formats`` are the names of the formats of its documents, for people; there are none for a
    plain list. A name that a plain list repeats is repeated; otherwise each name is there once.
    """

    names: list[str] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)


class Selection:
    """Collects the names of images in the documents of a file."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._passed_over: dict[tuple[str, str], PassedOver] = {}
        self._hints: list[PassedOver] = []

    def take(self, node: Node) -> None:
        """Take a value that should be the name of an image; pass it over if it is not one."""
        if not isinstance(node, Scalar):
            self.pass_over(node.line, "", "it is not a text")
        elif reason := reason_against(node):
            value = f"*{node.text}" if node.style is Style.ALIAS else node.text
            self.pass_over(node.line, value, reason)
        else:
            self._names[node.text.strip()] = None

    def take_joined(self, line: int, name: str, parts: list[Scalar]) -> None:
        """Take a name that is joined from ``parts``, or pass it over if one of them is no text."""
        for part in parts:
            if part.style in (Style.ALIAS, Style.TEMPLATE):
                self.take(part)
                return
        self.take(Scalar(line, name))

    def pass_over(self, line: int, value: str, reason: str) -> None:
        """Note a value that is not taken; the same value is noted once for each reason."""
        value = shown(value)
        self._passed_over.setdefault((value, reason), PassedOver(line, value, reason))

    def hint(self, line: int, name: str, reason: str) -> None:
        """Note a name that may be an image; it is passed over unless it is taken elsewhere."""
        self._hints.append(PassedOver(line, name, reason))

    def finish(self, formats: list[str]) -> ImageList:
        """Return the list; the values that were passed over are in the order of their lines."""
        for hint in self._hints:
            if hint.value not in self._names:
                self.pass_over(hint.line, hint.value, hint.reason)
        passed_over = sorted(self._passed_over.values(), key=lambda passed: passed.line)
        return ImageList([*self._names], passed_over, list(dict.fromkeys(formats)))
