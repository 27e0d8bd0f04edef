"""An image choice: the images of one repository under chosen tags, in the place of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker_charon.oci.reference import OPERATORS
from docker_charon.value import dataclass

if TYPE_CHECKING:
    from docker_charon.transfer.naming.tag_choice import TagChoice

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """The images of one repository under chosen tags.

    ``name`` is that of the repository as it was written, and ``repository`` what it stands for.
    """

    name: str
    repository: str
    tags: TagChoice

    def __str__(self) -> str:
        return f"{self.name}:{self.tags.text}"


def split_choice(name: str) -> tuple[str, TagChoice | None]:
    """Return the repository in a name, and its choice of tags; the name itself if it has none.

    Raises `InvalidReference` if the choice is not valid.
    """
    path, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    tag = tag.strip()
    if tag[:1] not in OPERATORS and _WILDCARDS.isdisjoint(tag):
        return name, None
    from docker_charon.transfer.naming.tag_choice import TagChoice  # most names choose no tags

    return f"{path}{slash}{repository}", TagChoice.parse(tag, name)
