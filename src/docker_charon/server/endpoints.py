"""The endpoints of distribution-spec 1.1: which request is answered with what."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl, unquote, urlencode

from docker_charon.errors import DockerCharonError, InvalidDigest, InvalidReference
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import OCI_INDEX
from docker_charon.oci.reference import Reference, check_repository
from docker_charon.server.answer import Answer, document, error, rejection
from docker_charon.server.byte_range import Unsatisfiable, range_to_read
from docker_charon.server.request_body import RequestBody
from docker_charon.server.store import Code, Rejected, Store

_log = logging.getLogger(__name__)

_MOST_FIELDS = 100  # in a query
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Request:
    """A request whose body has not been read; ``path`` and ``query`` are as they were sent."""

    method: str
    path: str
    query: str
    headers: Message[str, str]
    body: RequestBody

    def parameters(self) -> dict[str, str]:
        """Return the query's fields; of several with one name, the last one."""
        return dict(self._fields())

    def values(self, name: str) -> list[str]:
        """Return the values of all the query's fields with a name, each once."""
        return list(dict.fromkeys(value for field, value in self._fields() if field == name))

    def _fields(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(self.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Rejected(Code.UNSUPPORTED, "the query has too many fields") from None


Endpoint = Callable[..., Answer]
"""Takes the request, and what its path names: the repository, then a reference."""
Resource = tuple[str, Mapping[str, Endpoint]]
"""A pattern of paths, and what there is to be done with it by method."""


class Endpoints:
    """Answers requests out of a store. ``more`` are resources beside those that only read."""

    def __init__(self, store: Store, more: Sequence[Resource] = ()) -> None:
        self._store = store
        self._is_read_only = not more
        resources: list[Resource] = [
            (r"/v2/?", {"GET": self._get_base}),
            (r"/v2/_catalog", {"GET": self._get_catalog}),
            (r"/v2/(.+)/tags/list", {"GET": self._get_tags}),
            *more,
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

        Raises ``ConnectionError`` or ``TimeoutError`` when its body does not come to its end, and
        what `RequestBody` raises of a body that is malformed or too large.
        """
        try:
            return self._answer(request)
        except Rejected as reason:
            return rejection(reason)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as failure:
            _log.error("%s %s: %s", request.method, request.path, failure)
            status = 507 if failure.errno in _FULL else 500
            return error(Code.UNKNOWN, failure.strerror or "the disk fails", status=status)
        except DockerCharonError as failure:
            _log.error("%s %s: %s", request.method, request.path, failure)
            return error(Code.UNKNOWN, str(failure))

    def _answer(self, request: Request) -> Answer:
        path = unquote(request.path)
        matches = ((pattern.fullmatch(path), methods) for pattern, methods in self._resources)
        found, methods = next((match for match in matches if match[0]), (None, {}))
        if found is None:
            return error(Code.UNSUPPORTED, "there is nothing at this path", status=404)
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            return self._method_not_allowed(request.method, methods)
        if found.groups():
            try:
                check_repository(found[1])
            except InvalidReference as problem:
                raise Rejected(Code.NAME_INVALID, str(problem)) from None
        return endpoint(request, *found.groups())

    def _method_not_allowed(self, method: str, methods: Mapping[str, Endpoint]) -> Answer:
        allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
        why = "this registry is read-only" if self._is_read_only else f"there is no {method} here"
        return error(Code.UNSUPPORTED, why, headers={"Allow": allowed})

    def _get_base(self, request: Request) -> Answer:
        """end-1: say that this is a registry."""
        return document({})

    def _get_catalog(self, request: Request) -> Answer:
        """List the repositories: not in the specification, and every registry has it."""
        names, more = _page(request, self._store.catalog.repositories(), "/v2/_catalog")
        return document({"repositories": names}, more)

    def _get_tags(self, request: Request, repository: str) -> Answer:
        """end-8a and end-8b: list the tags, those after ``last``, ``n`` at the most."""
        tags = self._store.catalog.tags(repository)
        if tags is None:
            raise Rejected(Code.NAME_UNKNOWN, f"there is no repository {repository}")
        some, more = _page(request, tags, f"/v2/{repository}/tags/list")
        return document({"name": repository, "tags": some}, more)

    def _get_manifest(self, request: Request, repository: str, reference: str) -> Answer:
        """end-3: pull a manifest."""
        wanted = reference if ":" not in reference else parse_digest(reference)
        manifest = self._store.catalog.find(repository, wanted)
        if manifest is None and self._store.catalog.tags(repository) is None:
            raise Rejected(Code.NAME_UNKNOWN, f"there is no repository {repository}")
        if manifest is None:
            raise Rejected(Code.MANIFEST_UNKNOWN, f"{repository} has no {reference[:200]}")
        digest = wanted if isinstance(wanted, Digest) else manifest.digest
        headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": digest}
        return Answer(200, headers, self._store.content(manifest))

    def _get_blob(self, request: Request, repository: str, reference: str) -> Answer:
        """end-2: pull a blob, or the range of it that is asked for."""
        digest = parse_digest(reference)
        is_here = self._store.catalog.has_blob(repository, digest)
        blob = self._store.blob(digest) if is_here else None
        if blob is None:
            raise Rejected(Code.BLOB_UNKNOWN, f"{repository} has no {digest}", {"digest": digest})
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "Accept-Ranges": "bytes",
        }
        wanted = None
        # If-Range names a validator, and none was given out.
        if request.method == "GET" and "If-Range" not in request.headers:
            try:
                wanted = range_to_read(request.headers.get("Range"), blob.size)
            except Unsatisfiable:
                return Answer(416, {"Content-Range": f"bytes */{blob.size}"})
        if wanted is None:
            return Answer(200, headers, blob=blob, end=blob.size)
        start, end = wanted
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        return Answer(206, headers, blob=blob, start=start, end=end)

    def _get_referrers(self, request: Request, repository: str, reference: str) -> Answer:
        """end-12a and end-12b: list what refers to a digest, which need not be there."""
        found = self._store.catalog.referrers(repository, parse_digest(reference))
        wanted = request.parameters().get("artifactType")
        if wanted:
            found = [each for each in found if each.artifact_type == wanted]
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [each.as_referrer() for each in found],
        }
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        return document(index, headers, OCI_INDEX)


def parse_digest(text: str) -> Digest:
    """Return a digest of a request; raise `Rejected` when it is none."""
    try:
        return Digest(text)
    except InvalidDigest as problem:
        raise Rejected(Code.DIGEST_INVALID, str(problem)) from None


def parse_tag(repository: str, text: str) -> str:
    """Return a tag to be written; raise `Rejected` when it cannot be one."""
    try:
        return Reference.parse(f"{repository}:{text}").target
    except InvalidReference as problem:
        raise Rejected(Code.MANIFEST_INVALID, str(problem)) from None


def _page(
    request: Request, names: Sequence[str], path: str
) -> tuple[Sequence[str], dict[str, str]]:
    """Return the part of sorted names that is asked for, and a link to the next one."""
    parameters = request.parameters()
    last = parameters.get("last")
    if last:
        names = [name for name in names if name > last]
    number = parameters.get("n")
    if number is None:
        return names, {}
    if not _NUMBER.fullmatch(number):
        raise Rejected(Code.PAGINATION_NUMBER_INVALID, "n is not a number")
    count = int(number[:18]) if len(number) <= 18 else len(names)
    page = names[:count]
    if not page or len(page) == len(names):
        return page, {}
    query = urlencode({"n": count, "last": page[-1]})
    return page, {"Link": f'<{path}?{query}>; rel="next"'}
