"""Pushing a payload: from a zip into a registry."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from docker_charon.descriptor import Body, Descriptor
from docker_charon.digest import Digest
from docker_charon.errors import BlobNotFound, ManifestNotFound, RegistryError
from docker_charon.payload_reader import Payload, SkippedImage, open_payload
from docker_charon.plan import Mount, NamedImage, blobs_to_ask_for, plan_push
from docker_charon.progress import Progress
from docker_charon.registry import RegistryClient

_HINT = "make the payload again without giving that image as already transferred"


def push_payload_to_registry(
    registry: str,
    zip_file: str | os.PathLike[str] | IO[bytes],
    strict: bool = False,
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    progress: bool | None = None,
) -> list[str]:
    """Push the images of a payload to a registry.

    Everything is checked before the first byte is written: the payload, and what the registry
    has of it. Tags are set last, so that none ever points to an incomplete image.

    Args:
        registry: The registry to push to, ``host`` or ``host:port``.
        zip_file: The payload: a path, or a file object opened for bytes, which is left open; one
            that cannot seek is copied into a temporary file first.
        strict: Raise when something that the payload takes for already transferred is not there.
            Otherwise a ``UserWarning`` says so, and that image is left out.
        secure: ``False`` for a registry on plain HTTP.
        username: For a registry that requires a login.
        password: For a registry that requires a login.
        progress: Show a bar on standard error; ``None`` means if that is a terminal.

    Returns:
        The images that the registry has now: ``docker_images_to_transfer`` of the payload, in its
        order and spelling, with those that were there already and without those left out.

    Raises:
        PayloadError: The payload cannot be read, or is not a whole one.
        DigestMismatch: The payload is damaged.
        ManifestNotFound: ``strict``, and an image that was to be there is missing or another.
        BlobNotFound: ``strict``, and a blob that was to be there is missing.
        RegistryError: The registry cannot be reached, or refuses.
        DockerCharonError: Any other failure; the base of those above.
    """
    with (
        open_payload(zip_file) as payload,
        RegistryClient(registry, secure=secure, username=username, password=password) as client,
    ):
        client.check_api()
        survey = _Survey(client)
        missing = _missing_images(survey, payload)
        plan = plan_push(payload.images, payload.carried, _holders(survey, payload))
        for name, blobs in plan.missing.items():
            missing[name] = _incomplete(client, name, blobs)
        for error in missing.values():
            if strict:
                raise error
            warnings.warn(f"left out: {error}", UserWarning, stacklevel=2)
        total = sum(blob.size for blob, _ in plan.uploads)
        with Progress("Pushing the payload", total, progress) as bar:
            for blob, repository in plan.uploads:
                client.upload_blob(repository, blob, payload.body(blob))
                bar.update(blob.size)
            for mount in plan.mounts:
                _mount(client, payload, mount)
        _put_manifests(client, [named for named in payload.images if named.name not in missing])
        return [name for name in payload.names if name not in missing]


class _Survey:
    """What the registry has, asked once for each repository and digest."""

    def __init__(self, client: RegistryClient) -> None:
        self.client = client
        self._answers: dict[tuple[str, Digest], bool] = {}

    def has(self, repository: str, blob: Descriptor) -> bool:
        """Whether the repository has the blob; one of another size is none."""
        key = (repository, blob.digest)
        if key not in self._answers:
            self._answers[key] = self.client.head_blob(repository, blob.digest) == blob.size
        return self._answers[key]


def _missing_images(survey: _Survey, payload: Payload) -> dict[str, RegistryError]:
    """Return what is wrong with the images that the registry was said to have, by name."""
    missing: dict[str, RegistryError] = {}
    for skipped in payload.skipped:
        error = _check_skipped(survey, skipped)
        if error is not None:
            missing[skipped.name] = error
    return missing


def _check_skipped(survey: _Survey, skipped: SkippedImage) -> RegistryError | None:
    client, reference = survey.client, skipped.reference
    try:
        found = client.get_manifest(reference.repository, reference.target).digest
    except ManifestNotFound:
        return ManifestNotFound(
            f"{client.registry} does not have {skipped.name}, which was given as already "
            "transferred when the payload was made",
            hint=_HINT,
        )
    if skipped.image is None:
        return None
    expected = skipped.image.root.digest
    if found != expected:
        return ManifestNotFound(
            f"{client.registry} has {found} as {skipped.name}, which was {expected} when the "
            "payload was made",
            hint=_HINT,
        )
    for manifest in skipped.image.manifests[:-1]:
        if client.head_manifest(reference.repository, manifest.digest) is None:
            return ManifestNotFound(
                f"{client.registry} has {skipped.name} without its manifest {manifest.digest}",
                hint=_HINT,
            )
    lacking = [
        blob
        for blob in skipped.image.blobs
        if not blob.urls and not survey.has(reference.repository, blob)
    ]
    return _incomplete(client, skipped.name, lacking) if lacking else None


def _incomplete(client: RegistryClient, name: str, blobs: Sequence[Descriptor]) -> BlobNotFound:
    more = f" and {len(blobs) - 1} more" if len(blobs) > 1 else ""
    return BlobNotFound(
        f"{client.registry} lacks the blob {blobs[0].digest}{more} of {name}, and the payload "
        "does not carry it",
        hint=_HINT,
    )


def _holders(survey: _Survey, payload: Payload) -> dict[Digest, list[str]]:
    """Return the repositories that have a blob, as far as the push depends on it."""
    holders: dict[Digest, list[str]] = {}
    needed: dict[Digest, Descriptor] = {}
    for repository, blob in blobs_to_ask_for(payload.images):
        found = holders.setdefault(blob.digest, [])
        if survey.has(repository, blob):
            found.append(repository)
        needed[blob.digest] = blob
    for digest, blob in needed.items():
        if holders[digest] or digest in payload.carried:
            continue
        for repository in payload.elsewhere.get(digest, ()):
            if survey.has(repository, blob):
                holders[digest].append(repository)
                break
    return holders


def _mount(client: RegistryClient, payload: Payload, mount: Mount) -> None:
    """Let the registry copy a blob; where it does not, bring it there."""
    if client.mount_blob(mount.repository, mount.blob.digest, source=mount.source):
        return
    body: Body
    if mount.blob.digest in payload.carried:
        body = payload.body(mount.blob)
    else:
        body = _RegistryBody(client, mount.source, mount.blob)
    client.upload_blob(mount.repository, mount.blob, body)


@dataclass(frozen=True, slots=True)
class _RegistryBody:
    """A blob that only the registry has, read from a repository that holds it."""

    client: RegistryClient
    repository: str
    blob: Descriptor

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        with self.client.get_blob(self.repository, self.blob) as stream:
            yield from self.blob.verified(stream)


def _put_manifests(client: RegistryClient, images: Sequence[NamedImage]) -> None:
    """Put what lies below the images first, and their tags last."""
    below = {
        (named.reference.repository, manifest.digest): manifest
        for named in images
        for manifest in named.image.manifests[:-1]
    }
    for (repository, digest), manifest in below.items():
        client.put_manifest(repository, digest, manifest)
    for named in images:
        repository, target = named.reference.repository, named.reference.target
        # A tag that is right already stays untouched: it may be an immutable one.
        if client.head_manifest(repository, target) != named.image.root.digest:
            client.put_manifest(repository, target, named.image.root)
