"""A comma list: a text that contains one name, or several separated by commas."""

from __future__ import annotations

from docker_charon.oci.reference import OPERATORS


def split_names(text: str) -> list[str]:
    """Return the names in a text that may contain several names, separated by commas.

    After a comma, a part that begins with an operator belongs to the range of versions before it:
    ``my-image:>=1.8,<2,redis:7`` is ``my-image:>=1.8,<2`` and ``redis:7``.
    """
    names: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if part[0] in OPERATORS and names:
            names[-1] += f",{part}"
        else:
            names.append(part)
    return names
