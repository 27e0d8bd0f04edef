"""A client of the distribution API: one method an endpoint (OCI distribution-spec 1.1).

What to do when something is missing, and in which order to push, is decided by the callers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import requests

from docker_charon.errors import (
    DigestMismatch,
    InvalidDigest,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import argument, get_logger
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MANIFEST_TYPES, MAX_SIZE, Manifest
from docker_charon.registry.access import Access
from docker_charon.registry.blobs import BlobState, BlobStates, BlobStream, blob_size
from docker_charon.registry.errors import explaining_refusal
from docker_charon.registry.http import origin
from docker_charon.registry.retry import ONCE, TRANSIENT, Tries
from docker_charon.registry.session import Session
from docker_charon.registry.uploads import BlobUploads

# Modules that only some commands need are imported there, so that the others start quickly.

_log = get_logger(__name__)
_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_CATALOG = "registry:catalog:*"
UNKNOWN_PART = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
"""The codes with which a registry refuses a manifest because it lacks a part of it."""
_DAMAGED_ON_ITS_WAY = frozenset({"DIGEST_INVALID", "MANIFEST_INVALID"})
"""The codes with which a registry may refuse a manifest that it takes a moment later."""
_MORE_TRIES = 2
"""Tries beyond the usual ones for a read that lags behind a write: on some registries, seconds."""


class RegistryClient:
    """One registry, as one user sees it.

    ``registry`` is a host with an optional port. ``connections`` is the number of connections that
    are kept open, one for each thread. Every method raises `RegistryError` or a subclass of it for
    an answer that it does not expect.
    """

    def __init__(
        self, registry: str, access: Access | None = None, *, connections: int = 1
    ) -> None:
        self._session = Session(registry, access or Access(), connections)
        self._uploads = BlobUploads(self._session)
        self._blob_states = BlobStates(self._session)
        self.registry = registry
        self.doubt: RegistryError | None = None
        """Why this may not be a registry, if its answer to the check of its API is unusual."""

    def __repr__(self) -> str:
        return f"<RegistryClient {self._session.url}>"

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if error is not None:
            self._uploads.cancel()
        self._session.close()

    def tries(self, **changes: Any) -> Tries:
        """Return the tries of an operation of several requests: those of `Access`, changed."""
        return self._session.tries(replace(self._session.retry, **changes))

    def check_api(self) -> None:
        """Check that a registry answers here (end-1), and learn how its users log in.

        Raises `ConnectionFailed` if nothing answers, and `RegistryError` if the answer is not that
        of a registry, if it is a redirect to another origin, or if the login is refused.
        """
        doing = "the first request"
        # Where nothing listens when a run begins, nothing will.
        retry = replace(self._session.retry, when_unreachable=False, when_away=False)
        with self._session.request(
            "GET", "", expect=(200, 401, 404, 405), doing=doing, retry=retry
        ) as response:
            if origin(response.url) != origin(self._session.url):
                scheme, host, port = origin(response.url)
                raise RegistryError(
                    f"{self.registry} is not the address of the registry: it redirects to "
                    f"{scheme}://{host}:{port}",
                    hint=f"name that host, and leave {argument('--insecure', 'secure=False')} "
                    "out for https",
                )
            if response.status_code in (404, 405):
                error = self._session.answer_error(response, doing)
                error.hint = "it does not look like a registry"
                raise error
            if response.status_code == 401 and not self._session.login.needs_scopes(response):
                login = self._session.login.found()
                # Without a login, some registries refuse this request and no other.
                if login is not None and login.credentials is not None:
                    raise self._session.answer_error(response, doing)
            self._session.read_short(response)

    def get_manifest(
        self,
        repository: str,
        reference: str,
        *,
        to_push: bool = False,
        statuses: frozenset[int] = TRANSIENT,
    ) -> Manifest:
        """Fetch a manifest by tag or digest (end-3), its bytes as they are stored.

        ``to_push`` asks for the rights to push, which a new repository may need. ``statuses`` are
        the HTTP statuses after which the request is sent again.

        Raises `ManifestNotFound`, `InvalidManifest`, and `DigestMismatch` if the bytes do not have
        the digest that was asked for, or not the one that the registry states for them.
        """
        attempt = self._reading(repository, reference, to_push=to_push)
        return self.tries(statuses=statuses, when_damaged=True).run(attempt)

    def check_manifest(self, repository: str, reference: str, manifest: Manifest) -> None:
        """Check that a manifest, which has just been put, is what the registry has now (end-3).

        Reads that lag behind writes are waited for. If the registry does not let this user read,
        that is logged and the check passes. Raises `RegistryError` if the registry does not have
        the manifest or has another one, and `InvalidManifest` if it sends something else.
        """
        attempt = self._reading(repository, reference, to_push=True)
        name = _name(repository, reference)

        def check() -> None:
            try:
                content = attempt().content
            except ManifestNotFound:
                raise RegistryError(
                    f"{self.registry} has taken {name}, but does not show it",
                    hint="a cache in front of it may be out of date: look again later",
                    status=404,
                ) from None
            if content != manifest.content:
                raise DigestMismatch(
                    f"{self.registry} has taken {manifest.digest} as {name}, but shows "
                    f"{Digest.of(content)}",
                    hint="a cache in front of it, or another client that pushes, may be the cause",
                )

        retry = self._session.retry
        tries = retry.tries + _MORE_TRIES if retry.tries > 1 else 1
        statuses = TRANSIENT | {404}
        try:
            self.tries(tries=tries, statuses=statuses, when_damaged=True).run(check)
        except DigestMismatch as error:
            raise RegistryError(error.message, hint=error.hint) from None
        except RegistryError as error:
            if error.status is None or error.status in statuses:
                raise
            _log.warning("%s cannot be looked at: %s", name, error)

    def _reading(self, repository: str, reference: str, *, to_push: bool) -> Callable[[], Manifest]:
        """Return a function that fetches a manifest with one request."""
        name, place = _name(repository, reference), self._session.repository(repository)
        digest = Digest(reference) if ":" in reference else None
        previous: bytes | None = None

        def attempt() -> Manifest:
            nonlocal previous
            with self._session.request(
                "GET",
                place.path("manifests", reference),
                scopes=[place.push if to_push else place.pull],
                headers=_ACCEPT,
                expect=(200, 404),
                doing=f"the manifest of {name}",
                retry=ONCE,
            ) as response:
                if response.status_code == 404:
                    raise self._manifest_not_found(name)
                content = self._session.read(response, MAX_SIZE)
            stated = _stated_digest(response)
            if stated is not None and stated != Digest.of(content, stated.algorithm):
                # One of the two is wrong. If the same content comes twice, it is right.
                if content != previous:
                    previous = content
                    raise DigestMismatch(
                        f"{self.registry} says that {name} is {stated}, and sends "
                        f"{Digest.of(content, stated.algorithm)}"
                    )
                stated = None
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            try:
                return Manifest.parse(content, media_type, digest or stated)
            except (InvalidManifest, DigestMismatch) as error:
                raise type(error)(
                    f"{name} on {self.registry}: {error.message}", hint=error.hint
                ) from None

        return attempt

    def head_manifest(
        self, repository: str, reference: str, *, to_push: bool = False
    ) -> Digest | None:
        """Return the digest of a manifest (end-3), or ``None`` if the registry does not have it.

        It is the digest that the registry states; if it states none, that of the bytes.
        ``to_push`` asks for the rights to push, which a new repository may need. Raises as
        `get_manifest` does.
        """
        place = self._session.repository(repository)
        response = self._session.head(
            place.path("manifests", reference),
            scopes=[place.push if to_push else place.pull],
            headers=_ACCEPT,
            doing=f"the manifest of {_name(repository, reference)}",
        )
        if response is not None:
            if response.status_code == 404:
                return None
            if stated := _stated_digest(response):
                return stated
        try:
            return self.get_manifest(repository, reference, to_push=to_push).digest
        except ManifestNotFound:
            return None

    def get_blob(self, repository: str, blob: Descriptor, start: int = 0) -> BlobStream:
        """Open a blob for reading (end-2), from the byte ``start`` on.

        Raises `BlobNotFound`, and `DigestMismatch` when the registry announces another length.
        """
        return BlobStream(self._session, self._session.repository(repository), blob, start)

    def read_blob(self, repository: str, blob: Descriptor) -> bytes:
        """Return the content of a short blob, verified; raises the errors of `get_blob`."""
        with self.get_blob(repository, blob) as stream:
            return b"".join(bytes(chunk) for chunk in blob.verified(stream))

    def head_blob(self, repository: str, digest: Digest, *, to_push: bool = False) -> int | None:
        """Return a blob's size in bytes (end-2), or ``None`` if the repository does not have it.

        ``to_push`` asks for the rights to push, which a new repository may need.
        """
        place = self._session.repository(repository)
        return blob_size(self._session, place, digest, to_push=to_push)

    def blob_state(self, repository: str, blob: Descriptor, *, to_push: bool = False) -> BlobState:
        """Return what a repository has of a blob (end-2): its last byte is read.

        ``to_push`` asks for the rights to push. Raises only errors that every other request would
        raise too: `ConnectionFailed`, and `AuthenticationError` if the login itself is refused.
        """
        return self._blob_states.state(self._session.repository(repository), blob, to_push=to_push)

    def check_blob(self, repository: str, blob: Descriptor) -> None:
        """Check that a blob, which has just been stored, can be read.

        Reads that lag behind writes are waited for. Raises `BlobNotFound` if the registry does not
        have the blob, or has something else instead.
        """
        self._blob_states.check(self._session.repository(repository), blob)

    def upload_blob(self, repository: str, blob: Descriptor, body: Body) -> None:
        """Store a blob (end-4a to end-6), in one request or in chunks; see `BlobUploads.upload`."""
        self._uploads.upload(self._session.repository(repository), blob, body)

    def mount_blob(self, repository: str, digest: Digest, *, source: str) -> bool:
        """Ask for a server-side copy (end-11); ``False`` means that it has to be uploaded.

        Raises only `ConnectionFailed`.
        """
        session = self._session
        return self._uploads.mount(
            session.repository(repository), digest, session.repository(source)
        )

    def put_manifest(
        self,
        repository: str,
        reference: str,
        manifest: Manifest,
        *,
        waits_for_parts: bool = True,
    ) -> bool:
        """Store a manifest under a tag or its digest (end-7), byte for byte.

        Return whether the registry lists it among the referrers of its subject (distribution-spec
        1.1, "Pushing Manifests with Subject"): ``False`` means that the caller keeps the list.

        The manifest is sent again if the registry says that its bytes are wrong: they were damaged
        on their way, or another client stores something at the same time. With ``waits_for_parts``
        it is also sent again if the registry says that it lacks a part, which it may have stored a
        moment ago. Raises as `check_manifest` does if the registry states another digest.
        """
        codes = _DAMAGED_ON_ITS_WAY | (UNKNOWN_PART if waits_for_parts else frozenset())
        name, place = _name(repository, reference), self._session.repository(repository)
        with (
            explaining_refusal(manifest),
            self._session.request(
                "PUT",
                place.path("manifests", reference),
                scopes=[place.push],
                headers={"Content-Type": manifest.media_type},
                body=manifest.content,
                expect=(200, 201, 202),
                doing=f"the manifest of {name}",
                retry=replace(self._session.retry, codes=codes),
            ) as response,
        ):
            stored = response.headers.get("Docker-Content-Digest", manifest.digest)
            lists_referrers = "OCI-Subject" in response.headers
        if stored != manifest.digest:  # the header can be wrong; the bytes cannot
            self.check_manifest(repository, reference, manifest)
        return lists_referrers

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository (end-8a), from all pages. They may be invalid names.

        Raises `ManifestNotFound` if there is no such repository, and `IncompleteListing` if a page
        after the first one cannot be read.
        """
        from docker_charon.registry.listing import Listing

        place, doing = self._session.repository(repository), f"the tags of {repository}"
        path = place.path("tags", "list")
        try:
            return Listing(self._session, path, "tags", doing=doing, scope=place.pull).read()
        except RegistryError as error:
            if error.status == 404:
                raise self._manifest_not_found(repository) from None
            raise

    def repositories(self) -> list[str]:
        """Return the repositories that this user may see, from all pages.

        They may be invalid names. ``_catalog`` is not part of the distribution-spec, and not every
        registry has it. Raises `IncompleteListing` if a page after the first one cannot be read.
        """
        from docker_charon.registry.listing import Listing

        doing = "the list of its repositories"
        return Listing(
            self._session, "_catalog", "repositories", doing=doing, scope=_CATALOG
        ).read()

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor] | None:
        """Return the descriptors of what refers to a manifest (end-12a), from all pages.

        ``None`` means that the registry has no referrers API. Raises `ManifestNotFound` if a page
        after the first one cannot be read, or if the list is too long.
        """
        from docker_charon.registry.referrers import read_referrers

        return read_referrers(self._session, self._session.repository(repository), subject)

    def _manifest_not_found(self, name: str) -> ManifestNotFound:
        return ManifestNotFound(
            f"{self.registry} has no {name}", hint="is the name spelled right?", status=404
        )


@contextlib.contextmanager
def open_source(registry: str, access: Access, jobs: int) -> Iterator[RegistryClient]:
    """Open a client for ``jobs`` threads that only reads.

    Raises as `RegistryClient.check_api` does if no registry answers there, or if it refuses the
    login. Some registries refuse only this check: its error is then the client's ``doubt``.
    """
    with RegistryClient(registry, access, connections=jobs) as client:
        try:
            client.check_api()
        except RegistryError as error:
            if error.status in (None, 401, 407, 429):  # 407 is the answer of a proxy
                raise
            client.doubt = error
        yield client


@contextlib.contextmanager
def open_registry(registry: str, access: Access, jobs: int) -> Iterator[RegistryClient]:
    """Open a client for ``jobs`` threads, and check that a registry answers there.

    Raises as `RegistryClient.check_api` does.
    """
    with RegistryClient(registry, access, connections=jobs) as client:
        client.check_api()
        yield client


def _stated_digest(response: requests.Response) -> Digest | None:
    """Return the digest that an answer states for its content, if it states a valid one."""
    with contextlib.suppress(InvalidDigest):
        return Digest(response.headers.get("Docker-Content-Digest"))
    return None


def _name(repository: str, reference: str) -> str:
    return f"{repository}{'@' if ':' in reference else ':'}{reference}"
