"""The endpoints that write to a layout (distribution-spec 1.1, "Push")."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor

from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MAX_SIZE
from docker_charon.server.endpoints import (
    Resource,
    parse_digest,
    parse_repository,
    parse_tag,
)
from docker_charon.server.http.answer import Answer, created, error, rejection
from docker_charon.server.http.request import (
    BodyTooLarge,
    Request,
    RequestBody,
    parse_content_range,
)
from docker_charon.server.layouts.layout import Layout
from docker_charon.server.layouts.upload import Upload, WrongOffset
from docker_charon.server.manifest import StoredManifest
from docker_charon.server.store import Code, Rejected

_LARGE = 64 * 1024  # bytes of a manifest; most have a few thousand


class UploadEndpoints:
    """Answers the requests that write.

    ``large_manifests`` has one thread, which stores them. Locations are relative, so that they stay
    right behind a reverse proxy.
    """

    def __init__(self, layout: Layout, large_manifests: Executor) -> None:
        self._layout = layout
        self._large_manifests = large_manifests
        self.resources: list[Resource] = [
            (r"/v2/(.+)/blobs/uploads/?", {"POST": self._start}),
            (
                r"/v2/(.+)/blobs/uploads/([^/]+)",
                {
                    "GET": self._status,
                    "PATCH": self._patch,
                    "PUT": self._finish,
                    "DELETE": self._cancel,
                },
            ),
            (r"/v2/(.+)/manifests/([^/]+)", {"PUT": self._put_manifest}),
        ]

    def _start(self, request: Request, repository: str) -> Answer:
        """end-4a, end-4b and end-11: begin an upload, accept a whole blob, or mount a blob."""
        parameters = request.parameters()
        if "mount" in parameters:
            source = parameters.get("from") or None
            if source is not None:
                parse_repository(source)
            digest = parse_digest(parameters["mount"])
            if self._layout.mount(repository, digest, source):
                return _blob_created(repository, digest)
        elif "digest" in parameters:
            digest = parse_digest(parameters["digest"])
            uploads = self._layout.uploads
            with uploads.hold(repository, uploads.begin(repository).identifier) as upload:
                try:
                    upload.append(request.body.chunks())
                    self._layout.finish(upload, digest)
                finally:
                    uploads.remove(upload)
            return _blob_created(repository, digest)
        return _accepted(self._layout.uploads.begin(repository))

    def _status(self, request: Request, repository: str, identifier: str) -> Answer:
        """end-13: say how many bytes the upload has."""
        with self._layout.uploads.hold(repository, identifier) as upload:
            return Answer(204, _progress(upload))

    def _patch(self, request: Request, repository: str, identifier: str) -> Answer:
        """end-5: append a chunk; if the connection breaks, the bytes before that are kept."""
        with self._layout.uploads.hold(repository, identifier) as upload:
            try:
                upload.append(request.body.chunks(), _offset(request))
            except WrongOffset as reason:
                return rejection(reason, status=416, **_progress(upload))
            return _accepted(upload)

    def _finish(self, request: Request, repository: str, identifier: str) -> Answer:
        """end-6: append the last chunk, if there is one, and finish the blob."""
        digest = parse_digest(request.parameters().get("digest", ""))
        with self._layout.uploads.hold(repository, identifier) as upload:
            try:
                upload.append(request.body.chunks(), _offset(request), all_or_nothing=True)
            except WrongOffset as reason:
                return rejection(reason, status=416, **_progress(upload))
            self._layout.finish(upload, digest)
        return _blob_created(repository, digest)

    def _cancel(self, request: Request, repository: str, identifier: str) -> Answer:
        """Cancel an upload."""
        with self._layout.uploads.hold(repository, identifier) as upload:
            self._layout.uploads.remove(upload)
        return Answer(204)

    def _put_manifest(self, request: Request, repository: str, reference: str) -> Answer:
        """end-7: store a manifest under a tag or under its digest.

        Tags may be given with a digest (``?tag=1&tag=latest``). No release of the specification has
        that yet; it is the only way to give a tag to a manifest with a sha512 digest.
        """
        digest, added_tags = None, []
        if ":" in reference:
            digest = parse_digest(reference)
            added_tags = [parse_tag(tag) for tag in request.values("tag")]
            tags = added_tags
        else:
            tags = [parse_tag(reference)]
            if "digest" in (parameters := request.parameters()):
                digest = parse_digest(parameters["digest"])
        media_type = request.head.headers.get("Content-Type").partition(";")[0].strip(" \t") or None
        try:
            manifest = self._store_manifest(request.body, repository, media_type, tags, digest)
        except BodyTooLarge:
            message = f"a manifest may have {MAX_SIZE} bytes, and not more"
            return error(Code.SIZE_INVALID, message, status=413)
        location = f"/v2/{repository}/manifests/{manifest.digest}"
        headers: dict[str, str] = {}
        if manifest.subject is not None:
            headers["OCI-Subject"] = manifest.subject
        if added_tags:
            headers["OCI-Tag"] = ", ".join(added_tags)
        return created(location, manifest.digest, **headers)

    def _store_manifest(
        self,
        body: RequestBody,
        repository: str,
        media_type: str | None,
        tags: Sequence[str],
        digest: Digest | None,
    ) -> StoredManifest:
        """Receive a manifest and store it.

        A large one is received into a temporary file, and one thread stores all large ones: when
        it is parsed, a manifest takes many times its size, and a thread keeps its memory.
        """

        def store() -> StoredManifest | Rejected:
            file.seek(0)
            try:
                return self._layout.put_manifest(repository, file.read(), media_type, tags, digest)
            except Rejected as reason:  # its traceback would keep the parsed manifest in memory
                return Rejected(reason.code, reason.message, reason.detail)

        folder = str(self._layout.temporary_folder)
        with tempfile.SpooledTemporaryFile(_LARGE, dir=folder) as file:
            for chunk in body.limited(MAX_SIZE):
                file.write(chunk)
            is_large = file.tell() > _LARGE
            result = self._large_manifests.submit(store).result() if is_large else store()
        if isinstance(result, Rejected):
            raise result
        return result


def _offset(request: Request) -> int | None:
    """Return the offset that ``Content-Range`` gives; ``None`` if there is no such header."""
    if "Content-Range" not in request.head.headers:
        return None
    content_range = parse_content_range(request.head.headers.get("Content-Range"))
    if content_range is None:
        raise Rejected(Code.BLOB_UPLOAD_INVALID, "Content-Range is not START-END")
    start, end = content_range
    if request.body.length is not None and request.body.length != end - start:
        raise Rejected(
            Code.SIZE_INVALID,
            f"Content-Range says {end - start} bytes, and the body has {request.body.length}",
        )
    return start


def _accepted(upload: Upload) -> Answer:
    return Answer(202, _progress(upload))


def _progress(upload: Upload) -> dict[str, str]:
    """Return the headers that say where an upload continues; ``Range`` has its last byte."""
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.identifier}",
        "Range": f"0-{max(0, upload.size - 1)}",
        "Docker-Upload-UUID": upload.identifier,
    }


def _blob_created(repository: str, digest: Digest) -> Answer:
    return created(f"/v2/{repository}/blobs/{digest}", digest)
