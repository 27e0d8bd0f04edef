"""A text in YAML while it is read: it may have several lines (YAML 1.2.2, sections 7.3 and 8.1)."""

from __future__ import annotations

import re

from docker_charon.lists.tree import Scalar, Style

_PROPERTY = re.compile(r"(&[^\s,\[\]{}]+|![^\s,\[\]{}]*)(?:\s+|$)")
_COMMENT = re.compile(r"(?:^|[ \t])#")
_KEY_END = re.compile(r":(?=[ \t]|$)")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]{0,2}(?:[ \t]+#.*|[ \t]*)$")
_IN_QUOTES = {
    '"': re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL),
    "'": re.compile(r"[^']*(?:''[^']*)*"),
}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|(.))",
    re.DOTALL,
)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b"}
_ESCAPED |= {"f": "\f", "v": "\v", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"}
_CONTROL = ("{{", "{%")


def without_comment(text: str) -> str:
    """Return ``text`` up to a comment in it, without spaces at its ends."""
    comment = _COMMENT.search(text)
    return (text[: comment.start()] if comment else text).strip()


def split_properties(text: str) -> tuple[str, str]:
    """Return the anchor in front of a value, or ``""``, and the value without anchor and tag."""
    anchor = ""
    for _ in range(2):
        matched = _PROPERTY.match(text)
        if matched is None:
            break
        if matched[1][0] == "&":
            anchor = matched[1][1:]
        text = text[matched.end() :]
    return anchor, text


def split_key(text: str) -> tuple[str, str] | None:
    """Return the key at the start of a line and what follows it, or ``None`` if there is no key."""
    if text[0] in "\"'":
        quoted = Quoted(0, text[0])
        if not quoted.take(text[1:], 0):
            return None
        end = _KEY_END.match(quoted.rest.lstrip())
        return None if end is None else (quoted.scalar().text, quoted.rest.lstrip()[1:].lstrip())
    if text[0] in "[]{}|>%@`,*#" or text.startswith("? "):
        return None
    end = _KEY_END.search(text)
    comment = _COMMENT.search(text)
    if end is None or (comment and comment.start() < end.start()):
        return None
    return split_properties(text[: end.start()])[1].strip(), text[end.end() :].lstrip()


def starts_template(text: str) -> bool:
    """Return whether ``text`` starts with an action of a template that was not rendered."""
    return text.startswith(_CONTROL)


def plain_scalar(text: str, line: int, anchor: str = "") -> Scalar:
    """Return the value of a text without quotes, which may be an alias."""
    if text.startswith("*") and len(text) > 1:
        return Scalar(line, text[1:], Style.ALIAS, anchor)
    return Scalar(line, text, Style.PLAIN, anchor)


class Plain:
    """A text without quotes: lines that are deeper than ``column`` continue it."""

    def __init__(self, line: int, text: str, column: int, anchor: str) -> None:
        self._first = plain_scalar(text, line, anchor)
        self._more: list[str] = []
        self._column = column

    def take(self, text: str, indent: int) -> bool:
        """Add a line; return whether it belongs to this text."""
        content = text.strip()
        if not content:
            return True
        if indent <= self._column or content[0] == "#" or split_key(content) is not None:
            return False
        if starts_template(content):
            return False
        self._more.append(without_comment(content))
        return True

    def scalar(self) -> Scalar:
        """Return the text; the lines are joined with spaces."""
        self._first.text = " ".join([self._first.text, *self._more])
        return self._first


class Block:
    """A text after ``|`` or ``>``: all lines that are deeper than ``column`` belong to it."""

    def __init__(self, line: int, header: str, column: int, anchor: str) -> None:
        self._line, self._anchor, self._column = line, anchor, column
        self._separator = " " if header[0] == ">" else "\n"
        self._lines: list[str] = []

    @staticmethod
    def starts(text: str) -> bool:
        """Return whether a value starts such a text."""
        return _BLOCK_HEADER.match(text) is not None

    def take(self, text: str, indent: int) -> bool:
        """Add a line; return whether it belongs to this text."""
        content = text.strip()
        if content and indent <= self._column and not starts_template(content):
            return False
        self._lines.append(content)
        return True

    def scalar(self) -> Scalar:
        """Return the text, without the spaces at the ends of its lines."""
        text = self._separator.join(self._lines).strip()
        return Scalar(self._line, text, Style.BLOCK, self._anchor)


class Quoted:
    """A text in quotes: it ends where the quote is closed."""

    def __init__(self, line: int, quote: str, anchor: str = "") -> None:
        self.line, self._quote, self._anchor = line, quote, anchor
        self._parts: list[str] = []
        self.rest = ""
        """What follows the closing quote on its line."""

    def take(self, text: str, start: int) -> bool:
        """Add a line from ``start`` on; return whether the quote is closed in it."""
        matched = _IN_QUOTES[self._quote].match(text, start)
        end = matched.end() if matched else start
        self._parts.append(text[start:end].lstrip(" \t") if self._parts else text[start:end])
        if text[end : end + 1] == self._quote:
            self.rest = text[end + 1 :]
            return True
        if text[end:] != "\\":  # after a backslash, lines are joined without a space
            self._parts.append(" ")
        return False

    def scalar(self) -> Scalar:
        """Return the text; the lines are joined with spaces."""
        text = "".join(self._parts)
        if self._quote == "'":
            text = text.replace("''", "'")
        elif "\\" in text:
            text = _ESCAPE.sub(_unescaped, text)
        return Scalar(self.line, text, Style.QUOTED, self._anchor)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    return chr(int(code, 16)) if code else _ESCAPED.get(escape[4], escape[4])
