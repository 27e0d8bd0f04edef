"""The images in the store of a machine, as docker, podman and crictl print them in JSON."""

from __future__ import annotations

from docker_charon.lists.image_list import Selection
from docker_charon.lists.name import NO_TAG, reason_without_name
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence


def select_stored(root: Node, selection: Selection) -> bool:
    """Select the images that a store lists; return whether ``root`` is such a list.

    These are ``docker images --format json`` (``Repository`` and ``Tag``), ``docker image inspect``
    and ``crictl images -o json`` (``RepoTags``), ``podman images --format json`` (``Names``), and
    the containers of ``docker ps --format json`` and ``podman ps --format json`` (``Image``).
    """
    if isinstance(root, Sequence):
        entries = [item for item in root.items if isinstance(item, Mapping)]
    elif isinstance(root, Mapping) and isinstance(root.get("images"), Sequence):
        entries = list(root.mappings("images"))
    else:
        entries = [root] if isinstance(root, Mapping) else []
    known = [_select_entry(entry, selection) for entry in entries]
    return any(known)


def _select_entry(entry: Mapping, selection: Selection) -> bool:
    repository, tag = entry.text("Repository"), entry.text("Tag")
    if repository and entry.get("Tag") is not None:
        name = f"{repository}:{tag}"
        if not tag or reason_without_name(name):
            selection.pass_over(entry.line, name, NO_TAG)
        else:
            selection.take(Scalar(entry.line, name))
        return True
    image, names = entry.get("Image"), entry.get("Names")
    if image is not None and names is not None:  # a container, with names of its own
        selection.take(image)
        return True
    if not entry.text("Id") and not entry.text("id"):
        return False
    tags = [entry.get(key) for key in ("Names", "RepoTags", "repoTags")]
    for node in tags:
        if isinstance(node, Sequence):
            _select_names(entry, node, selection)
            return True
    return False


def _select_names(entry: Mapping, names: Sequence, selection: Selection) -> None:
    scalars = [name for name in names.items if isinstance(name, Scalar)]
    texts = [name for name in scalars if not reason_without_name(name.text)]
    for name in texts:
        selection.take(name)
    if not texts:
        selection.pass_over(entry.line, entry.text("Id") or entry.text("id"), NO_TAG)
