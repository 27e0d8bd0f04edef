"""A client of the distribution API: one method an endpoint (OCI distribution-spec 1.1).

What a registry is asked for, and what its answers mean. Policy (what to do when something is
missing, in which order to push) belongs to the callers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import requests

from docker_charon.errors import (
    BlobNotFound,
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    InvalidDigest,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MANIFEST_TYPES, MAX_SIZE, Manifest
from docker_charon.registry.blobs import BlobStream
from docker_charon.registry.failure import FAILURES
from docker_charon.registry.http import origin, pause, read_body
from docker_charon.registry.session import Access, Connection
from docker_charon.registry.uploads import BlobUploads, UploadSession

_CATALOG = "registry:catalog:*"
_NO_API = (400, 404, 405, 406, 501)
"""How registries without a referrers API answer; the spec has 404."""
_MOST_NAMES = 1_000_000  # of repositories or tags, before it is taken for a list without an end
_MANIFEST_TRIES = 4  # at one that was damaged on its way
_UNSETTLED = ("DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
"""What a registry may say of a manifest that it takes a moment later."""
_BUFFER = 256 * 1024


class RegistryClient:
    """One registry, as one user sees it.

    ``registry`` is a host with an optional port. ``connections`` are kept open for as many threads.
    Every method raises `RegistryError`, or one of its children, for an answer that it does not
    expect.
    """

    def __init__(
        self, registry: str, access: Access | None = None, *, connections: int = 1
    ) -> None:
        self._connection = Connection(registry, access or Access(), connections)
        self.registry = registry
        self._uploads = BlobUploads(self)

    def __repr__(self) -> str:
        return f"<RegistryClient {self._connection.url}>"

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def check_api(self) -> None:
        """See that a registry answers here (end-1), and learn how it wants its users to log in."""
        with self._connection.request("GET", "", expect=(200, 401), doing="its check") as response:
            if origin(response.url) != origin(self._connection.url):
                scheme, host, port = origin(response.url)
                raise RegistryError(
                    f"{self.registry} is not where the registry is: it redirects to "
                    f"{scheme}://{host}:{port}",
                    hint="name that host, and leave --insecure out for https",
                )
            if response.status_code == 401 and not self._connection.knows_a_way(response):
                raise self._connection.refusal(response, "its check")
            self._connection.error_body(response)

    def get_manifest(self, repository: str, reference: str) -> Manifest:
        """Fetch a manifest by tag or digest (end-3), its bytes as they are stored.

        Raises `ManifestNotFound`, `DigestMismatch` when it was asked for by digest and is
        something else, and `InvalidManifest`.
        """
        name = _name(repository, reference)
        previous = None
        for tries_left in reversed(range(_MANIFEST_TRIES)):
            try:
                content, media_type, claimed = self._ask_for_manifest(repository, reference, name)
                # One of the two is wrong. If it is what the registry says, it stays so.
                if claimed not in (None, Digest.of(content)) and content != previous and tries_left:
                    previous = content
                    continue
                return Manifest.parse(content, media_type, _digest(reference))
            except InvalidManifest as error:
                raise InvalidManifest(f"{name} on {self.registry}: {error}") from None
            except DigestMismatch as error:
                if not tries_left:
                    raise DigestMismatch(f"{name} on {self.registry}: {error}") from None
            except ConnectionFailed:
                if not tries_left:
                    raise
            time.sleep(pause(_MANIFEST_TRIES - tries_left))
        raise AssertionError("the last try returns or raises")

    def _ask_for_manifest(
        self, repository: str, reference: str, name: str
    ) -> tuple[bytes, str, Digest | None]:
        """Return a manifest's bytes, and what the registry says of their type and digest."""
        with self._connection.request(
            "GET",
            f"{self._connection.path(repository)}/manifests/{reference}",
            scopes=[self._connection.pull(repository)],
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            expect=(200, 404),
            doing=f"the manifest of {name}",
        ) as response:
            if response.status_code == 404:
                raise self._manifest_not_found(name)
            content = self._connection.content(response, MAX_SIZE)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            claimed = None
            with contextlib.suppress(InvalidDigest):
                claimed = Digest(response.headers.get("Docker-Content-Digest"))
            if claimed is not None and claimed.algorithm != "sha256":
                claimed = None
        return content, media_type, claimed

    def head_manifest(
        self, repository: str, reference: str, *, to_push: bool = False
    ) -> Digest | None:
        """Return the digest of a manifest (end-3), or ``None`` when the registry has none.

        The answer is the registry's word, where it gives one, and else that of the bytes.
        ``to_push`` asks with the rights of a push, which a new repository may need.
        """
        with self._connection.request(
            "HEAD",
            f"{self._connection.path(repository)}/manifests/{reference}",
            scopes=[
                self._connection.push(repository) if to_push else self._connection.pull(repository)
            ],
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            doing=f"the manifest of {_name(repository, reference)}",
        ) as response:
            if response.status_code == 404:
                return None
            if response.status_code == 200:
                with contextlib.suppress(InvalidDigest):
                    return Digest(response.headers.get("Docker-Content-Digest"))
        # Some refuse HEAD, and some leave the header out.
        try:
            return self.get_manifest(repository, reference).digest
        except ManifestNotFound:
            return None

    def get_blob(self, repository: str, blob: Descriptor) -> BlobStream:
        """Open a blob for reading (end-2).

        Raises `BlobNotFound`, and `DigestMismatch` when the registry announces another length.
        """
        return BlobStream(
            blob, lambda start: self._open_blob(repository, blob, start), self._connection.explain
        )

    def _open_blob(self, repository: str, blob: Descriptor, start: int = 0) -> requests.Response:
        """Ask for a blob from the byte ``start`` on; the answer's body begins there.

        A registry that does not know ranges sends what is before it again: it is passed over.
        """
        response = self._connection.request(
            "GET",
            f"{self._connection.path(repository)}/blobs/{blob.digest}",
            scopes=[self._connection.pull(repository)],
            headers={"Range": f"bytes={start}-"} if start else None,
            expect=(200, 206, 404, 416) if start else (200, 404),
            doing=f"the blob {blob.digest} of {repository}",
            pages=True,
        )
        try:
            if response.status_code == 404:
                raise BlobNotFound(
                    f"{self.registry} has no blob {blob.digest} in {repository}", status=404
                )
            partial = response.status_code == 206
            if response.status_code == 416 or (
                partial and not _is_rest(response.headers.get("Content-Range", ""), start, blob)
            ):
                # Whatever it is, it is not the rest: all of it again, without a range.
                response.close()
                response = self._open_blob(repository, blob)
                partial = False
            announced = start if partial else 0
            length = response.headers.get("Content-Length", str(blob.size - announced))
            if length != str(blob.size - announced):
                raise DigestMismatch(
                    f"{self.registry} announces {length} bytes for {blob.digest} in {repository}, "
                    f"where it should have {blob.size - announced}"
                )
            if not partial:
                self._pass_over(response, start)
        except DockerCharonError:
            response.close()
            raise
        return response

    def _pass_over(self, response: requests.Response, size: int) -> None:
        buffer = memoryview(bytearray(min(size, _BUFFER)))
        try:
            while size and (read := read_body(response, buffer[:size])):
                size -= read
        except FAILURES as error:
            raise self._connection.explain(error) from error
        if size:
            raise ConnectionFailed(f"the connection to {self.registry} broke", hint="try again")

    def head_blob(self, repository: str, digest: Digest, *, to_push: bool = False) -> int | None:
        """Return a blob's size in bytes (end-2), or ``None`` when the repository has none.

        ``to_push`` asks with the rights of a push, which a new repository may need.
        """
        path = f"{self._connection.path(repository)}/blobs/{digest}"
        doing = f"the blob {digest} of {repository}"
        scopes = [
            self._connection.push(repository) if to_push else self._connection.pull(repository)
        ]
        with self._connection.request("HEAD", path, scopes=scopes, doing=doing) as response:
            if response.status_code == 404:
                return None
            length = response.headers.get("Content-Length", "")
            if response.status_code == 200 and _is_number(length):
                return int(length)
        headers = {"Range": "bytes=0-0"}
        with self._connection.request(
            "GET", path, scopes=scopes, headers=headers, expect=(200, 206, 404, 416), doing=doing
        ) as response:
            if response.status_code == 404:
                return None
            if response.status_code == 200:
                length = response.headers.get("Content-Length", "")
            else:
                length = response.headers.get("Content-Range", "").rpartition("/")[2]
            if not _is_number(length):
                raise RegistryError(f"{self.registry} does not tell the size of {doing}")
            return int(length)

    def upload_blob(self, repository: str, blob: Descriptor, body: Body) -> None:
        """Store a blob, in one request or, where those are limited, in chunks."""
        self._uploads.upload(repository, blob, body)

    def start_upload(self, repository: str, doing: str) -> UploadSession:
        """Open an upload session (end-4a)."""
        with self._connection.request(
            "POST",
            f"{self._connection.path(repository)}/blobs/uploads/",
            scopes=[self._connection.push(repository)],
            expect=(202,),
            doing=doing,
        ) as response:
            smallest = response.headers.get("OCI-Chunk-Min-Length", "")
            return UploadSession(
                self._connection.location(response, doing),
                min_chunk=int(smallest) if _is_number(smallest) else 0,
            )

    def put_upload(
        self, repository: str, session: UploadSession, blob: Descriptor, body: Body | bytes
    ) -> bool:
        """Send the last, or all, of a blob (end-6); ``False`` if that is too large (413)."""
        with self._connection.request(
            "PUT",
            session.location,
            scopes=[self._connection.push(repository)],
            params={"digest": blob.digest},
            headers={"Content-Type": "application/octet-stream"},
            body=body,
            expect=(201, 204, 413),
            doing=f"the upload of the blob {blob.digest} to {repository}",
        ) as response:
            return response.status_code != 413

    def patch_upload(
        self, repository: str, session: UploadSession, chunk: bytes, doing: str
    ) -> UploadSession | None:
        """Send a chunk (end-5); ``None`` if it is too large (413)."""
        start = session.received
        with self._connection.request(
            "PATCH",
            session.location,
            scopes=[self._connection.push(repository)],
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{start}-{start + len(chunk) - 1}",
            },
            body=chunk,
            expect=(201, 202, 204, 413),
            doing=doing,
        ) as response:
            if response.status_code == 413:
                return None
            return self._progress(response, session, start + len(chunk), doing)

    def upload_status(self, repository: str, session: UploadSession, doing: str) -> UploadSession:
        """Ask how much of an upload has arrived (end-13)."""
        with self._connection.request(
            "GET",
            session.location,
            scopes=[self._connection.push(repository)],
            expect=(200, 202, 204),
            doing=doing,
        ) as response:
            return self._progress(response, session, session.received, doing)

    def _progress(
        self, response: requests.Response, session: UploadSession, sent: int, doing: str
    ) -> UploadSession:
        """Read how far an upload has come, and where it goes on."""
        has_moved = "Location" in response.headers
        location = self._connection.location(response, doing) if has_moved else session.location
        last = response.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
        received = int(last) + 1 if _is_number(last) else sent
        if received == 1 != sent:
            received = 0  # how distribution says that nothing has arrived: 0-0, as for one byte
        return UploadSession(location, received, session.min_chunk)

    def cancel_upload(self, repository: str, session: UploadSession, doing: str) -> None:
        """Give an upload session back, where the registry lets us."""
        with contextlib.suppress(RegistryError):
            self._connection.request(
                "DELETE", session.location, scopes=[self._connection.push(repository)], doing=doing
            ).close()

    def mount_blob(self, repository: str, digest: Digest, *, source: str) -> bool:
        """Ask for a server-side copy (end-11); ``False`` means that it has to be uploaded."""
        doing = f"a mount of the blob {digest} from {source} to {repository}"
        try:
            with self._connection.request(
                "POST",
                f"{self._connection.path(repository)}/blobs/uploads/",
                scopes=[self._connection.push(repository), self._connection.pull(source)],
                params={"mount": digest, "from": self._connection.path(source)},
                doing=doing,
            ) as response:
                if response.status_code == 202 and "Location" in response.headers:
                    session = UploadSession(self._connection.location(response, doing))
                    self.cancel_upload(repository, session, doing)
                return response.status_code == 201
        except ConnectionFailed:
            raise
        except RegistryError:
            return False  # the token service knows no such source, or not for this user

    def read_blob(self, repository: str, blob: Descriptor) -> bytes:
        """Return the content of a short blob, checked; as `get_blob`."""
        with self.get_blob(repository, blob) as stream:
            return b"".join(bytes(chunk) for chunk in blob.verified(stream))

    def put_manifest(self, repository: str, reference: str, manifest: Manifest) -> bool:
        """Store a manifest under a tag or its digest (end-7), byte for byte.

        Return whether the registry lists it among the referrers of its subject (distribution-spec
        1.1, "Pushing Manifests with Subject"): ``False`` means that the list has to be kept by us.

        The bytes are known to be right: a registry that says they are not (DIGEST_INVALID) met them
        damaged on the way, or in the middle of what another client stores, and is asked again. So
        is one that does not know of a part: it may be slow to see what it has just taken.
        """
        name = _name(repository, reference)
        for tries_left in reversed(range(_MANIFEST_TRIES)):
            try:
                with self._connection.request(
                    "PUT",
                    f"{self._connection.path(repository)}/manifests/{reference}",
                    scopes=[self._connection.push(repository)],
                    headers={"Content-Type": manifest.media_type},
                    body=manifest.content,
                    expect=(200, 201, 202),
                    doing=f"the manifest of {name}",
                ) as response:
                    stored = response.headers.get("Docker-Content-Digest", manifest.digest)
                    lists_referrers = "OCI-Subject" in response.headers
                break
            except RegistryError as error:
                if not tries_left or error.code not in _UNSETTLED:
                    raise
            time.sleep(pause(_MANIFEST_TRIES - tries_left))
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
        path = f"{self._connection.path(repository)}/tags/list"
        doing = f"the tags of {repository}"
        return self._list(path, "tags", doing, self._connection.pull(repository), repository)

    def repositories(self) -> list[str]:
        """Return every repository that this user may see, however many pages they fill.

        ``_catalog`` is no part of the distribution-spec, and not every registry has it. Raises
        `ManifestNotFound` where it has none.
        """
        return self._list(
            "_catalog", "repositories", "the list of its repositories", _CATALOG, "such list"
        )

    def _list(self, path: str, key: str, doing: str, scope: str, name: str) -> list[str]:
        """Return the strings under ``key`` of all pages."""
        found: list[str] = []
        for response, document in self._connection.pages(
            path, doing=doing, scopes=[scope], expect=(200, 404)
        ):
            if response.status_code == 404:
                raise self._manifest_not_found(name)
            page = document.get(key) or [] if document is not None else None
            if not isinstance(page, list) or not all(isinstance(each, str) for each in page):
                raise RegistryError(f"{self.registry} answers nonsense for {doing}")
            found += page
            if len(found) > _MOST_NAMES:
                raise RegistryError(f"{self.registry} finds no end of {doing}")
        return found

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor] | None:
        """Return what refers to a manifest (end-12a), however many pages it fills.

        ``None`` means that the registry has no referrers API.
        """
        doing = f"the referrers of {_name(repository, subject)}"
        found: list[Descriptor] = []
        for response, document in self._connection.pages(
            f"{self._connection.path(repository)}/referrers/{subject}",
            doing=doing,
            scopes=[self._connection.pull(repository)],
            expect=(200, *_NO_API),
            html=True,
        ):
            html = response.headers.get("Content-Type", "").lower().startswith("text/html")
            if response.status_code != 200 or html:
                if found:
                    raise self._connection.refusal(response, doing)
                return None
            listed = document.get("manifests") or [] if document is not None else None
            if not isinstance(listed, list):
                raise RegistryError(f"{self.registry} answers nonsense for {doing}")
            try:
                found += [Descriptor.parse(v, f"manifests[{n}]") for n, v in enumerate(listed)]
            except InvalidManifest as error:
                raise InvalidManifest(f"{doing} on {self.registry}: {error}") from None
        return found

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


def _is_rest(content_range: str, start: int, blob: Descriptor) -> bool:
    """Whether an answer has all of a blob from ``start`` on (RFC 9110, section 14.4)."""
    unit, _, rest = content_range.strip().partition(" ")
    span, _, total = rest.partition("/")
    return (
        unit.lower() == "bytes"
        and span.strip() == f"{start}-{blob.size - 1}"
        and total.strip() in (str(blob.size), "*")
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _name(repository: str, reference: str) -> str:
    return f"{repository}{'@' if ':' in reference else ':'}{reference}"


def _digest(reference: str) -> Digest | None:
    return Digest(reference) if ":" in reference else None
