"""The output of grep: the lines of manifests that have the key ``image``, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable

_IMAGE = re.compile(
    r"""(?:[^\s:]+:(?:[0-9]+:)?)?  # the name of the file and the number of the line
        \s*(?:-\s+)*["']?image["']?\s*:(?P<value>|\s.*)""",
    re.VERBOSE,
)


def as_list(lines: Iterable[str]) -> list[str] | None:
    """Return the lines as one list in YAML; ``None`` if any of them is not of this kind.

    The lines come from different levels of a manifest, so their indentation means nothing.
    """
    items = []
    for line in lines:
        text = "" if line.lstrip().startswith("#") else line
        match = _IMAGE.fullmatch(text)
        if match is None and text.strip():
            return None
        items.append(f"- image:{match['value']}" if match else "")
    return items if any(items) else None
