"""A value in brackets, as in JSON and in the flow style of YAML (YAML 1.2.2, section 7.4)."""

from __future__ import annotations

import re

from docker_charon.lists.scalar import Quoted, plain_scalar
from docker_charon.lists.tree import MOST_LEVELS, Mapping, Node, Scalar, Sequence

_SPACE = re.compile(r"[ \t]*(?:(?<![^ \t])#.*)?")
_PLAIN = re.compile(r"(?:[^,\[\]{}: \t]+|:(?![ \t,\[\]{}]|$)|[ \t]+(?![ \t#]))*")
_LONGEST_PLAIN = 10_000  # characters of a text on several lines that are kept
_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*")


class FlowError(ValueError):
    """The brackets, commas and colons do not fit together."""


class Flow:
    """A value in brackets while it is read, line by line; ``root`` is complete if ``is_closed``."""

    def __init__(self, line: int, anchor: str = "") -> None:
        self.line, self._anchor = line, anchor
        self.root: Node | None = None
        self.is_closed = False
        self.rest = ""
        """What follows the closing bracket on its line."""
        self._open: list[Mapping | Sequence] = []
        self._keys: list[str | None] = []
        """The key that waits for its value, for each open bracket."""
        self._scalar: Scalar | None = None
        self._is_value = False
        self._quoted: Quoted | None = None
        self._plain: Scalar | None = None

    def take(self, text: str, line: int) -> None:
        """Read a line; raise `FlowError` if its brackets, commas and colons do not fit."""
        position = 0
        if self._quoted is not None:
            position = self._continue_quoted(text, 0)
        while not self.is_closed:
            space = _SPACE.match(text, position)
            position = space.end() if space else position
            if position >= len(text):
                return
            position = self._token(text, position, line)
        self.rest = text[position:]

    def _token(self, text: str, position: int, line: int) -> int:
        """Read what begins at ``position``; return the position after it."""
        character = text[position]
        if not self._open and character not in "{[":
            raise FlowError(f"an unexpected {character}")
        if character in "{[":
            self._begin(Mapping(line) if character == "{" else Sequence(line))
        elif character in "}]":
            self._end(character)
        elif character == ",":
            self._finish_entry(line)
        elif character in "\"'":
            self._quoted = Quoted(line, character)
            return self._continue_quoted(text, position + 1)
        elif character in "&!" and (matched := _PROPERTY.match(text, position)):
            return matched.end()
        elif character == ":" and self._scalar is not None:
            self._finish_key()
        else:
            matched = _PLAIN.match(text, position)
            end = matched.end() if matched else position
            if end == position:
                raise FlowError(f"an unexpected {character}")
            self._add_plain(text[position:end].strip(), line)
            return end
        self._plain = None
        return position + 1

    def _add_plain(self, text: str, line: int) -> None:
        """Add a text without quotes; it may be the rest of one that began on a line before."""
        if self._plain is None:
            self._plain = plain_scalar(text, line)
            self._add(self._plain)
        elif len(self._plain.text) < _LONGEST_PLAIN:
            self._plain.text += f" {text}"

    def _continue_quoted(self, text: str, position: int) -> int:
        quoted = self._quoted
        assert quoted is not None  # noqa: S101  # the callers look
        if not quoted.take(text, position):
            return len(text)
        self._quoted = self._plain = None
        self._add(quoted.scalar())
        return len(text) - len(quoted.rest)

    def _begin(self, node: Mapping | Sequence) -> None:
        if len(self._open) >= MOST_LEVELS:
            raise FlowError(f"more than {MOST_LEVELS} levels")
        if not self._open:
            node.anchor = self._anchor
            self.root = node
        else:
            self._add(node)
            self._is_value = False
        self._open.append(node)
        self._keys.append(None)

    def _end(self, bracket: str) -> None:
        node = self._open[-1]
        if (bracket == "}") is not isinstance(node, Mapping):
            raise FlowError(f"an unexpected {bracket}")
        self._finish_entry(node.line)
        self._open.pop()
        self._keys.pop()
        self._is_value = True
        self.is_closed = not self._open

    def _add(self, node: Node) -> None:
        """Add a value, or the text of a key."""
        parent, key = self._open[-1], self._keys[-1]
        if self._scalar is not None or self._is_value:
            raise FlowError("a comma is missing")
        if isinstance(parent, Sequence):
            parent.items.append(node)
            self._is_value = True
        elif key is not None:
            parent.entries.append((key, node))
            self._keys[-1] = None
            self._is_value = True
        elif isinstance(node, Scalar):
            self._scalar = node
        else:
            raise FlowError("a key is missing")

    def _finish_key(self) -> None:
        assert self._scalar is not None  # noqa: S101  # the caller looks
        self._keys[-1], self._scalar = self._scalar.text, None

    def _finish_entry(self, line: int) -> None:
        parent = self._open[-1]
        if isinstance(parent, Mapping):
            key = self._scalar.text if self._scalar is not None else self._keys[-1]
            if key is not None:
                parent.entries.append((key, Scalar(line, "")))
        self._keys[-1], self._scalar, self._is_value = None, None, False
