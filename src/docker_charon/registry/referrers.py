"""The referrers of a manifest, as the referrers API lists them (distribution-spec 1.1, end-12a)."""

from __future__ import annotations

from typing import Any

from docker_charon.errors import InvalidManifest, ManifestNotFound, RegistryError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry.session import Repository, Session, is_html

_NO_API = (400, 404, 405, 406, 501)
"""How registries without a referrers API answer; the spec has 404."""

_MOST = 10_000  # referrers of one manifest
_LONGEST = 16 * 1024 * 1024  # characters in the descriptors of all of them


def read_referrers(
    session: Session, repository: Repository, subject: Digest
) -> list[Descriptor] | None:
    """Return the descriptors of what refers to a manifest, from all pages.

    ``None`` means that the registry has no referrers API. Raises `RegistryError` if the first page
    cannot be read, and `ManifestNotFound` if a later one cannot, or if the list is too long.
    """
    doing = f"the referrers of {repository.name}@{subject}"
    referrers: list[Descriptor] = []
    try:
        for response, document in session.pages(
            repository.path("referrers", subject),
            doing=doing,
            scopes=[repository.pull],
            expect=(200, *_NO_API),
            may_be_html=True,
        ):
            if response.status_code != 200 or is_html(response):
                if referrers:
                    raise session.answer_error(response, doing, [repository.pull])
                return None
            referrers += _listed(document, doing, session.registry)
            if len(referrers) > _MOST or sum(map(_text_size, referrers)) > _LONGEST:
                raise RegistryError(f"{session.registry} lists too much: {len(referrers):,} so far")
    except RegistryError as error:
        if not referrers:
            raise
        raise ManifestNotFound(
            f"the list of {doing} ends after {len(referrers)}: {error.message}",
            hint=error.hint,
            status=error.status,
        ) from error
    return referrers


def _listed(document: Any, doing: str, registry: str) -> list[Descriptor]:
    """Return the descriptors of one page."""
    listed = document.get("manifests") or [] if document is not None else None
    if not isinstance(listed, list):
        raise RegistryError(f"{registry} sends something else than {doing}")
    try:
        return [Descriptor.parse(value, f"manifests[{n}]") for n, value in enumerate(listed)]
    except InvalidManifest as error:
        raise RegistryError(f"{doing} on {registry}: {error}") from None


def _text_size(descriptor: Descriptor) -> int:
    """Return about how many characters the texts in a descriptor have."""
    annotations = (len(key) + len(value) for key, value in descriptor.annotations.items())
    return sum(annotations) + sum(map(len, descriptor.urls))
