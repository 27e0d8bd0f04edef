"""A plain list: one name a line, or several separated by commas; ``#`` starts a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable

from docker_charon.lists.comma_list import split_names
from docker_charon.lists.image_list import ImageList, PassedOver
from docker_charon.lists.name import is_exact_name, reason_without_name, shown
from docker_charon.oci.reference import OPERATORS

# The start of a line that no plain list has, and that each YAML text has.
_YAML = re.compile(r"""-\s|---|\{\{|["']?[A-Za-z0-9_./ -]*["']?:(?:\s|$)""")

# The start of a line of a file of variables, in which there may be secrets.
_ASSIGNMENT = re.compile(r"(?:export\s+)?[A-Za-z_]\w*=")

# The start of a name whose registry is an IPv6 address: JSON begins with a bracket, too.
_IPV6_REGISTRY = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]+)?/")

_QUOTED = re.compile(r"""^(["'])(.*)\1$""")  # as jq prints names


def is_plain(lines: Iterable[str]) -> bool:
    """Return whether no line looks like YAML or JSON."""
    texts = (line.strip() for line in lines)
    return not any(
        text[:1] in ("{", "[") or text == "-" or _YAML.match(text)
        for text in texts
        if text and not _IPV6_REGISTRY.match(text)
    )


def read_plain(lines: Iterable[str]) -> tuple[ImageList, PassedOver | None]:
    """Return the names in these lines, and the first text that cannot be a name, or ``None``.

    A single word is returned as it is, without quotes; its grammar is checked where it is used.
    Names with tags or digests may also be separated by spaces, as in the output of kubectl. So may
    the bounds of a range of versions. Images in the store of a machine that have no name are passed
    over.
    """
    images = ImageList()
    for number, line in enumerate(lines, 1):
        if _ASSIGNMENT.match(line.strip()):
            return images, PassedOver(number, "", "it sets a variable")
        for name in split_names(line.partition("#")[0]):
            words = [name] if _has_range(name) else name.split()
            words = [_QUOTED.sub(r"\2", word) for word in words]
            if len(words) > 1 and not all(map(is_exact_name, words)):
                return images, PassedOver(number, "", "it is not one word")
            for word in words:
                if reason := reason_without_name(word):
                    images.passed_over.append(PassedOver(number, shown(word), reason))
                else:
                    images.names.append(word)
    return images, None


def _has_range(name: str) -> bool:
    """Whether there is a range of versions in the place of the tag."""
    return name.rpartition("/")[2].partition(":")[2].lstrip()[:1] in OPERATORS
