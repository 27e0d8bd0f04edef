"""Lists of images for other tools of this kind: hauler, zarf, imgpkg, oc-mirror and others."""

from __future__ import annotations

from collections.abc import Callable

from docker_charon.lists.image_list import Selection
from docker_charon.lists.synchronisation import (
    is_for_regsync,
    is_for_skopeo,
    select_for_regsync,
    select_for_skopeo,
)
from docker_charon.lists.tree import Mapping, Node, Scalar, Sequence
from docker_charon.oci.host import host_in_front
from docker_charon.oci.reference import joined


def selector_of(root: Mapping) -> tuple[str, Callable[[Mapping, Selection], None]] | None:
    """Return the name of a tool and what selects from its list; ``None`` for all other documents.

    The documents are hauler's ``Images``, zarf's package definition, imgpkg's ``ImagesLock`` and
    oc-mirror's ``ImageSetConfiguration``, and the lists of ``skopeo sync`` and regsync.
    """
    kind, group = root.text("kind"), root.text("apiVersion").partition("/")[0]
    if group == "content.hauler.cattle.io":
        return "hauler", _select_hauler
    if kind in ("ZarfPackageConfig", "ZarfInitConfig") or _is_fragment_of_zarf(root):
        return "zarf", _select_zarf
    if kind == "ImagesLock":
        return "imgpkg", _select_lock
    if kind == "ImageSetConfiguration":
        return "oc-mirror", _select_image_set
    if is_for_skopeo(root):
        return "skopeo sync", select_for_skopeo
    if is_for_regsync(root):
        return "regsync", select_for_regsync
    return None


def _select_hauler(root: Mapping, selection: Selection) -> None:
    spec, annotations = root.mapping("spec"), root.mapping("metadata").mapping("annotations")
    registry = annotations.text("hauler.dev/registry")
    _pass_over_platform(annotations.get("hauler.dev/platform"), selection)
    for image in spec.mappings("images"):
        name = image.get("name")
        if registry and isinstance(name, Scalar) and not host_in_front(name.text):
            selection.take_joined(name.line, joined(registry, name.text), [name])
        else:
            _take_key(image, "name", selection)
        _pass_over_platform(image.get("platform"), selection)
    for key in ("charts", "imageTxts"):
        _pass_over_section(spec, key, selection)


def _pass_over_platform(platform: Node | None, selection: Selection) -> None:
    if isinstance(platform, Scalar) and platform.text != "all":
        reason = "platforms hold for all images: use --platform"
        selection.pass_over(platform.line, platform.text, reason)


def _select_zarf(root: Mapping, selection: Selection) -> None:
    for component in root.mappings("components"):
        images = component.get("images")
        for image in images.items if isinstance(images, Sequence) else []:
            selection.take(image)
        _pass_over_section(component, "imageArchives", selection)


def _select_lock(root: Mapping, selection: Selection) -> None:
    images = root.get("images") or root.mapping("spec").get("images")
    for image in images.items if isinstance(images, Sequence) else []:
        if isinstance(image, Mapping):
            _take_key(image, "image", selection)


def _select_image_set(root: Mapping, selection: Selection) -> None:
    mirror = root.mapping("mirror")
    for image in mirror.mappings("additionalImages"):
        _take_key(image, "name", selection)
    for key in ("platform", "operators", "helm"):
        _pass_over_section(mirror, key, selection)


def _take_key(image: Mapping, key: str, selection: Selection) -> None:
    node = image.get(key)
    if node is None:
        selection.pass_over(image.line, key, "it is missing")
    else:
        selection.take(node)


def _pass_over_section(parent: Mapping, key: str, selection: Selection) -> None:
    if (node := parent.get(key)) is not None and not (isinstance(node, Scalar) and node.is_null):
        selection.pass_over(
            node.line, key, "it is not read: add the names of the images that it needs"
        )


def _is_fragment_of_zarf(root: Mapping) -> bool:
    """Return whether this is what ``zarf dev find-images`` prints: a package without a head."""
    images = [component.get("images") for component in root.mappings("components")]
    return any(isinstance(node, Sequence) for node in images)
