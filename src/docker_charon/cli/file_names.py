"""The names of files in options: what is not a name is wrong usage."""

from __future__ import annotations

from typing import TypeVar

import typer

_Value = TypeVar("_Value", str | None, list[str] | None)


def not_empty(value: _Value) -> _Value:
    """Refuse an empty name, which a script has if one of its variables is not set."""
    if value is not None and "" in (value if isinstance(value, list) else [value]):
        raise typer.BadParameter("the name of the file is empty")
    return value


def path_only(value: str | None) -> str | None:
    """Refuse ``-`` too: a stream cannot be read again or replaced, and may have other content."""
    if value == "-":
        raise typer.BadParameter("- is not possible here: name a file")
    return not_empty(value)
