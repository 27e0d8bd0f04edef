"""A client of the distribution API: one method an endpoint (OCI distribution-spec 1.1).

What to do when something is missing, and in which order to push, is decided by the callers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import requests

from docker_charon.errors import (
    DigestMismatch,
    InvalidDigest,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MANIFEST_TYPES, MAX_SIZE, Manifest
from docker_charon.registry.blobs import BlobStream, blob_size
from docker_charon.registry.http import origin
from docker_charon.registry.retry import ONCE, Tries
from docker_charon.registry.session import Access, Session, is_html
from docker_charon.registry.uploads import BlobUploads

_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_CATALOG = "registry:catalog:*"
_NO_API = (400, 404, 405, 406, 501)
"""How registries without a referrers API answer; the spec has 404."""
_MOST_NAMES = 1_000_000  # of repositories or tags, before it is taken for a list without an end
_UNSETTLED = frozenset(
    {"DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
)
"""The codes with which a registry may refuse a manifest that it takes a moment later."""


class RegistryClient:
    """One registry, as one user sees it.

    ``registry`` is a host with an optional port. ``connections`` are kept open for as many threads.
    Every method raises `RegistryError`, or one of its children, for an answer that it does not
    expect.
    """

    def __init__(
        self, registry: str, access: Access | None = None, *, connections: int = 1
    ) -> None:
        self._session = Session(registry, access or Access(), connections)
        self._uploads = BlobUploads(self._session)
        self.registry = registry

    def __repr__(self) -> str:
        return f"<RegistryClient {self._session.url}>"

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def check_api(self) -> None:
        """Check that a registry answers here (end-1), and learn how its users log in."""
        doing = "the check of its API"
        # Where nothing listens when a run begins, nothing will.
        retry = replace(self._session.retry, when_unreachable=False)
        with self._session.request(
            "GET", "", expect=(200, 401, 404, 405), doing=doing, retry=retry
        ) as response:
            if origin(response.url) != origin(self._session.url):
                scheme, host, port = origin(response.url)
                raise RegistryError(
                    f"{self.registry} is not where the registry is: it redirects to "
                    f"{scheme}://{host}:{port}",
                    hint="name that host, and leave --insecure out for https",
                )
            if response.status_code in (404, 405):
                error = self._session.answer_error(response, doing)
                error.hint = "it does not look like a registry"
                raise error
            if response.status_code == 401 and not self._session.login.needs_scopes(response):
                login = self._session.login.found()
                if login is not None and login.credentials is not None:
                    raise self._session.answer_error(response, doing)
            self._session.read_short(response)

    def get_manifest(self, repository: str, reference: str) -> Manifest:
        """Fetch a manifest by tag or digest (end-3), its bytes as they are stored.

        Raises `ManifestNotFound`, `DigestMismatch` when it was asked for by digest and is
        something else, and `InvalidManifest`.
        """
        name, place = _name(repository, reference), self._session.repository(repository)
        digest = Digest(reference) if ":" in reference else None
        previous: bytes | None = None

        def attempt() -> Manifest:
            nonlocal previous
            with self._session.request(
                "GET",
                place.path("manifests", reference),
                scopes=[place.pull],
                headers=_ACCEPT,
                expect=(200, 404),
                doing=f"the manifest of {name}",
                retry=ONCE,
            ) as response:
                if response.status_code == 404:
                    raise self._manifest_not_found(name)
                content = self._session.read(response, MAX_SIZE)
            stated, actual = _stated_digest(response), Digest.of(content)
            # If the header and the content differ, one is wrong. The same content twice is right.
            is_wrong = stated and stated.algorithm == actual.algorithm and stated != actual
            if is_wrong and content != previous:
                previous = content
                raise DigestMismatch(
                    f"{self.registry} says that {name} is {stated}, and sends {actual}"
                )
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            try:
                return Manifest.parse(content, media_type, digest)
            except (InvalidManifest, DigestMismatch) as error:
                raise type(error)(f"{name} on {self.registry}: {error}") from None

        return Tries(replace(self._session.retry, when_damaged=True)).run(attempt)

    def head_manifest(
        self, repository: str, reference: str, *, to_push: bool = False
    ) -> Digest | None:
        """Return the digest of a manifest (end-3), or ``None`` when the registry has none.

        It is the digest that the registry states, or that of the bytes where it states none.
        ``to_push`` asks with the rights of a push, which a new repository may need.
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
            return self.get_manifest(repository, reference).digest
        except ManifestNotFound:
            return None

    def get_blob(self, repository: str, blob: Descriptor) -> BlobStream:
        """Open a blob for reading (end-2).

        Raises `BlobNotFound`, and `DigestMismatch` when the registry announces another length.
        """
        return BlobStream(self._session, self._session.repository(repository), blob)

    def read_blob(self, repository: str, blob: Descriptor) -> bytes:
        """Return the content of a short blob, verified; raises the errors of `get_blob`."""
        with self.get_blob(repository, blob) as stream:
            return b"".join(bytes(chunk) for chunk in blob.verified(stream))

    def head_blob(self, repository: str, digest: Digest, *, to_push: bool = False) -> int | None:
        """Return a blob's size in bytes (end-2), or ``None`` when the repository has none.

        ``to_push`` asks with the rights of a push, which a new repository may need.
        """
        place = self._session.repository(repository)
        return blob_size(self._session, place, digest, to_push=to_push)

    def upload_blob(self, repository: str, blob: Descriptor, body: Body) -> None:
        """Store a blob (end-4a to end-6), in one request or, where those are limited, in chunks."""
        self._uploads.upload(self._session.repository(repository), blob, body)

    def mount_blob(self, repository: str, digest: Digest, *, source: str) -> bool:
        """Ask for a server-side copy (end-11); ``False`` means that it has to be uploaded."""
        session = self._session
        return self._uploads.mount(
            session.repository(repository), digest, session.repository(source)
        )

    def put_manifest(self, repository: str, reference: str, manifest: Manifest) -> bool:
        """Store a manifest under a tag or its digest (end-7), byte for byte.

        Return whether the registry lists it among the referrers of its subject (distribution-spec
        1.1, "Pushing Manifests with Subject"): ``False`` means that the caller keeps the list.

        The bytes are known to be right. If the registry says that they are wrong, they were damaged
        on their way, or another client stores something at the same time; if it does not know a
        part, it may be slow to see what it has just taken. The manifest is then sent again.
        """
        name, place = _name(repository, reference), self._session.repository(repository)
        with self._session.request(
            "PUT",
            place.path("manifests", reference),
            scopes=[place.push],
            headers={"Content-Type": manifest.media_type},
            body=manifest.content,
            expect=(200, 201, 202),
            doing=f"the manifest of {name}",
            retry=replace(self._session.retry, codes=_UNSETTLED),
        ) as response:
            stored = response.headers.get("Docker-Content-Digest", manifest.digest)
            lists_referrers = "OCI-Subject" in response.headers
        # The header can be wrong; the bytes cannot.
        if stored != manifest.digest and (
            self.get_manifest(repository, reference).content != manifest.content
        ):
            raise RegistryError(f"{self.registry} stored something else as {name}")
        return lists_referrers

    def tags(self, repository: str) -> list[str]:
        """Return every tag of a repository (end-8a), however many pages they fill.

        Raises `ManifestNotFound` when there is no such repository.
        """
        place, doing = self._session.repository(repository), f"the tags of {repository}"
        return self._list(place.path("tags", "list"), "tags", doing, place.pull, repository)

    def repositories(self) -> list[str]:
        """Return every repository that this user may see, however many pages they fill.

        ``_catalog`` is not part of the distribution-spec, and not every registry has it. Raises
        `ManifestNotFound` where it is missing.
        """
        doing = "the list of its repositories"
        return self._list("_catalog", "repositories", doing, _CATALOG, "such list")

    def _list(self, path: str, key: str, doing: str, scope: str, name: str) -> list[str]:
        """Return the strings under ``key`` of all pages."""
        names: list[str] = []
        for response, document in self._session.pages(
            path, doing=doing, scopes=[scope], expect=(200, 404)
        ):
            if response.status_code == 404:
                raise self._manifest_not_found(name)
            listed = document.get(key) or [] if document is not None else None
            if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
                raise RegistryError(f"{self.registry} answers nonsense for {doing}")
            names += listed
            if len(names) > _MOST_NAMES:
                raise RegistryError(f"{self.registry} finds no end of {doing}")
        return names

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor] | None:
        """Return what refers to a manifest (end-12a), however many pages it fills.

        ``None`` means that the registry has no referrers API.
        """
        place = self._session.repository(repository)
        doing = f"the referrers of {_name(repository, subject)}"
        referrers: list[Descriptor] = []
        for response, document in self._session.pages(
            place.path("referrers", subject),
            doing=doing,
            scopes=[place.pull],
            expect=(200, *_NO_API),
            may_be_html=True,
        ):
            if response.status_code != 200 or is_html(response):
                if referrers:
                    raise self._session.answer_error(response, doing, [place.pull])
                return None
            listed = document.get("manifests") or [] if document is not None else None
            if not isinstance(listed, list):
                raise RegistryError(f"{self.registry} answers nonsense for {doing}")
            try:
                referrers += [Descriptor.parse(v, f"manifests[{n}]") for n, v in enumerate(listed)]
            except InvalidManifest as error:
                raise InvalidManifest(f"{doing} on {self.registry}: {error}") from None
        return referrers

    def _manifest_not_found(self, name: str) -> ManifestNotFound:
        return ManifestNotFound(
            f"{self.registry} has no {name}", hint="is the name spelled right?", status=404
        )


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
