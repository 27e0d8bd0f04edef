"""A registry in memory that serves any bytes as a manifest, and answers by rule what a test wants.

with LooseRegistry() as registry:
registry.put("app:1", image(layer(1)))
registry.answer("GET", "/v2/$", status=401, headers={"WWW-Authenticate": "Basic"})
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from images import TestImage, digest_of


@dataclass(frozen=True)
class Reply:
    """What a registry answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Asked:
    """A request: its path without the query, and what a test may want to know of it."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    authorization: str | None


Rule = Callable[[Asked], Reply | None]


class LooseRegistry:
    """Holds manifests and blobs without looking into them. ``rules`` answer before it does."""

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.rules: list[Rule] = []
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.registry = self
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LooseRegistry:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, name: str, wanted: TestImage) -> TestImage:
        """Keep an image and all below it as ``repository:tag``, and by digest; return it."""
        repository, _, tag = name.partition(":")
        for child in wanted.children:
            self.put(repository, child)
        self.blobs.update({digest_of(content): content for content in wanted.blobs})
        self.put_bytes(repository, tag, wanted.manifest, wanted.media_type)
        return wanted

    def put_bytes(self, repository: str, tag: str, content: bytes, media_type: str) -> str:
        """Keep any bytes as a manifest, under a tag if there is one; return their digest."""
        for reference in filter(None, (tag, digest_of(content))):
            self.manifests[f"{repository}/{reference}"] = media_type, content
        return digest_of(content)

    def answer(self, method: str, path: str, reply: Reply) -> None:
        """Answer requests whose method and path match two regular expressions."""
        self.rules.append(
            lambda asked: (
                reply
                if re.fullmatch(method, asked.method) and re.search(path, asked.path)
                else None
            )
        )

    def matching(self, method: str, path: str) -> list[Asked]:
        """Return the requests whose method and path match two regular expressions."""
        return [
            asked
            for asked in self.asked
            if re.fullmatch(method, asked.method) and re.search(path, asked.path)
        ]

    def reply(self, asked: Asked) -> Reply:
        """Return the answer to a request."""
        self.asked.append(asked)
        for rule in self.rules:
            if (ruled := rule(asked)) is not None:
                return ruled
        if asked.path == "/v2/":
            return Reply()
        if match := re.fullmatch("/v2/(.+)/manifests/(.+)", asked.path):
            known = self.manifests.get(f"{match[1]}/{match[2]}")
            if known is not None:
                return Reply(headers={"Content-Type": known[0]}, body=known[1])
        elif match := re.fullmatch("/v2/.+/blobs/(.+)", asked.path):
            content = self.blobs.get(match[1])
            if content is not None:
                return Reply(headers={"Content-Type": "application/octet-stream"}, body=content)
        return Reply(404, {"Content-Type": "application/json"}, b'{"errors": []}')


class _Server(ThreadingHTTPServer):
    registry: LooseRegistry
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Write nothing to the terminal when a client goes away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        reply = self.server.registry.reply(
            Asked(self.command, url.path, parse_qs(url.query), self.headers.get("Authorization"))
        )
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # its names

    def log_message(self, *_: object) -> None:
        """Write nothing to the terminal."""
