"""JSON text: one or several documents, read into trees."""

from __future__ import annotations

import json
from collections.abc import Sequence as Lines

from docker_charon.lists.flow import Flow, FlowError
from docker_charon.lists.tree import MOST_VALUES, Document
from docker_charon.oci.document import parse_json


class InvalidJSON(ValueError):
    """A text is not valid JSON; ``line`` is where it goes wrong."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read_json(lines: Lines[str]) -> list[Document]:
    """Return the documents in these lines; each begins on a line of its own.

    Raises `InvalidJSON` if one of them is not valid or is nested too deeply.
    """
    documents: list[Document] = []
    flow: Flow | None = None
    for number, line in enumerate(lines, 1):
        if flow is None:
            if not line.strip():
                continue
            flow = Flow(number)
        try:
            flow.take(line, number)
        except FlowError as error:
            _check(lines, flow.line, number)
            raise InvalidJSON(number, str(error)) from None
        if flow.is_closed:
            _check(lines, flow.line, number)
            documents.append(Document(flow.root))
            flow = None
    if flow is not None:
        _check(lines, flow.line, len(lines))
    return documents


def _check(lines: Lines[str], first: int, last: int) -> None:
    """Check a document by the parser of Python's standard library."""
    text = "\n".join(lines[first - 1 : last]).rstrip()
    try:
        parse_json(text.encode("utf-8", "surrogatepass"), MOST_VALUES)
    except json.JSONDecodeError as error:
        raise InvalidJSON(first + error.lineno - 1, error.msg) from None
    except ValueError as error:
        raise InvalidJSON(first, str(error)) from None
