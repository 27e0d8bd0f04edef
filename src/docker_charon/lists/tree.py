"""A tree: the values of a document in YAML or JSON, each with the line that it begins on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

MOST_LEVELS = 200
"""How deeply values may be nested."""

MOST_VALUES = 2_000_000
"""Values in one file: the pods of a cluster have about 300 each."""


class Style(Enum):
    """How a text is written: this decides whether it can be used as it is."""

    PLAIN = "plain"
    QUOTED = "quoted"
    BLOCK = "block"
    ALIAS = "alias"
    TEMPLATE = "template"


@dataclass(slots=True)
class Scalar:
    """A text; an alias is without its ``*``. ``anchor`` is its anchor (``&name``), or ``""``."""

    line: int
    text: str
    style: Style = Style.PLAIN
    anchor: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it says that there is no value."""
        return self.style is Style.PLAIN and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Mapping:
    """Keys and values in their order. In a file that is not valid, a key may be repeated."""

    line: int
    entries: list[tuple[str, Node]] = field(default_factory=list)
    anchor: str = ""

    def get(self, key: str) -> Node | None:
        """Return the value of a key, or ``None`` if there is no such key."""
        return next((node for name, node in self.entries if name == key), None)

    def text(self, key: str) -> str:
        """Return the text of a key, or ``""`` if its value is not a text."""
        node = self.get(key)
        return node.text if isinstance(node, Scalar) and not node.is_null else ""

    def mapping(self, key: str) -> Mapping:
        """Return the mapping of a key; it is empty if the value is something else."""
        node = self.get(key)
        return node if isinstance(node, Mapping) else Mapping(self.line)

    def mappings(self, key: str) -> Iterator[Mapping]:
        """Yield the mappings in the sequence of a key."""
        node = self.get(key)
        if isinstance(node, Sequence):
            yield from (item for item in node.items if isinstance(item, Mapping))


@dataclass(slots=True)
class Sequence:
    """Values in their order."""

    line: int
    items: list[Node] = field(default_factory=list)
    anchor: str = ""


Node = Scalar | Mapping | Sequence


def is_given(node: Node | None) -> bool:
    """Return whether a value is a text that is not empty."""
    return isinstance(node, Scalar) and not node.is_null and bool(node.text.strip())


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that could not be read, and why."""

    line: int
    text: str
    reason: str


@dataclass(slots=True)
class Document:
    """A document of a file; ``root`` is ``None`` if nothing of it could be read."""

    root: Node | None
    unread: list[Unread] = field(default_factory=list)
