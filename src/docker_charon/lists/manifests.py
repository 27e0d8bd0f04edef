"""Manifests: objects of Kubernetes, values of Helm, and other files with keys named ``image``."""

from __future__ import annotations

from docker_charon.lists.hints import DESCRIPTIVE, hint_at
from docker_charon.lists.image_list import Selection
from docker_charon.lists.kustomization import is_override, select_override
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence, is_given

_IMAGE = "image"
_REPLACED = "auto"  # https://istio.io/latest/docs/setup/additional-setup/gateway/


def select_images(root: Node, selection: Selection) -> bool:
    """Select the images under all keys named ``image``; return whether there are such keys.

    The state of an object of Kubernetes repeats its images, and a schema only describes the keys of
    other objects: both are left out. Names under other keys and in arguments are passed over,
    because not every text that looks like a name is one.
    """
    is_known = False
    is_object = isinstance(root, Mapping) and root.get("kind") is not None
    stack: list[tuple[str, Node]] = [("", root)]
    while stack:
        key, node = stack.pop()
        if isinstance(node, Scalar):
            if key == _IMAGE:
                is_known = True
                _select_text(node, selection)
            else:
                hint_at(key, node, selection)
        elif isinstance(node, Sequence):
            is_list = key == "images" and not is_object
            stack += [
                (_IMAGE if is_list and isinstance(item, Scalar) else key, item)
                for item in reversed(node.items)
            ]
        elif key == "images" and is_override(node):
            is_known = True
            select_override(node, selection)
        elif _is_parts(key, node):
            is_known = True
            _select_parts(node, selection)
        else:
            stack += reversed(_looked_through(node))
    return is_known


def _is_parts(key: str, node: Mapping) -> bool:
    """Return whether a mapping describes one image, and does not contain several images."""
    if is_given(node.get("repository")) and node.get("tag") is not None:
        return True
    return key == _IMAGE and not any(isinstance(child, Mapping) for _, child in node.entries)


def _looked_through(node: Mapping) -> list[tuple[str, Node]]:
    is_object = node.get("kind") is not None or node.get("metadata") is not None
    left_out = {"status", *DESCRIPTIVE} if is_object else DESCRIPTIVE
    return [(key, child) for key, child in node.entries if key not in left_out]


def _select_text(node: Scalar, selection: Selection) -> None:
    if node.text == _REPLACED:
        reason = "Istio replaces it when the pod starts: name the image of the proxy yourself"
        selection.pass_over(node.line, node.text, reason)
    else:
        selection.take(node)


def _select_parts(node: Mapping, selection: Selection) -> None:
    """Select an image whose repository and tag have keys of their own, as in values of Helm."""
    if isinstance(reference := node.get("reference"), Scalar):  # a volume of Kubernetes
        selection.take(reference)
        return
    repository, tag = node.get("repository"), node.get("tag")
    digest = node.get("digest") or node.get("sha")
    if not isinstance(repository, Scalar) or repository.is_null:
        name = node.text("name") or _IMAGE
        selection.pass_over(node.line, name, "it is a mapping without a repository")
        return
    registry = node.get("registry")
    parts = [part for part in (registry, repository, tag, digest) if is_given(part)]
    scalars = [part for part in parts if isinstance(part, Scalar)]
    name = repository.text
    if is_given(registry):
        name = f"{node.text('registry')}/{name}"
    if not is_given(tag) and not is_given(digest):
        reason = "its tag is not in the file: use the output of helm template"
        selection.pass_over(repository.line, name, reason)
        return
    name += f":{node.text('tag')}" if is_given(tag) else ""
    if is_given(digest) and isinstance(digest, Scalar):
        name += f"@{digest.text}" if ":" in digest.text else f"@sha256:{digest.text}"
    selection.take_joined(repository.line, name, scalars)
