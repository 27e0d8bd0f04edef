"""The proxy of the tests: it passes requests on, and does what its rules say."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from faults.processes import wait_until
from proxy import (
    HTML,
    Action,
    Answer,
    Close,
    DropAnswer,
    DropHeader,
    FlipBit,
    IgnoreRange,
    Proxy,
    Reset,
    ResetUpload,
    Rule,
    SetHeader,
    Stall,
    Truncate,
)

PROGRAM = Path(__file__).parent.parent / "proxy.py"
BODY = bytes(range(256)) * 400
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class Upstream(BaseHTTPRequestHandler):
    """Serves one body, or a part of it; keeps what it is sent."""

    protocol_version = "HTTP/1.1"
    uploads: list[bytes]

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nHello\r\n8;name=value\r\n, world!\r\n0\r\n\r\n")
            return
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(BODY) - first))
        self.send_header("Docker-Content-Digest", "sha256:1234")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(BODY[first:])

    do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

    def do_PUT(self) -> None:
        self.uploads.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.send_header("Location", f"http://127.0.0.1:{self.connection.getsockname()[1]}/stored")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class UpstreamServer(ThreadingHTTPServer):
    """Puts up with broken connections in silence."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


Through = Callable[..., Proxy]


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what has arrived at the upstream."""
    arrived: list[bytes] = []
    monkeypatch.setattr(Upstream, "uploads", arrived, raising=False)
    return arrived


@pytest.fixture
def through(uploads: list[bytes]) -> Iterator[Through]:
    """Return what puts a proxy, with these rules, before the upstream."""
    server = UpstreamServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    proxies: list[Proxy] = []

    def enter(*rules: Rule, **options: Any) -> Proxy:
        upstream = f"127.0.0.1:{server.server_address[1]}"
        proxies.append(Proxy(upstream, rules, **options).__enter__())
        return proxies[-1]

    yield enter
    for each in proxies:
        each.__exit__()
    server.shutdown()
    server.server_close()


def get(proxy: Proxy, path: str = "/", method: str = "GET", **headers: str) -> requests.Response:
    return requests.request(method, f"http://{proxy.address}{path}", headers=headers, timeout=30)


def put(proxy: Proxy, content: bytes) -> requests.Response:
    return requests.put(f"http://{proxy.address}/upload", data=content, timeout=30)


def received(proxy: Proxy) -> bytes:
    """Return as much of the body as comes, whatever its head says."""
    connection = HTTPConnection(proxy.address, timeout=30)
    connection.request("GET", "/")
    parts: list[bytes] = []
    try:
        answer = connection.getresponse()
        while part := answer.read1(1000):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b" and a reset")
    connection.close()
    return b"".join(parts)


def always(action: Action) -> Rule:
    return Rule(".*", "", action, times=None)


def test_without_rules_everything_passes_and_is_recorded(
    through: Through, uploads: list[bytes]
) -> None:
    proxy = through()
    with requests.Session() as session:
        for _ in range(2):
            assert session.get(f"http://{proxy.address}/x", timeout=30).content == BODY
        assert session.head(f"http://{proxy.address}/x", timeout=30).content == b""
        answer = session.put(f"http://{proxy.address}/y?a=b", data=BODY, timeout=30)
        assert session.get(f"http://{proxy.address}/chunked", timeout=30).text == "Hello, world!"
    assert uploads == [BODY]
    assert answer.headers["Location"] == f"http://{proxy.address}/stored"
    assert [(r.method, r.path, r.status, r.received, r.sent) for r in proxy.requests] == [
        ("GET", "/x", 200, 0, len(BODY)),
        ("GET", "/x", 200, 0, len(BODY)),
        ("HEAD", "/x", 200, 0, 0),
        ("PUT", "/y?a=b", 201, len(BODY), 0),
        ("GET", "/chunked", 200, 0, 13),
    ]
    assert proxy.requests[0].headers["host"] == proxy.address


def test_a_body_in_chunks_is_passed_on(through: Through) -> None:
    proxy = through(Rule("PUT", "", Answer(201)))
    assert put(proxy, iter([b"one", b"", b"two"])).status_code == 201  # type: ignore[arg-type]
    assert proxy.requests[0].received == 6


@pytest.mark.parametrize("action", [Reset(), Close(), DropAnswer()])
def test_no_answer(through: Through, action: Action) -> None:
    proxy = through(Rule("GET", "", action))
    with pytest.raises(requests.ConnectionError):
        get(proxy)
    assert get(proxy).content == BODY
    assert [r.status for r in proxy.requests] == [None, 200]
    assert [r.action for r in proxy.requests] == [action, None]


@pytest.mark.parametrize("size", [0, 1, 70_000, len(BODY)])
def test_a_connection_ends_within_a_body(through: Through, size: int) -> None:
    # Who has the whole body waits for no more, and does not learn of the reset.
    error = b"" if size == len(BODY) else b" and a reset"
    assert received(through(always(Reset(size)))) == BODY[:size] + error
    assert received(through(always(Close(size)))) == BODY[:size]


@pytest.mark.parametrize("size", [None, 70_000])
def test_a_body_stalls(through: Through, size: int | None) -> None:
    proxy = through(always(Stall(size)))
    with pytest.raises((requests.Timeout, requests.ConnectionError)):
        requests.get(f"http://{proxy.address}/", timeout=0.2)
    wait_until(lambda: [request.sent for request in proxy.requests] == [size or 0])


def test_a_truncated_body_looks_whole(through: Through) -> None:
    proxy = through(Rule("GET", "", Truncate(70_000)))
    with requests.Session() as session:
        short = session.get(f"http://{proxy.address}/", timeout=30)
        assert short.content == BODY[:70_000]
        assert short.headers["Content-Length"] == "70000"
        assert session.get(f"http://{proxy.address}/", timeout=30).content == BODY


def test_one_bit_is_flipped(through: Through) -> None:
    content = get(through(always(FlipBit(70_001)))).content
    assert [n for n, (a, b) in enumerate(zip(content, BODY, strict=True)) if a != b] == [70_001]


def test_a_range_is_ignored(through: Through) -> None:
    proxy = through(Rule("GET", "", IgnoreRange()))
    assert get(proxy, Range="bytes=1000-").content == BODY
    answer = get(proxy, Range="bytes=1000-")
    assert (answer.status_code, answer.content) == (206, BODY[1000:])
    assert proxy.requests[0].headers["range"] == "bytes=1000-"


def test_headers_lie_and_go_missing(through: Through) -> None:
    lying = get(through(always(SetHeader("docker-content-digest", "sha256:0"))))
    assert (lying.headers["Docker-Content-Digest"], lying.content) == ("sha256:0", BODY)
    assert (
        "Docker-Content-Digest"
        not in get(through(always(DropHeader("Docker-Content-Digest")))).headers
    )
    assert get(through(always(DropHeader("Content-Length")))).content == BODY
    assert get(through(always(SetHeader("Content-Length", "9")))).content == BODY[:9]
    too_long = always(SetHeader("Content-Length", str(len(BODY) + 1)))
    assert received(through(too_long)) == BODY


def test_an_answer_that_the_upstream_never_gave(through: Through, uploads: list[bytes]) -> None:
    proxy = through(
        Rule("PUT", "", Answer(429, {"Retry-After": "1"}, b"slow down")),
        Rule("HEAD", "", Answer(405)),
        Rule("GET", "", HTML),
    )
    with requests.Session() as session:
        refused = session.put(f"http://{proxy.address}/", data=BODY, timeout=30)
        assert (refused.status_code, refused.content) == (429, b"slow down")
        assert refused.headers["Retry-After"] == "1"
        assert session.head(f"http://{proxy.address}/", timeout=30).status_code == 405
        assert session.get(f"http://{proxy.address}/", timeout=30).text.startswith(
            "<!DOCTYPE html>"
        )
    assert uploads == []
    assert proxy.requests[0].received == len(BODY)


def test_an_upload_breaks(through: Through, uploads: list[bytes]) -> None:
    proxy = through(Rule("PUT", "", ResetUpload(50_000)))
    with pytest.raises(BROKEN):
        put(proxy, BODY)
    assert proxy.requests[0].status is None
    assert put(proxy, BODY).status_code == 201
    assert uploads[-1] == BODY


def test_an_upload_arrives_but_not_its_answer(through: Through, uploads: list[bytes]) -> None:
    proxy = through(Rule("PUT", "", DropAnswer()))
    with pytest.raises(BROKEN):
        put(proxy, BODY)
    assert uploads == [BODY]


def test_the_first_rule_with_times_left_applies(through: Through) -> None:
    proxy = through(
        Rule("GET", "^/a", Answer(503), times=2),
        Rule("GET|HEAD", r"\?n=\d$", Answer(500), skip=1),
        Rule("GET", "", Answer(404), times=None),
    )
    paths = ["/a", "/b", "/a?n=1", "/a?n=1", "/a?n=1", "/a?n=1"]
    assert [get(proxy, path).status_code for path in paths] == [503, 404, 503, 404, 500, 404]
    assert get(proxy, "/a", method="HEAD").status_code == 200
    assert len(proxy.matching("GET", "n=1")) == 4


def test_an_upstream_that_is_gone_is_a_502() -> None:
    with Proxy("127.0.0.1:1") as proxy:
        assert put(proxy, BODY).status_code == 502


@pytest.mark.parametrize(
    ("options", "seconds"),
    [({"delay": 0.2}, 0.2), ({"bytes_per_second": 500_000}, len(BODY) / 500_000)],
)
def test_answers_come_late_and_bodies_slowly(
    through: Through, options: dict[str, float], seconds: float
) -> None:
    proxy = through(**options)
    started = time.monotonic()
    get(proxy)
    between = time.monotonic()
    put(proxy, BODY)
    assert between - started > seconds * 0.8
    assert time.monotonic() - between > seconds * 0.8


def test_as_a_process_of_its_own(through: Through) -> None:
    upstream = through().upstream
    command = [sys.executable, str(PROGRAM), upstream, "--delay", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert requests.get(f"http://{address}/", timeout=30).content == BODY
        process.terminate()
