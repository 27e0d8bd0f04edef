"""A JSON document from an untrusted source, parsed within limits on memory."""

from __future__ import annotations

import json
from typing import Any

MOST_VALUES = 250_000
"""The most values in one document: ``{},`` has 3 bytes as text, and 70 in memory."""


def count_values(content: bytes) -> int:
    """Return an upper bound of the number of values in a JSON text, without parsing it.

    Every value except the outermost one follows a ``,``, ``[`` or ``{``, or a key that does.
    """
    return 1 + sum(map(content.count, (b",", b"[", b"{")))


def parse_json(content: bytes, most_values: int = MOST_VALUES) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises ``ValueError`` with a short reason if it is not valid JSON, is nested too deeply, or has
    more than ``most_values`` values.
    """
    if count_values(content) > most_values:
        raise ValueError(f"it has more than {most_values:,} values")
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object that a text in UTF-8 is.

    Raises ``ValueError`` with what it is instead: ``not a JSON object``, or ``not valid JSON`` with
    the reason.
    """
    try:
        document = parse_json(content)
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document
