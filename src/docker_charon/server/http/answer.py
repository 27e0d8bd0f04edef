"""An answer of the server: a status, headers, and a body, which is bytes or a part of a blob."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docker_charon.oci.digest import Digest
from docker_charon.server.store import Blob, Code, Rejected

_STATUS = {
    Code.BLOB_UNKNOWN: 404,
    Code.BLOB_UPLOAD_UNKNOWN: 404,
    Code.DENIED: 403,
    Code.MANIFEST_UNKNOWN: 404,
    Code.NAME_UNKNOWN: 404,
    Code.UNSUPPORTED: 405,
    Code.TOOMANYREQUESTS: 429,
    Code.UNKNOWN: 500,
}
"""The status of every code that is not answered with 400."""


@dataclass(frozen=True)
class Answer:
    """A status, headers and a body: ``content``, or bytes of ``blob`` from ``start`` to ``end``.

    ``start`` and ``end`` are offsets in bytes; the byte at ``end`` is not included.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    blob: Blob | None = None
    start: int = 0
    end: int = 0

    @property
    def length(self) -> int:
        """The size of the body in bytes."""
        return len(self.content) if self.blob is None else self.end - self.start


def json_answer(
    value: Any, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Answer:
    """Return an answer with a JSON document (200)."""
    content = json.dumps(value, separators=(",", ":")).encode()
    return Answer(200, {"Content-Type": media_type, **(headers or {})}, content)


def created(location: str, digest: Digest, **headers: str) -> Answer:
    """Return an answer that content has been stored, and where it can be pulled (201)."""
    return Answer(201, {"Location": location, "Docker-Content-Digest": digest, **headers})


def error(
    code: Code,
    message: str,
    detail: object = None,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an answer with an error (distribution-spec 1.1, "Error Codes")."""
    document = {"errors": [{"code": code.value, "message": message, "detail": detail}]}
    return Answer(
        status or _STATUS.get(code, 400),
        {"Content-Type": "application/json", **(headers or {})},
        json.dumps(document, separators=(",", ":")).encode(),
    )


def rejection(reason: Rejected, *, status: int | None = None, **headers: str) -> Answer:
    """Return an answer that says why a request was rejected."""
    return error(reason.code, reason.message, reason.detail, status=status, headers=headers)
