"""The non-distributable layers that the registries of images do not have."""

from __future__ import annotations

from collections.abc import Iterable

from docker_charon.errors import RegistryError
from docker_charon.oci.image import NamedImage
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers


def absent_layers(
    sources: Sources, workers: Workers, images: Iterable[NamedImage]
) -> set[RepositoryBlob]:
    """Return the non-distributable layers that the registries do not have.

    OCI image-spec 1.1, "Non-Distributable Layers": a registry may lack layers that have ``urls``.
    """
    layers = dict.fromkeys(
        needed
        for image in images
        for needed in RepositoryBlob.of(image)
        if needed.blob.is_non_distributable
    )

    def is_absent(layer: RepositoryBlob) -> bool:
        try:
            return sources.head_blob(layer.repository, layer.digest) != layer.blob.size
        except RegistryError as error:
            if error.status is None:
                raise
            return True  # some registries refuse to answer for these layers

    answers = workers.map(is_absent, layers)
    return {layer for layer, absent in zip(layers, answers, strict=True) if absent}
