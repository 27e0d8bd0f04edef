"""Uploads in chunks, as one registry or another takes them: in memory, behind `responses`."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from requests import PreparedRequest
from responses import RequestsMock

import images

Reply = tuple[int, dict[str, str], str]
TOO_LARGE: Reply = (413, {}, "<html>413 Request Entity Too Large</html>")


@dataclass
class Quirks:
    """What is not the same everywhere."""

    largest: int = 1_000_000
    """Bytes of a request that pass."""
    min_length: int | None = None
    """``OCI-Chunk-Min-Length``."""
    keeps: list[int] = field(default_factory=list)
    """Bytes that are kept of a chunk, one chunk after the other; of those that follow all."""
    tells_range: bool = True
    relative: bool = False
    """Whether a ``Location`` is only a path."""
    patched: int = 202
    stored: int = 201
    cancelled: int = 204
    fails: int | None = None
    """What is answered to every chunk but the first."""
    stumbles: list[int] = field(default_factory=list)
    """What is answered to the first chunks, of which nothing is kept."""

    def __str__(self) -> str:
        """Say what differs, as the name of a test."""
        usual = vars(Quirks())
        return ",".join(
            f"{name}={str(value)[:20]}"
            for name, value in vars(self).items()
            if value != usual[name]
        )


class ChunkedRegistry:
    """Takes the blobs of one repository, whose uploads begin at ``uploads``.

    A chunk has to begin where the last one ended, and to come to the place that was named last:
    the state of a session is in that place's query, in characters that have to be quoted.
    """

    def __init__(self, web: RequestsMock, uploads: str, quirks: Quirks) -> None:
        self.open: dict[str, bytearray] = {}
        """What the sessions hold, by the place that each is reached at now."""
        self.cancelled: list[str] = []
        """The places that somebody wanted to give back."""
        self.starts: list[int] = []
        """The offsets of the chunks."""
        self.out_of_order = 0
        """How many chunks were not where they should be."""
        self.stored: dict[str, bytes] = {}
        self._uploads = uploads
        self._quirks = quirks
        self._numbers = itertools.count(1)
        blobs = uploads.removesuffix("uploads/")
        for method in ("POST", "PATCH", "PUT", "GET", "DELETE", "HEAD"):
            answer = getattr(self, f"_{method.lower()}")
            address = blobs if method == "HEAD" else uploads
            web.add_callback(method, re.compile(re.escape(address)), answer)

    def _post(self, _: PreparedRequest) -> Reply:
        headers = self._move(bytearray())
        if self._quirks.min_length is not None:
            headers["OCI-Chunk-Min-Length"] = str(self._quirks.min_length)
        return 202, headers, ""

    def _patch(self, request: PreparedRequest) -> Reply:
        chunk = _body(request)
        if len(chunk) > self._quirks.largest:
            return TOO_LARGE
        held = self.open[_place(request)]
        start = len(held)
        assert request.headers["Content-Type"] == "application/octet-stream"
        assert request.headers["Content-Length"] == str(len(chunk))
        if request.headers["Content-Range"] != f"{start}-{start + len(chunk) - 1}":
            self.out_of_order += 1
            return 416, {}, ""
        if self._quirks.fails and held:
            return self._quirks.fails, {}, ""
        if self._quirks.stumbles:
            return self._quirks.stumbles.pop(0), {}, ""
        self.starts.append(start)
        held += chunk[: self._quirks.keeps.pop(0) if self._quirks.keeps else len(chunk)]
        del self.open[_place(request)]
        headers = self._move(held)
        if self._quirks.tells_range:
            headers["Range"] = _range(held)
        return self._quirks.patched, headers, ""

    def _put(self, request: PreparedRequest) -> Reply:
        body = _body(request)
        if len(body) > self._quirks.largest:
            return TOO_LARGE
        content = bytes(self.open.pop(_place(request)) + body)
        (digest,) = parse_qs(urlsplit(request.url or "").query)["digest"]
        assert digest == images.digest_of(content)
        self.stored[digest] = content
        return self._quirks.stored, {}, ""

    def _get(self, request: PreparedRequest) -> Reply:
        held = self.open.get(_place(request))
        return (404, {}, "") if held is None else (204, {"Range": _range(held)}, "")

    def _head(self, request: PreparedRequest) -> Reply:
        content = self.stored.get((request.url or "").rpartition("/")[2])
        return (
            (404, {}, "") if content is None else (200, {"Content-Length": str(len(content))}, "")
        )

    def _delete(self, request: PreparedRequest) -> Reply:
        self.cancelled.append(_place(request))
        if self._quirks.cancelled != 204:
            return self._quirks.cancelled, {}, ""
        return (404 if self.open.pop(_place(request), None) is None else 204), {}, ""

    def _move(self, held: bytearray) -> dict[str, str]:
        """Give a session a new place."""
        number = next(self._numbers)
        self.open[f"{number}?{number}+/="] = held
        uploads = urlsplit(self._uploads).path if self._quirks.relative else self._uploads
        return {"Location": f"{uploads}{number}?_state={number}%2B%2F%3D"}


def _range(held: bytearray) -> str:
    """Return what has arrived, as `distribution` says it: nothing and one byte look the same."""
    return f"0-{max(0, len(held) - 1)}"


def _place(request: PreparedRequest) -> str:
    parts = urlsplit(request.url or "")
    return f"{parts.path.rpartition('/')[2]}?{parse_qs(parts.query)['_state'][0]}"


def _body(request: PreparedRequest) -> bytes:
    body = request.body or b""
    assert not isinstance(body, str)
    return body if isinstance(body, bytes) else b"".join(body)
