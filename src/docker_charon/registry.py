"""A client of the distribution API: one method an endpoint (OCI distribution-spec 1.1).

What a registry is asked for, and what its answers mean. Policy (what to do when something is
missing, in which order to push) belongs to the callers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import requests

from docker_charon.auth import Login
from docker_charon.blob_stream import BlobStream
from docker_charon.blob_upload import BlobUploads, UploadSession
from docker_charon.credentials import Credentials, find_credentials
from docker_charon.descriptor import Body, Descriptor
from docker_charon.digest import Digest
from docker_charon.errors import (
    AuthenticationError,
    BlobNotFound,
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    InvalidDigest,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.failure import FAILURES, explain
from docker_charon.json_document import parse_json
from docker_charon.manifest import MANIFEST_TYPES, MAX_SIZE, Manifest
from docker_charon.refusal import Asker, refusal
from docker_charon.transport import Session, check_host, origin, pause, read_body

DOCKER_HUB = "registry-1.docker.io"
_DOCKER_HUB_NAMES = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})
_MANIFEST_TRIES = 4  # at one that was damaged on its way
_LONGEST_ANSWER = 64 * 1024  # bytes of an answer that says what went wrong
_LONGEST_LIST = 16 * 1024 * 1024  # bytes of one page of tags
_MOST_PAGES = 10_000  # of them, and
_MOST_TAGS = 1_000_000  # in all, before it is taken for a list without an end
_BUFFER = 256 * 1024

_log = logging.getLogger(__name__)


class RegistryClient:
    """One registry, as one user sees it.

    ``registry`` is a host with an optional port; ``secure=False`` means plain HTTP.
    ``cacert`` is a file of certificates to trust besides the usual ones. Without a username and a
    password, those that Docker or Podman know are used.
    ``connections`` are kept open for as many threads. Every method raises `RegistryError`, or
    one of its children, for an answer that it does not expect.
    """

    def __init__(
        self,
        registry: str,
        *,
        secure: bool = True,
        username: str | None = None,
        password: str | None = None,
        cacert: str | os.PathLike[str] | None = None,
        connections: int = 1,
    ) -> None:
        check_host(registry)
        if (username is None) != (password is None):
            raise AuthenticationError(
                f"a login to {registry} takes a username and a password, and one is missing"
            )

        def find() -> Credentials | None:
            if username is not None and password is not None:
                return Credentials(username, password)
            return find_credentials(registry)

        self.registry = registry
        is_docker_hub = registry.lower().removesuffix(":443") in _DOCKER_HUB_NAMES
        self._asker = Asker(registry, secure, is_docker_hub)
        host = DOCKER_HUB if is_docker_hub else registry
        self._url = f"{'https' if secure else 'http'}://{host}/v2/"
        self._session = Session(connections, cacert)
        self._login = Login(self._session, self._url, registry, find)
        self._uploads = BlobUploads(self)

    def __repr__(self) -> str:
        return f"<RegistryClient {self._url}>"

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def explain(self, error: Exception) -> ConnectionFailed:
        """Make one line of a failure on the way to this registry."""
        return explain(error, self.registry, secure=self._asker.secure)

    def check_api(self) -> None:
        """See that a registry answers here (end-1), and learn how it wants its users to log in."""
        with self._request("GET", "", expect=(200, 401), doing="its check") as response:
            if origin(response.url) != origin(self._url):
                scheme, host, port = origin(response.url)
                raise RegistryError(
                    f"{self.registry} is not where the registry is: it redirects to "
                    f"{scheme}://{host}:{port}",
                    hint="name that host, and leave --insecure out for https",
                )
            if response.status_code == 401 and not self._login.knows_a_way(response):
                raise self._refusal(response, "its check")
            self._error_body(response)

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
        with self._request(
            "GET",
            f"{self._path(repository)}/manifests/{reference}",
            scopes=[self._pull(repository)],
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            expect=(200, 404),
            doing=f"the manifest of {name}",
        ) as response:
            if response.status_code == 404:
                raise self._manifest_not_found(name, response)
            content = self._content(response, MAX_SIZE)
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
        with self._request(
            "HEAD",
            f"{self._path(repository)}/manifests/{reference}",
            scopes=[self._push(repository) if to_push else self._pull(repository)],
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
            blob, lambda start: self._open_blob(repository, blob, start), self.explain
        )

    def _open_blob(self, repository: str, blob: Descriptor, start: int = 0) -> requests.Response:
        """Ask for a blob from the byte ``start`` on; the answer's body begins there.

        A registry that does not know ranges sends what is before it again: it is passed over.
        """
        response = self._request(
            "GET",
            f"{self._path(repository)}/blobs/{blob.digest}",
            scopes=[self._pull(repository)],
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
            raise self.explain(error) from error
        if size:
            raise ConnectionFailed(f"the connection to {self.registry} broke", hint="try again")

    def head_blob(self, repository: str, digest: Digest, *, to_push: bool = False) -> int | None:
        """Return a blob's size in bytes (end-2), or ``None`` when the repository has none.

        ``to_push`` asks with the rights of a push, which a new repository may need.
        """
        path = f"{self._path(repository)}/blobs/{digest}"
        doing = f"the blob {digest} of {repository}"
        scopes = [self._push(repository) if to_push else self._pull(repository)]
        with self._request("HEAD", path, scopes=scopes, doing=doing) as response:
            if response.status_code == 404:
                return None
            length = response.headers.get("Content-Length", "")
            if response.status_code == 200 and _is_number(length):
                return int(length)
        headers = {"Range": "bytes=0-0"}
        with self._request(
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
        with self._request(
            "POST",
            f"{self._path(repository)}/blobs/uploads/",
            scopes=[self._push(repository)],
            expect=(202,),
            doing=doing,
        ) as response:
            smallest = response.headers.get("OCI-Chunk-Min-Length", "")
            return UploadSession(
                self._location(response, doing),
                min_chunk=int(smallest) if _is_number(smallest) else 0,
            )

    def put_upload(
        self, repository: str, session: UploadSession, blob: Descriptor, body: Body | bytes
    ) -> bool:
        """Send the last, or all, of a blob (end-6); ``False`` if that is too large (413)."""
        with self._request(
            "PUT",
            session.location,
            scopes=[self._push(repository)],
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
        with self._request(
            "PATCH",
            session.location,
            scopes=[self._push(repository)],
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
        with self._request(
            "GET",
            session.location,
            scopes=[self._push(repository)],
            expect=(200, 202, 204),
            doing=doing,
        ) as response:
            return self._progress(response, session, session.received, doing)

    def _progress(
        self, response: requests.Response, session: UploadSession, sent: int, doing: str
    ) -> UploadSession:
        """Read how far an upload has come, and where it goes on."""
        has_moved = "Location" in response.headers
        location = self._location(response, doing) if has_moved else session.location
        last = response.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
        received = int(last) + 1 if _is_number(last) else sent
        if received == 1 != sent:
            received = 0  # how distribution says that nothing has arrived: 0-0, as for one byte
        return UploadSession(location, received, session.min_chunk)

    def cancel_upload(self, repository: str, session: UploadSession, doing: str) -> None:
        """Give an upload session back, where the registry lets us."""
        with contextlib.suppress(RegistryError):
            self._request(
                "DELETE", session.location, scopes=[self._push(repository)], doing=doing
            ).close()

    def mount_blob(self, repository: str, digest: Digest, *, source: str) -> bool:
        """Ask for a server-side copy (end-11); ``False`` means that it has to be uploaded."""
        doing = f"a mount of the blob {digest} from {source} to {repository}"
        try:
            with self._request(
                "POST",
                f"{self._path(repository)}/blobs/uploads/",
                scopes=[self._push(repository), self._pull(source)],
                params={"mount": digest, "from": self._path(source)},
                doing=doing,
            ) as response:
                if response.status_code == 202 and "Location" in response.headers:
                    session = UploadSession(self._location(response, doing))
                    self.cancel_upload(repository, session, doing)
                return response.status_code == 201
        except ConnectionFailed:
            raise
        except RegistryError:
            return False  # the token service knows no such source, or not for this user

    def put_manifest(self, repository: str, reference: str, manifest: Manifest) -> None:
        """Store a manifest under a tag or its digest (end-7), byte for byte.

        The bytes are known to be right: a registry that says they are not (DIGEST_INVALID) met them
        damaged on the way, or in the middle of what another client stores, and is asked again.
        """
        name = _name(repository, reference)
        for tries_left in reversed(range(_MANIFEST_TRIES)):
            try:
                with self._request(
                    "PUT",
                    f"{self._path(repository)}/manifests/{reference}",
                    scopes=[self._push(repository)],
                    headers={"Content-Type": manifest.media_type},
                    body=manifest.content,
                    expect=(200, 201, 202),
                    doing=f"the manifest of {name}",
                ) as response:
                    stored = response.headers.get("Docker-Content-Digest", manifest.digest)
                break
            except RegistryError as error:
                if not tries_left or error.code not in ("DIGEST_INVALID", "MANIFEST_INVALID"):
                    raise
            time.sleep(pause(_MANIFEST_TRIES - tries_left))
        # The header can be wrong; the bytes cannot.
        if stored != manifest.digest and (
            self.get_manifest(repository, reference).content != manifest.content
        ):
            raise RegistryError(f"{self.registry} stored something else as {name}")

    def tags(self, repository: str) -> list[str]:
        """Return every tag of a repository (end-8a), however many pages they fill.

        Raises `ManifestNotFound` when there is no such repository.
        """
        doing = f"the tags of {repository}"
        page: str | None = f"{self._path(repository)}/tags/list"
        seen = set()
        tags: list[str] = []
        while page is not None and page not in seen:
            seen.add(page)
            if len(seen) > _MOST_PAGES or len(tags) > _MOST_TAGS:
                raise RegistryError(f"{self.registry} finds no end of {doing}")
            with self._request(
                "GET", page, scopes=[self._pull(repository)], expect=(200, 404), doing=doing
            ) as response:
                if response.status_code == 404:
                    raise self._manifest_not_found(repository, response)
                try:
                    found = parse_json(self._content(response, _LONGEST_LIST)).get("tags") or []
                except (ValueError, AttributeError):
                    found = None
                if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
                    raise RegistryError(f"{self.registry} answers nonsense for {doing}")
                tags += found
                next_page = response.links.get("next", {}).get("url")
                page = self._resolve(response, next_page, doing) if next_page else None
        return tags

    def _request(
        self,
        method: str,
        target: str,
        *,
        doing: str,
        scopes: list[str] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        expect: tuple[int, ...] | None = None,
        pages: bool = False,
    ) -> requests.Response:
        """Send one request; ``target`` is a path below ``/v2/``, or a whole URL.

        ``expect`` are the statuses that the caller deals with (``None``: all), ``doing`` is what
        messages call it, and ``pages`` says that HTML may be right.
        """
        url = target if "://" in target else self._url + target
        try:
            response = self._session.request(
                method,
                url,
                params=params,
                headers=headers,
                data=body,  # type: ignore[arg-type]  # requests takes any sized iterable
                auth=self._login.scoped(*(scopes or ())),
                stream=True,
            )
        except FAILURES as error:
            raise self.explain(error) from error
        _log.debug("%s %s: %s", method, url.partition("?")[0], response.status_code)
        try:
            if expect is not None and response.status_code not in expect:
                raise self._refusal(response, doing)
            page = response.headers.get("Content-Type", "").lower().startswith("text/html")
            if page and response.status_code == 200 and not pages:
                raise RegistryError(
                    f"{self.registry} answers with a web page to {doing}: it is not a registry, "
                    "or something before it wants a login"
                )
            if method != "GET":
                self._error_body(response)
        except DockerCharonError:
            response.close()
            raise
        return response

    def _content(self, response: requests.Response, limit: int) -> bytes:
        """Return an answer's body; one byte more than ``limit`` tells that there is more."""
        try:
            content: bytes = response.raw.read(limit + 1, decode_content=True)
        except FAILURES as error:
            raise self.explain(error) from error
        return content

    def _location(self, response: requests.Response, doing: str) -> str:
        """Return where an upload session goes on, with the state in its query."""
        return self._resolve(response, response.headers.get("Location"), doing)

    def _resolve(self, response: requests.Response, link: str | None, doing: str) -> str:
        """Return the URL that a registry's ``link``, which may be relative, stands for."""
        try:
            place = urlsplit(urljoin(response.url, link))
            origin(place.geturl())
        except ValueError:
            link = None
        if not link:
            raise RegistryError(f"{self.registry} names no place for {doing}")
        own = urlsplit(self._url)
        if place.hostname == own.hostname and (place.scheme, own.scheme) == ("http", "https"):
            # Behind a proxy that ends the TLS, a registry may not know its own address.
            place = place._replace(scheme=own.scheme, netloc=own.netloc)
        return place.geturl()

    def _path(self, repository: str) -> str:
        """Return the repository's name in a request; on Docker Hub, ``python`` has a longer one."""
        if self._asker.is_docker_hub and "/" not in repository:
            return f"library/{repository}"
        return repository

    def _pull(self, repository: str) -> str:
        return f"repository:{self._path(repository)}:pull"

    def _push(self, repository: str) -> str:
        return f"repository:{self._path(repository)}:pull,push"

    def _manifest_not_found(self, name: str, response: requests.Response) -> ManifestNotFound:
        return ManifestNotFound(
            f"{self.registry} has no {name}", hint="is the name spelled right?", status=404
        )

    def _refusal(self, response: requests.Response, doing: str) -> RegistryError:
        return refusal(
            self._asker,
            response.status_code,
            self._error_body(response),
            doing,
            has_credentials=self._login.has_credentials,
        )

    def _error_body(self, response: requests.Response) -> bytes:
        """Return a short body; read to its end, so that the connection can be used again."""
        try:
            body: bytes = response.raw.read(_LONGEST_ANSWER, decode_content=True)
        except FAILURES:
            body = b""
        return body


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
