"""YAML text: read line by line into trees, as far as names of images need it.

This is not a complete reader of YAML (1.2.2), and it never fails: a line that it cannot read is
left out and noted in `Document.unread`. It knows block and flow style, comments, quotes, block
scalars, several documents, anchors and aliases; it does not follow aliases. Lines of templates that
were not rendered are left out and noted, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from docker_charon.lists.flow import Flow, FlowError
from docker_charon.lists.name import TEMPLATE
from docker_charon.lists.scalar import (
    Block,
    Plain,
    Quoted,
    split_key,
    split_properties,
    starts_template,
    without_comment,
)
from docker_charon.lists.tree import (
    MOST_LEVELS,
    Document,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Style,
    Unread,
)

_LONGEST_LINE = 1_000_000  # characters


def read_yaml(lines: Iterable[str]) -> list[Document]:
    """Return the documents in these lines; the first line has the number 1."""
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        reader.take(line.rstrip(" \t"), number)
    return reader.finish()


@dataclass(slots=True)
class _Level:
    """An open mapping or sequence; ``awaits`` says that its last key or dash has no value yet.

    ``column`` is where its keys or dashes are, from 0 on. ``key``, ``anchor`` and ``line`` belong
    to the value that it awaits.
    """

    column: int
    node: Mapping | Sequence
    awaits: bool = False
    key: str = ""
    anchor: str = ""
    line: int = 0


class _Reader:
    def __init__(self) -> None:
        self._documents: list[Document] = []
        self._start()

    def _start(self) -> None:
        """Start a document."""
        self._document = Document(None)
        self._levels = [_Level(-1, Sequence(0), awaits=True)]
        self._text: Plain | Block | None = None
        self._quoted: Quoted | None = None
        self._flow: Flow | None = None
        self._is_template = False

    def finish(self) -> list[Document]:
        """End the last document and return all that are not empty."""
        self._end_open_value()
        while len(self._levels) > 1:
            self._pop()
        root = self._levels[0].node
        if isinstance(root, Sequence) and root.items:
            self._document.root = root.items[0]
        if self._document.root is not None or self._document.unread:
            self._documents.append(self._document)
        return self._documents

    def take(self, line: str, number: int) -> None:
        """Read a line without spaces at its end."""
        if line.startswith("---") and line[3:4] in ("", " ", "\t"):
            self.finish()
            self._start()
            line = f"   {line[3:]}"
        elif line == "...":
            self.finish()
            self._start()
            return
        content = line.lstrip(" ")
        indent = len(line) - len(content)
        if self._continue(line, indent, number):
            return
        if not content or content[0] == "#" or (indent == 0 and content[0] == "%"):
            return
        if starts_template(content):
            if not self._is_template:
                self._leave_out(number, content, TEMPLATE)
            self._is_template = True
        elif content[0] == "\t":
            if content.strip():
                self._leave_out(number, content, "a tab is in its indentation")
        elif len(content) > _LONGEST_LINE:
            self._leave_out(number, content, "it is too long")
        else:
            self._structure(content, indent, number)

    def _continue(self, line: str, indent: int, number: int) -> bool:
        """Return whether a line continues the value that is open."""
        if self._quoted is not None:
            if self._quoted.take(line.lstrip(" \t"), 0):
                self._end_quoted(self._quoted, line, number)
            return True
        if self._flow is not None:
            self._continue_flow(self._flow, line, number)
            return True
        if self._text is not None:
            if self._text.take(line, indent):
                return True
            self._end_open_value()
        return False

    def _structure(self, content: str, column: int, number: int) -> None:
        """Read dashes, a key and the start of a value."""
        text = content
        is_dash = text == "-" or text.startswith("- ")
        self._close_levels(column, is_dash)
        while is_dash:
            if not self._open(Sequence, column, number):
                self._leave_out(number, content, "its indentation does not fit")
                return
            self._await("", number)
            rest = text[1:].lstrip()
            column += len(text) - len(rest)
            text = rest
            is_dash = text == "-" or text.startswith("- ")
        if not text or text[0] == "#":
            return
        after_anchor = split_properties(text)[1]
        key = split_key(after_anchor) if after_anchor else None
        if key is None:
            if not self._levels[-1].awaits or column <= self._levels[-1].column:
                self._leave_out(number, content, "it is neither a key nor an item of a list")
                return
            self._value(text, number)
        elif self._open(Mapping, column, number):
            self._await(key[0], number)
            if key[1]:
                self._value(key[1], number)
        else:
            self._leave_out(number, content, "its indentation does not fit")

    def _value(self, text: str, number: int) -> None:
        """Read the value of a key or of an item, or the start of one."""
        anchor, text = split_properties(text)
        level = self._levels[-1]
        level.anchor = anchor or level.anchor
        if not text or text[0] == "#":
            return
        if starts_template(text):
            self._add(Scalar(number, text, Style.TEMPLATE))
        elif text[0] in "\"'":
            self._quoted = Quoted(number, text[0], level.anchor)
            if self._quoted.take(text, 1):
                self._end_quoted(self._quoted, text, number)
        elif text[0] in "{[":
            self._flow = Flow(number, level.anchor)
            self._continue_flow(self._flow, text, number)
        elif Block.starts(text):
            self._text = Block(number, text, level.column, level.anchor)
        else:
            self._text = Plain(number, without_comment(text), level.column, level.anchor)

    def _end_quoted(self, quoted: Quoted, line: str, number: int) -> None:
        self._quoted = None
        if not without_comment(quoted.rest):
            self._add(quoted.scalar())
        elif "{{" in line:  # a template with quotes in quotes
            self._add(Scalar(quoted.line, line, Style.TEMPLATE))
        else:
            self._skip_value(number, "something follows the closing quote")

    def _continue_flow(self, flow: Flow, text: str, number: int) -> None:
        try:
            flow.take(text, number)
            if not flow.is_closed:
                return
            if without_comment(flow.rest):
                raise FlowError("something follows the closing bracket")
        except FlowError as error:
            self._flow = None
            self._skip_value(number, str(error))
        else:
            self._flow = None
            self._add(flow.root or Scalar(number, ""))

    def _end_open_value(self) -> None:
        if self._text is not None:
            self._add(self._text.scalar())
            self._text = None
        if self._quoted is not None:
            self._skip_value(self._quoted.line, "the quote in it is not closed")
            self._quoted = None
        if self._flow is not None:
            self._skip_value(self._flow.line, "the bracket in it is not closed")
            self._flow = None

    def _close_levels(self, column: int, is_dash: bool) -> None:
        """Close the levels that are deeper than a line, and a list that it does not continue."""
        while len(self._levels) > 1:
            level = self._levels[-1]
            ends = level.column == column and isinstance(level.node, Sequence) and not is_dash
            if level.column <= column and not ends:
                break
            self._pop()

    def _open(self, kind: type[Mapping] | type[Sequence], column: int, number: int) -> bool:
        """Continue the mapping or sequence in a column, or start one; return whether it fits."""
        level = self._levels[-1]
        if level.column == column and isinstance(level.node, kind):
            return True
        is_deeper = column > level.column or (
            column == level.column and kind is Sequence and isinstance(level.node, Mapping)
        )
        if not level.awaits or not is_deeper or len(self._levels) > MOST_LEVELS:
            return False
        node = kind(level.line or number)
        self._add(node)
        self._levels.append(_Level(column, node))
        return True

    def _await(self, key: str, number: int) -> None:
        """Start a new entry of the last level."""
        level = self._levels[-1]
        if level.awaits:
            self._add(Scalar(level.line, ""))
        level.awaits, level.key, level.anchor, level.line = True, key, "", number

    def _add(self, node: Node) -> None:
        """Set the value that the last level awaits."""
        level = self._levels[-1]
        node.anchor = node.anchor or level.anchor
        if isinstance(level.node, Mapping):
            level.node.entries.append((level.key, node))
        else:
            level.node.items.append(node)
        level.awaits, level.anchor = False, ""

    def _pop(self) -> None:
        if self._levels[-1].awaits:
            self._add(Scalar(self._levels[-1].line, ""))
        self._levels.pop()

    def _skip_value(self, number: int, reason: str) -> None:
        """Leave out the value that the last level awaits."""
        level = self._levels[-1]
        level.awaits = False
        self._leave_out(number, f"{level.key}:" if level.key else "", reason)

    def _leave_out(self, number: int, content: str, reason: str) -> None:
        """Note a line that cannot be read, with its key only, because its value may be a secret."""
        if not starts_template(content):
            key = split_key(content.lstrip("- \t")) if content.strip("- \t") else None
            if key is None:
                content = ""
            elif key[0] != "image":
                content = f"{key[0]}:"
        self._document.unread.append(Unread(number, content.strip(), reason))
