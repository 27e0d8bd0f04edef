"""The endpoints that write into a layout (distribution-spec 1.1, "Push")."""

from __future__ import annotations

from docker_charon.errors import InvalidReference
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MAX_SIZE
from docker_charon.oci.reference import check_repository
from docker_charon.server.answer import Answer, created, error, rejection
from docker_charon.server.byte_range import range_sent
from docker_charon.server.endpoints import Request, Resource, parse_digest, parse_tag
from docker_charon.server.layout import Layout
from docker_charon.server.request_body import TooLarge
from docker_charon.server.store import Code, Rejected
from docker_charon.server.upload import OutOfOrder, Upload


class UploadEndpoints:
    """Answers the requests that write. Locations are relative: a proxy may stand in between."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
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
        """end-4a, end-4b and end-11: begin an upload, take a whole blob, or mount one."""
        parameters = request.parameters()
        if "mount" in parameters:
            source = parameters.get("from") or None
            if source is not None:
                _check_source(source)
            digest = parse_digest(parameters["mount"])
            if self._layout.mount(repository, digest, source):
                return _blob_created(repository, digest)
        elif "digest" in parameters:
            digest = parse_digest(parameters["digest"])
            upload = self._layout.uploads.begin(repository)
            try:
                upload.append(request.body.pieces())
                self._layout.finish(upload, digest)
            finally:
                self._layout.uploads.forget(upload)
            return _blob_created(repository, digest)
        return _accepted(self._layout.uploads.begin(repository))

    def _status(self, request: Request, repository: str, identifier: str) -> Answer:
        """end-13: tell how much has arrived."""
        with self._layout.uploads.held(repository, identifier) as upload:
            return Answer(204, _progress(upload))

    def _patch(self, request: Request, repository: str, identifier: str) -> Answer:
        """end-5: take a piece, the next one in order; what arrives of it stays."""
        with self._layout.uploads.held(repository, identifier) as upload:
            try:
                upload.append(request.body.pieces(), _start_of(request))
            except OutOfOrder as reason:
                return rejection(reason, status=416, **_progress(upload))
            return _accepted(upload)

    def _finish(self, request: Request, repository: str, identifier: str) -> Answer:
        """end-6: take the last piece, if there is one, and make a blob of all."""
        digest = parse_digest(request.parameters().get("digest", ""))
        with self._layout.uploads.held(repository, identifier) as upload:
            try:
                upload.append(request.body.pieces(), _start_of(request), all_or_nothing=True)
            except OutOfOrder as reason:
                return rejection(reason, status=416, **_progress(upload))
            self._layout.finish(upload, digest)
        return _blob_created(repository, digest)

    def _cancel(self, request: Request, repository: str, identifier: str) -> Answer:
        """Forget an upload."""
        with self._layout.uploads.held(repository, identifier) as upload:
            self._layout.uploads.forget(upload)
        return Answer(204)

    def _put_manifest(self, request: Request, repository: str, reference: str) -> Answer:
        """end-7: take a manifest, under a tag or under its digest.

        Tags beside a digest (``?tag=1&tag=latest``) are optional, and in no release of the
        specification yet. They are how a manifest with a sha512 digest gets a tag.
        """
        digest, beside = None, []
        if ":" in reference:
            digest = parse_digest(reference)
            beside = [parse_tag(repository, tag) for tag in request.values("tag")]
            tags = beside
        else:
            tags = [parse_tag(repository, reference)]
            if "digest" in (parameters := request.parameters()):
                digest = parse_digest(parameters["digest"])
        try:
            content = request.body.read(MAX_SIZE)
        except TooLarge:
            return error(
                Code.SIZE_INVALID, f"a manifest has {MAX_SIZE} bytes at the most", status=413
            )
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip() or None
        manifest = self._layout.put_manifest(repository, content, media_type, tags, digest)
        location = f"/v2/{repository}/manifests/{manifest.digest}"
        headers: dict[str, str] = {}
        if manifest.subject is not None:
            headers["OCI-Subject"] = manifest.subject
        if beside:
            headers["OCI-Tag"] = ", ".join(beside)
        return created(location, manifest.digest, **headers)


def _check_source(repository: str) -> None:
    try:
        check_repository(repository)
    except InvalidReference as problem:
        raise Rejected(Code.NAME_INVALID, str(problem)) from None


def _start_of(request: Request) -> int | None:
    """Return where the piece that a request brings begins; ``None`` if it does not say so."""
    header = request.headers.get("Content-Range")
    if header is None:
        return None
    found = range_sent(header)
    if found is None:
        raise Rejected(Code.BLOB_UPLOAD_INVALID, "Content-Range is not START-END")
    if request.body.length is not None and request.body.length != found[1] - found[0]:
        raise Rejected(
            Code.SIZE_INVALID,
            f"Content-Range is of {found[1] - found[0]} bytes, and the body "
            f"has {request.body.length}",
        )
    return found[0]


def _accepted(upload: Upload) -> Answer:
    return Answer(202, _progress(upload))


def _progress(upload: Upload) -> dict[str, str]:
    """Return where an upload goes on, and how much of it is there: the last byte's number."""
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.identifier}",
        "Range": f"0-{max(0, upload.size - 1)}",
        "Docker-Upload-UUID": upload.identifier,
    }


def _blob_created(repository: str, digest: Digest) -> Answer:
    return created(f"/v2/{repository}/blobs/{digest}", digest)
