"""The endpoints of OCI distribution-spec 1.1: all paths, and the answers to requests that read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote, urlencode

from docker_charon.errors import DockerCharonError, InvalidDigest, InvalidReference
from docker_charon.files import DISK_IS_FULL
from docker_charon.messages import get_logger
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import OCI_INDEX
from docker_charon.oci.reference import check_repository, check_tag
from docker_charon.server.http.answer import Answer, error, json_answer, rejection
from docker_charon.server.http.request import RangeNotSatisfiable, Request, parse_range
from docker_charon.server.store import Code, Rejected, Store

_log = get_logger(__name__)

_NUMBER = re.compile(r"[0-9]+", re.ASCII)


Endpoint = Callable[..., Answer]
"""Its arguments are the request and the groups of the path: the repository, then a reference."""
Resource = tuple[str, Mapping[str, Endpoint]]
"""A pattern of paths, and the endpoint of each method."""


class Endpoints:
    """Answers requests from a store.

    ``write_resources`` have the endpoints that write; without them the registry is read-only.
    """

    def __init__(self, store: Store, write_resources: Sequence[Resource] = ()) -> None:
        self._store = store
        self._is_read_only = not write_resources
        resources: list[Resource] = [
            (r"/v2/?", {"GET": self._get_base}),
            (r"/v2/_catalog", {"GET": self._get_catalog}),
            (r"/v2/(.+)/tags/list", {"GET": self._get_tags}),
            *write_resources,
            (r"/v2/(.+)/blobs/uploads/?", {}),
            (r"/v2/(.+)/blobs/uploads/([^/]+)", {}),
            (r"/v2/(.+)/manifests/([^/]+)", {"GET": self._get_manifest}),
            (r"/v2/(.+)/blobs/([^/]+)", {"GET": self._get_blob}),
            (r"/v2/(.+)/referrers/([^/]+)", {"GET": self._get_referrers}),
        ]
        merged: dict[str, dict[str, Endpoint]] = {}
        for pattern, methods in resources:
            merged.setdefault(pattern, {}).update(methods)
        self._resources = [(re.compile(pattern), methods) for pattern, methods in merged.items()]

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises ``ConnectionError`` or ``TimeoutError`` when the connection breaks within the body,
        and `MalformedRequest` when the body is not well-formed.
        """
        try:
            return self._answer(request)
        except Rejected as reason:
            return rejection(reason)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as failure:
            _log.error("%s %s: %s", request.head.method, request.head.path, failure)
            status = 507 if failure.errno in DISK_IS_FULL else 500
            return error(Code.UNKNOWN, failure.strerror or "the disk failed", status=status)
        except DockerCharonError as failure:
            _log.error("%s %s: %s", request.head.method, request.head.path, failure)
            return error(Code.UNKNOWN, str(failure))

    def _answer(self, request: Request) -> Answer:
        path = unquote(request.head.path)
        matches = ((pattern.fullmatch(path), methods) for pattern, methods in self._resources)
        match, methods = next((pair for pair in matches if pair[0]), (None, {}))
        if match is None:
            return error(Code.UNSUPPORTED, "there is nothing at this path", status=404)
        endpoint = methods.get("GET" if request.head.method == "HEAD" else request.head.method)
        if endpoint is None:
            return self._method_not_allowed(request.head.method, methods)
        if match.groups():
            parse_repository(match[1])
        return endpoint(request, *match.groups())

    def _method_not_allowed(self, method: str, methods: Mapping[str, Endpoint]) -> Answer:
        allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
        why = (
            "this registry is read-only"
            if self._is_read_only
            else f"{method} is not supported here"
        )
        return error(Code.UNSUPPORTED, why, headers={"Allow": allowed})

    def _get_base(self, request: Request) -> Answer:
        """end-1: say that this is a registry."""
        return json_answer({})

    def _get_catalog(self, request: Request) -> Answer:
        """List the repositories. This is not in the specification, but most registries have it."""
        names, link = _page(request, self._store.catalog.repositories(), "/v2/_catalog")
        return json_answer({"repositories": names}, link)

    def _get_tags(self, request: Request, repository: str) -> Answer:
        """end-8a and end-8b: list the tags, at most ``n`` of those after ``last``."""
        tags = self._store.catalog.tags(repository)
        if tags is None:
            raise Rejected(Code.NAME_UNKNOWN, f"there is no repository {repository}")
        page, link = _page(request, tags, f"/v2/{repository}/tags/list")
        return json_answer({"name": repository, "tags": page}, link)

    def _get_manifest(self, request: Request, repository: str, reference: str) -> Answer:
        """end-3: pull a manifest."""
        wanted = reference if ":" not in reference else parse_digest(reference)
        manifest = self._store.catalog.find(repository, wanted)
        if manifest is None and self._store.catalog.tags(repository) is None:
            raise Rejected(Code.NAME_UNKNOWN, f"there is no repository {repository}")
        if manifest is None:
            raise Rejected(Code.MANIFEST_UNKNOWN, f"{repository} does not have {reference[:200]}")
        digest = wanted if isinstance(wanted, Digest) else manifest.digest
        headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": digest}
        return Answer(200, headers, self._store.content(manifest))

    def _get_blob(self, request: Request, repository: str, reference: str) -> Answer:
        """end-2: pull a blob, or the range of it that the request names."""
        digest = parse_digest(reference)
        belongs = self._store.catalog.has_blob(repository, digest)
        blob = self._store.blob(digest) if belongs else None
        if blob is None:
            raise Rejected(
                Code.BLOB_UNKNOWN, f"{repository} does not have {digest}", {"digest": digest}
            )
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "Accept-Ranges": "bytes",
        }
        byte_range = None
        # If-Range needs a validator (an ETag), and this server does not send any.
        if request.head.method == "GET" and "If-Range" not in request.head.headers:
            try:
                byte_range = parse_range(request.head.headers.get("Range"), blob.size)
            except RangeNotSatisfiable:
                return Answer(416, {"Content-Range": f"bytes */{blob.size}"})
        if request.head.method == "GET":
            blob.prepare()
        if byte_range is None:
            return Answer(200, headers, blob=blob, end=blob.size)
        start, end = byte_range
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        return Answer(206, headers, blob=blob, start=start, end=end)

    def _get_referrers(self, request: Request, repository: str, reference: str) -> Answer:
        """end-12a and end-12b: list the referrers of a digest, whose manifest may be missing."""
        referrers = self._store.catalog.referrers(repository, parse_digest(reference))
        artifact_type = request.parameters().get("artifactType")
        if artifact_type:
            referrers = [item for item in referrers if item.artifact_type == artifact_type]
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [item.as_referrer() for item in referrers],
        }
        headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
        return json_answer(index, headers, OCI_INDEX)


def parse_repository(text: str) -> str:
    """Return the name of a repository; raise `Rejected` when it is not one."""
    try:
        return check_repository(text)
    except InvalidReference as problem:
        raise Rejected(Code.NAME_INVALID, str(problem)) from None


def parse_digest(text: str) -> Digest:
    """Return a digest; raise `Rejected` when it is not one."""
    try:
        return Digest(text)
    except InvalidDigest as problem:
        raise Rejected(Code.DIGEST_INVALID, str(problem)) from None


def parse_tag(text: str) -> str:
    """Return a tag; raise `Rejected` when it is not one."""
    try:
        return check_tag(text)
    except InvalidReference as problem:
        raise Rejected(Code.MANIFEST_INVALID, str(problem)) from None


def _page(
    request: Request, names: Sequence[str], path: str
) -> tuple[Sequence[str], dict[str, str]]:
    """Return the requested page of sorted names, and the header with the link to the next page."""
    parameters = request.parameters()
    last = parameters.get("last")
    if last:
        names = [name for name in names if name > last]
    number = parameters.get("n")
    if number is None:
        return names, {}
    if not _NUMBER.fullmatch(number):
        raise Rejected(Code.PAGINATION_NUMBER_INVALID, "n is not a number")
    count = int(number) if len(number) <= 18 else len(names)
    page = names[:count]
    if not page or len(page) == len(names):
        return page, {}
    query = urlencode({"n": count, "last": page[-1]})
    return page, {"Link": f'<{path}?{query}>; rel="next"'}
