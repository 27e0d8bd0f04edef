"""Hints: names that may be images, under keys that are not known to be about images."""

from __future__ import annotations

from docker_charon.lists.image_list import Selection
from docker_charon.lists.name import LONGEST_NAME, is_exact_name, is_full_name
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence, Style

DESCRIPTIVE = frozenset({"annotations", "labels", "imageID", "openAPIV3Schema"})
"""Keys whose values only describe an object: no container is started from them."""


def hint_at_all(root: Node, selection: Selection) -> None:
    """Note all names below a value, at any depth, that can only be names of images."""
    stack: list[tuple[str, Node]] = [("", root)]
    while stack:
        key, node = stack.pop()
        if isinstance(node, Scalar):
            hint_at(key, node, selection)
        elif isinstance(node, Sequence):
            stack += [(key, item) for item in reversed(node.items)]
        elif isinstance(node, Mapping):
            stack += [entry for entry in reversed(node.entries) if entry[0] not in DESCRIPTIVE]


def hint_at(key: str, node: Scalar, selection: Selection) -> None:
    """Note a text, or its part after the last ``=``, if it can only be the name of an image.

    Such a name has a registry, and a tag or a digest. Under a key such as ``jobImage``, the
    registry may be missing.
    """
    if node.style is Style.ALIAS or len(node.text) > LONGEST_NAME:
        return
    name = node.text.rpartition("=")[2]
    is_about_images = key.lower().endswith(("image", "imagename"))
    if is_full_name(name) or (is_about_images and is_exact_name(name)):
        where = f"the key {key}" if key else "the list"
        selection.hint(node.line, name, f"it may be an image, but {where} does not say so")
