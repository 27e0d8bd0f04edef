"""Lists for tools that keep a registry like another one: ``skopeo sync`` and regsync."""

from __future__ import annotations

from docker_charon.lists.image_list import Selection
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence
from docker_charon.oci.host import host_in_front

_CHOICES = ("images-by-tag-regex", "images-by-semver")
_CHOOSE = "name the tags, or give a choice of tags on the command line"


def is_for_skopeo(root: Mapping) -> bool:
    """Return whether every key is a registry, with images as ``skopeo sync`` reads them."""
    return bool(root.entries) and all(map(_is_registry, root.entries))


def _is_registry(entry: tuple[str, Node]) -> bool:
    host, node = entry
    if not host_in_front(f"{host}/") or not isinstance(node, Mapping):
        return False
    lists = [node.get(key) for key in ("images", *_CHOICES)]
    return any(isinstance(images, Mapping) for images in lists)


def select_for_skopeo(root: Mapping, selection: Selection) -> None:
    """Select the images of each registry: a list of tags or digests for each repository."""
    for host, _ in root.entries:
        registry = root.mapping(host)
        for repository, tags in registry.mapping("images").entries:
            name = f"{host}/{repository}"
            items = tags.items if isinstance(tags, Sequence) else []
            for tag in items:
                if isinstance(tag, Scalar):
                    separator = "@" if ":" in tag.text else ":"
                    selection.take_joined(tag.line, f"{name}{separator}{tag.text}", [tag])
                else:
                    selection.pass_over(tag.line, name, "its tag is not a text")
            if not items:
                selection.pass_over(tags.line, name, f"all its tags are meant: {_CHOOSE}")
        for key in _CHOICES:
            for repository, choice in registry.mapping(key).entries:
                selection.pass_over(choice.line, f"{host}/{repository}", f"{key}: {_CHOOSE}")


def is_for_regsync(root: Mapping) -> bool:
    """Return whether a document has steps from a source to a target."""
    steps = root.mappings("sync")
    return any(step.get("source") is not None and step.get("target") is not None for step in steps)


def select_for_regsync(root: Mapping, selection: Selection) -> None:
    """Select the sources that are images; those that are repositories or registries have no tag."""
    for step in root.mappings("sync"):
        source = step.get("source")
        if source is None:
            continue
        if step.text("type") == "image":
            selection.take(source)
        else:
            selection.pass_over(source.line, step.text("source"), f"it is not one image: {_CHOOSE}")
