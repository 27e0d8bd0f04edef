"""A small registry in memory, some of whose answers are replaced by a test.

    def immutable(call: Call) -> Answer | None:
        return refusal(412, "PRECONDITION") if call.is_for("PUT", "/manifests/stable") else None

    with OddRegistry(immutable) as registry:
        push_payload_to_registry(registry.address, ...)

Like most registries, it takes no manifest whose parts it lacks. It has no referrers API.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from images import digest_of


@dataclass(frozen=True)
class Call:
    """A request: its method, its path and query as one text, its parts, and its body."""

    method: str
    url: str
    kind: str
    """``blobs``, ``uploads``, ``manifests``, or nothing for all others."""
    repository: str
    reference: str
    """A tag, a digest, or the number of an upload."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def is_for(self, method: str, part: str) -> bool:
        return self.method == method and part in self.url


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Call], Answer | None]
"""Returns an answer, or ``None`` for the registry's own answer."""


def refusal(status: int, code: str, message: str = "", detail: Any = None) -> Answer:
    error = {"code": code, "message": message, "detail": detail}
    return Answer(status, json.dumps({"errors": [error]}).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients may close a connection at any time."""


class OddRegistry:
    """A registry on loopback. ``rules`` are asked in their order before it answers itself."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = list(rules)
        self.calls: list[Call] = []
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.tags: dict[tuple[str, str], str] = {}
        self._uploads: dict[str, bytes] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _handle(self) -> None:
                answer = registry._answer(self)
                self.send_response(answer.status)
                headers = {"Content-Length": str(len(answer.body)), **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  # their names there

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> OddRegistry:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str, part: str) -> int:
        return sum(call.is_for(method, part) for call in self.calls)

    @property
    def names(self) -> set[str]:
        """The images that have a tag and all their parts."""
        return {
            f"{repository}:{tag}"
            for (repository, tag), digest in self.tags.items()
            if self._is_complete(repository, digest)
        }

    def _is_complete(self, repository: str, digest: str) -> bool:
        if (repository, digest) not in self.manifests:
            return False
        blobs, children = _parts(self.manifests[repository, digest][0])
        return all((repository, blob) in self.blobs for blob in blobs) and all(
            self._is_complete(repository, child) for child in children
        )

    def _answer(self, handler: BaseHTTPRequestHandler) -> Answer:
        url = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        match = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests)/([^/]*)", url.path)
        repository, kind, reference = match.groups() if match else ("", "", "")
        call = Call(
            handler.command,
            handler.path,
            kind.removeprefix("blobs/"),
            repository,
            reference,
            {key: values[0] for key, values in parse_qs(url.query).items()},
            dict(handler.headers.items()),
            handler.rfile.read(length),
        )
        self.calls.append(call)
        for rule in self.rules:
            answer = rule(call)
            if answer is not None:
                return answer
        if url.path == "/v2/":
            return Answer(200, b"{}")
        answers = {"blobs": self.blob, "uploads": self.upload, "manifests": self.manifest}
        return answers[call.kind](call) if call.kind else refusal(404, "NOT_FOUND")

    def blob(self, call: Call) -> Answer:
        content = self.blobs.get((call.repository, call.reference))
        if content is None:
            return refusal(404, "BLOB_UNKNOWN")
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range", ""))
        if span is None:
            return Answer(200, content)
        start, end = int(span[1]), int(span[2] or len(content) - 1)
        if start >= len(content):
            return Answer(416, headers={"Content-Range": f"bytes */{len(content)}"})
        piece = content[start : end + 1]
        return Answer(206, piece, {"Content-Range": f"bytes {start}-{end}/{len(content)}"})

    def upload(self, call: Call) -> Answer:
        repository = call.repository
        if call.method == "POST":
            source = call.query.get("from", ""), call.query.get("mount", "")
            if source in self.blobs:
                self.blobs[repository, source[1]] = self.blobs[source]
                return Answer(201)
            number = uuid.uuid4().hex
            self._uploads[number] = b""
            return Answer(202, headers={"Location": f"/v2/{repository}/blobs/uploads/{number}"})
        content = self._uploads.pop(call.reference, b"") + call.body
        if call.method == "DELETE":
            return Answer(204)
        if digest_of(content) != call.query["digest"]:
            return refusal(400, "DIGEST_INVALID")
        self.blobs[repository, call.query["digest"]] = content
        return Answer(201)

    def manifest(self, call: Call) -> Answer:
        repository, reference = call.repository, call.reference
        if call.method == "PUT":
            blobs, children = _parts(call.body)
            missing = [blob for blob in blobs if (repository, blob) not in self.blobs]
            missing += [child for child in children if (repository, child) not in self.manifests]
            if missing:
                return refusal(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown", missing[0])
            digest = digest_of(call.body)
            self.manifests[repository, digest] = call.body, call.headers["Content-Type"]
            if ":" not in reference:
                self.tags[repository, reference] = digest
            return Answer(201, headers={"Docker-Content-Digest": digest})
        digest = reference if ":" in reference else self.tags.get((repository, reference), "")
        if (repository, digest) not in self.manifests:
            return refusal(404, "MANIFEST_UNKNOWN")
        content, media_type = self.manifests[repository, digest]
        return Answer(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest})


def _parts(manifest: bytes) -> tuple[list[str], list[str]]:
    """Return the digests of the blobs and of the manifests that a manifest names."""
    document = json.loads(manifest)
    config = [document["config"]] if "config" in document else []
    blobs = [*config, *document.get("layers", ())]
    children = document.get("manifests", ())
    return [blob["digest"] for blob in blobs], [child["digest"] for child in children]
