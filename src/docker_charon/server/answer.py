"""An answer of the server, as a value: status, headers, and a body or a blob."""

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
    Code.MANIFEST_UNKNOWN: 404,
    Code.NAME_UNKNOWN: 404,
    Code.UNSUPPORTED: 405,
    Code.TOOMANYREQUESTS: 429,
    Code.UNKNOWN: 500,
}
"""All others are 400."""


@dataclass(frozen=True)
class Answer:
    """What is sent: ``content``, or the bytes of ``blob`` from ``start`` to before ``end``."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    blob: Blob | None = None
    start: int = 0
    end: int = 0

    @property
    def length(self) -> int:
        """The size of its body in bytes."""
        return len(self.content) if self.blob is None else self.end - self.start


def document(
    value: Any, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Answer:
    """Answer with a JSON document."""
    content = json.dumps(value, separators=(",", ":")).encode()
    return Answer(200, {"Content-Type": media_type, **(headers or {})}, content)


def created(location: str, digest: Digest, **headers: str) -> Answer:
    """Answer that something is stored, and where it is to be had (201)."""
    return Answer(201, {"Location": location, "Docker-Content-Digest": digest, **headers})


def error(
    code: Code,
    message: str,
    detail: object = None,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer that something is wrong (distribution-spec 1.1, "Error Codes")."""
    described = {"code": code.value, "message": message, "detail": detail}
    content = json.dumps({"errors": [described]}, separators=(",", ":")).encode()
    return Answer(
        status or _STATUS.get(code, 400),
        {"Content-Type": "application/json", **(headers or {})},
        content,
    )


def rejection(reason: Rejected, *, status: int | None = None, **headers: str) -> Answer:
    """Answer why something cannot be done."""
    return error(reason.code, reason.message, reason.detail, status=status, headers=headers)
