"""The columns of the table: what we ask a registry for, and with which images."""

from __future__ import annotations

from dataclasses import dataclass

import images
from images import TestImage, image, index, layer
from proxy import Answer, Rule

SHARED, OWN = layer(1, 20_000), layer(2, 20_000)
BASE: TestImage = index(image(SHARED))
"""An image that the air-gapped side has had for long."""
APP: TestImage = index(image(SHARED, OWN))
"""The image that travels: one layer of it can be mounted from `BASE`."""

BEGUN = 8_000
"""Bytes of `OWN` that an earlier run has left."""
VOLUME_SIZE = 15_000

_NO_MOUNTS = Rule("POST", r"mount=", Answer(403), times=None)


@dataclass(frozen=True)
class Operation:
    """A kind of request. ``received`` and ``sent`` are the sizes of the two bodies, in bytes."""

    flow: str
    """``make`` or ``push``."""
    name: str
    method: str
    path: str
    received: int = 0
    sent: int = 0
    first: tuple[Rule, ...] = ()
    """What has to go wrong for such a request to be sent at all."""
    has_digest: bool = False
    """Whether the answer's ``Docker-Content-Digest`` could be believed."""
    skip: int = 0
    """How many such requests are sent before the one that is meant."""
    goes_on: bool = False
    """Whether an earlier run has left the beginning of the blob."""
    volume_size: int | None = None
    """Bytes of a volume of the payload; ``None`` for a single file."""

    @property
    def title(self) -> str:
        return f"{self.flow}: {self.name}"


def _length(app: TestImage) -> int:
    return len(app.manifest)


_CHILD = APP.children[0]
_OWN_URL = rf"/blobs/{images.digest_of(OWN)}$"
_UPLOAD = r"/blobs/uploads/[^?]"

OPERATIONS = (
    Operation("make", "GET check", "GET", r"^/v2/$", 2),
    Operation(
        "make", "GET manifest by tag", "GET", r"/manifests/1$", _length(APP), has_digest=True
    ),
    Operation(
        "make", "GET child by digest", "GET", r"/manifests/sha", _length(_CHILD), has_digest=True
    ),
    Operation("make", "GET blob", "GET", _OWN_URL, len(OWN), has_digest=True),
    Operation(
        *("make", "GET rest of a blob", "GET", _OWN_URL, len(OWN) - BEGUN),
        has_digest=True,
        goes_on=True,
    ),
    Operation(
        *("make", "GET rest of a blob for volumes", "GET", _OWN_URL, len(OWN) - BEGUN),
        has_digest=True,
        goes_on=True,
        volume_size=VOLUME_SIZE,
    ),
    Operation("push", "GET check", "GET", r"^/v2/$", 2),
    Operation(
        "push", "GET manifest by tag", "GET", r"/base/manifests/1$", _length(BASE), has_digest=True
    ),
    Operation("push", "HEAD child by digest", "HEAD", r"/base/manifests/sha", has_digest=True),
    Operation("push", "GET byte of a blob that is there", "GET", r"/base/blobs/", has_digest=True),
    Operation("push", "GET byte of a blob that is not", "GET", r"/app/blobs/"),
    Operation("push", "upload POST", "POST", r"/uploads/$"),
    Operation("push", "upload PUT", "PUT", _UPLOAD, sent=len(OWN), has_digest=True),
    Operation("push", "mount POST", "POST", r"mount=", has_digest=True),
    Operation(
        *("push", "GET blob to copy", "GET", rf"/base/blobs/{images.digest_of(SHARED)}$"),
        *(len(SHARED), 0, (_NO_MOUNTS,), True),
        skip=1,  # its last byte was read before
    ),
    Operation("push", "PUT child", "PUT", r"/manifests/sha", sent=_length(_CHILD), has_digest=True),
    Operation(
        "push", "PUT manifest by tag", "PUT", r"/manifests/1$", sent=_length(APP), has_digest=True
    ),
    Operation(
        *("push", "GET manifest by tag in the end", "GET", r"/app/manifests/1$", _length(APP)),
        has_digest=True,
    ),
)
