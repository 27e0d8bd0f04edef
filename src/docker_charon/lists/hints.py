"""Hints: names of images under keys that need not be about images, which are passed over."""

from __future__ import annotations

from docker_charon.lists.image_list import Selection
from docker_charon.lists.name import LONGEST_NAME, is_exact_name, is_full_name
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence, Style

DESCRIPTIVE = frozenset({"annotations", "labels", "imageID", "openAPIV3Schema"})
"""Keys whose values say something about an object, and are not used to start anything."""


def hint_at_all(root: Node, selection: Selection) -> None:
    """Note all names of images below a value, wherever they are."""
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
    """Note the name in a text, also after an ``=`` as in arguments, if it can only be a name.

    That is a name with a registry and with a tag or a digest. Under a key such as ``jobImage``, the
    registry can be missing.
    """
    if node.style is Style.ALIAS or len(node.text) > LONGEST_NAME:
        return
    name = node.text.rpartition("=")[2]
    is_about_images = key.lower().endswith(("image", "imagename"))
    if is_full_name(name) or (is_about_images and is_exact_name(name)):
        where = f"the key {key}" if key else "the list"
        selection.hint(node.line, name, f"it may be an image, but {where} does not say so")
