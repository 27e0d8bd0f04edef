"""A kustomization: the images with which it replaces others."""

from __future__ import annotations

from docker_charon.lists.image_list import Selection
from docker_charon.lists.tree import Mapping, Scalar, Sequence, is_given

_FILES = ("resources", "bases", "components", "helmCharts")


def is_kustomization(root: Mapping) -> bool:
    """Return whether a document is a ``kustomization.yaml``, whose ``kind`` can be left out."""
    if (kind := root.text("kind")) != "":
        return kind == "Kustomization" and "kustomize.config.k8s.io" in root.text("apiVersion")
    return any(is_override(image) for image in root.mappings("images"))


def select_overrides(root: Mapping, selection: Selection) -> None:
    """Select the images that a kustomization names; the files that it names are passed over."""
    for image in root.mappings("images"):
        select_override(image, selection)
    for key in _FILES:
        if isinstance(files := root.get(key), Sequence) and files.items:
            reason = "other files are not read: use the output of kustomize build"
            selection.pass_over(files.line, key, reason)


def is_override(node: Mapping) -> bool:
    """Return whether an entry of ``images`` says with what an image is replaced."""
    names = ("newName", "newTag", "digest")
    return node.get("name") is not None and any(node.get(name) is not None for name in names)


def select_override(node: Mapping, selection: Selection) -> None:
    """Select an image with which kustomize replaces another one."""
    new_name, new_tag, digest = (node.get(key) for key in ("newName", "newTag", "digest"))
    name = new_name if is_given(new_name) else node.get("name")
    if not isinstance(name, Scalar):
        selection.pass_over(node.line, "images", "it has no name")
        return
    parts = [part for part in (name, new_tag, digest) if isinstance(part, Scalar)]
    has_tag = ":" in name.text.rpartition("/")[2] or "@" in name.text
    if not is_given(new_tag) and not is_given(digest) and not has_tag:
        reason = "its tag is in other files: use the output of kustomize build"
        selection.pass_over(name.line, name.text, reason)
        return
    text = name.text
    text += f":{node.text('newTag')}" if is_given(new_tag) else ""
    text += f"@{node.text('digest')}" if is_given(digest) else ""
    selection.take_joined(name.line, text, parts)
