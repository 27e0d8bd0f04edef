"""A Compose file: its services, and the image of each (Compose Specification)."""

from __future__ import annotations

from collections.abc import Iterator

from docker_charon.lists.hints import hint_at_all
from docker_charon.lists.image_list import Selection
from docker_charon.lists.manifests import select_images
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence, Style

_USE_CONFIG = "use the output of docker compose config"


def is_compose(root: Mapping) -> bool:
    """Return whether a document has services, as a mapping of mappings."""
    services = root.get("services")
    return isinstance(services, Mapping) and any(_services(services))


def select_services(root: Mapping, selection: Selection) -> None:
    """Select the images of all services, and of the fragments that they share (``x-...``)."""
    fragments = {node.anchor: node for node in _anchored(root)}
    for key, node in root.entries:
        if key.startswith("x-") and isinstance(node, Mapping):
            select_images(node, selection)
        elif key == "include":
            selection.pass_over(node.line, key, f"other files are not read: {_USE_CONFIG}")
        elif key == "services" and isinstance(node, Mapping):
            for name, service in node.entries:
                _select_service(name, service, fragments, selection)


def _select_service(
    name: str, node: Node, fragments: dict[str, Mapping], selection: Selection
) -> None:
    if isinstance(node, Mapping):
        for key, child in node.entries:
            if key == "image":
                selection.take(child)
            else:
                hint_at_all(child, selection)
        for volume in node.mappings("volumes"):
            if volume.text("type") == "image" and (source := volume.get("source")) is not None:
                selection.take(source)
        if node.get("image") is not None:
            return
        merged = [alias for key, value in node.entries if key == "<<" for alias in _aliases(value)]
        known = [fragments[alias] for alias in merged if alias in fragments]
        if any(fragment.get("image") is not None for fragment in known):
            return  # the image of the fragment is selected
        if len(known) < len(merged) or any(fragment.get("<<") is not None for fragment in known):
            selection.pass_over(node.line, name, f"it is merged from an alias: {_USE_CONFIG}")
        elif node.mapping("extends").get("file") is not None:
            selection.pass_over(node.line, name, f"it extends another file: {_USE_CONFIG}")
        elif node.get("build") is not None:
            selection.pass_over(node.line, name, "it is built, and has no name of an image")
    elif isinstance(node, Scalar) and node.style is Style.ALIAS:
        selection.pass_over(node.line, name, f"it is an alias: {_USE_CONFIG}")


def _anchored(root: Mapping) -> Iterator[Mapping]:
    """Yield the services and the fragments, which can be merged into services by their anchors."""
    for key, node in root.entries:
        if isinstance(node, Mapping) and key.startswith("x-"):
            yield node
        elif isinstance(node, Mapping) and key == "services":
            yield from _services(node)


def _aliases(node: Node) -> list[str]:
    items = node.items if isinstance(node, Sequence) else [node]
    return [n.text for n in items if isinstance(n, Scalar) and n.style is Style.ALIAS]


def _services(services: Mapping) -> list[Mapping]:
    return [node for _, node in services.entries if isinstance(node, Mapping)]
