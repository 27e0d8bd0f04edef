"""Answers that go on and on: they have an end in size, in time and in number."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator

import pytest
import requests

import images
from docker_charon import ConnectionFailed, InvalidManifest, RegistryError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MAX_SIZE
from docker_charon.registry import response
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.retry import RetryPolicy
from images import image, layer

APP = image(layer(1))
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {APP.media_type}\r\n".encode()
FOUND = HEAD + f"Content-Length: {len(APP.manifest)}\r\n\r\n".encode() + APP.manifest

Script = Callable[[bytes], Iterable[bytes]]
"""From the head of a request to the pieces of what a server sends."""


@contextlib.contextmanager
def server(script: Script) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that sends what a script says; yield its address and the requests."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while head := read_head(connection):
                    requests.append(head)
                    for piece in script(head):
                        connection.sendall(piece)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", requests
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return b""
        head += piece
    return head


def client_of(address: str) -> RegistryClient:
    return RegistryClient(
        address, Access(secure=False, retry=RetryPolicy(backoff=0.001, when_away=False))
    )


def drip(content: bytes) -> Iterator[bytes]:
    for byte in content:
        yield bytes([byte])
        time.sleep(0.02)


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 104 Upload Resumption\r\n\r\n" * 3,
        b"HTTP/1.1 199 Unheard Of\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
    ],
)
def test_interim_responses_are_passed_over(interim: bytes) -> None:
    with server(lambda _: [interim, FOUND]) as (address, requests), client_of(address) as client:
        for _ in range(2):  # on one connection
            assert client.get_manifest("app", "1").content == APP.manifest
        assert len(requests) == 2


def test_interim_responses_have_an_end() -> None:
    forever = itertools.repeat(b"HTTP/1.1 102 Processing\r\n\r\n")
    with (
        server(lambda _: forever) as (address, _),
        client_of(address) as client,
        pytest.raises(ConnectionFailed),
    ):
        client.get_manifest("app", "1")


@pytest.mark.parametrize("where", ["status", "headers", "body", "chunks"])
def test_a_server_that_drips_is_given_up(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "WINDOW", 0.1)
    at_once, dripped = {
        "status": (b"", b"HTTP/1.1 200 " + b"O" * 5000),
        "headers": (HEAD, b"X-Header: " + b"a" * 5000),
        "body": (FOUND[: -len(APP.manifest)], APP.manifest),
        "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n" * 500),
    }[where]

    def script(_: bytes) -> Iterator[bytes]:
        yield at_once
        yield from drip(dripped)

    with server(script) as (address, requests), client_of(address) as client:
        with pytest.raises(ConnectionFailed, match="sends its answer too slowly"):
            client.get_manifest("app", "1")
        assert len(requests) == 2


def test_a_blob_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "WINDOW", 0.1)
    content = images.random_bytes(1, 5000)
    blob = Descriptor("", Digest.of(content), len(content))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with (
        server(lambda _: itertools.chain([head], drip(content))) as (address, requests),
        client_of(address) as client,
    ):
        with pytest.raises(ConnectionFailed, match="sends its answer too slowly"):
            client.read_blob("app", blob)
        assert len(requests) == 2


def test_a_pause_before_the_first_byte_is_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "WINDOW", 0.05)

    def think(_: bytes) -> Iterator[bytes]:
        time.sleep(0.2)
        yield b"HTTP/1.1 102 Processing\r\n\r\n"
        time.sleep(0.2)
        yield FOUND

    with server(think) as (address, requests), client_of(address) as client:
        assert client.get_manifest("app", "1").content == APP.manifest
        assert len(requests) == 1


def test_a_document_has_a_limit_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "LONGEST_READ", 0.1)

    def endless(_: bytes) -> Iterator[bytes]:
        yield HEAD + b"\r\n"
        yield from drip(b" " * 10_000)

    with (
        server(endless) as (address, _),
        client_of(address) as client,
        pytest.raises(ConnectionFailed, match="sends its answer too slowly"),
    ):
        client.get_manifest("app", "1")


def test_an_endless_document_is_too_large() -> None:
    endless = itertools.chain([HEAD + b"\r\n"], itertools.repeat(b" " * 65536))
    with (
        server(lambda _: endless) as (address, _),
        client_of(address) as client,
        pytest.raises(InvalidManifest, match="more than 4 MiB"),
    ):
        client.get_manifest("app", "1")


def test_a_document_that_ends_early_is_asked_for_again() -> None:
    cut = iter([FOUND[:-10], FOUND[:-1]])

    def script(_: bytes) -> Iterator[bytes]:
        piece = next(cut, None)
        yield piece or FOUND
        if piece is not None:
            raise ConnectionResetError

    with server(script) as (address, requests), client_of(address) as client:
        assert client.get_manifest("app", "1").content == APP.manifest
        assert len(requests) == 3


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", gzip.compress(APP.manifest)),
        ("x-gzip", gzip.compress(APP.manifest)),
        ("GZIP", gzip.compress(APP.manifest)),
        ("deflate", zlib.compress(APP.manifest)),
        ("identity", APP.manifest),
        ("gzip", APP.manifest),  # a proxy decoded it, and left the header
    ],
)
def test_a_manifest_that_was_compressed_on_its_way_is_read(encoding: str, sent: bytes) -> None:
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
    with server(lambda _: [HEAD + head + sent]) as (address, _), client_of(address) as client:
        assert client.get_manifest("app", "1").content == APP.manifest


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_a_compression_that_is_not_known_is_called_that(encoding: str) -> None:
    head = f"Content-Encoding: {encoding}\r\nContent-Length: 1\r\n\r\nx".encode()
    with server(lambda _: [HEAD + head]) as (address, requests), client_of(address) as client:
        with pytest.raises(ConnectionFailed, match="compressed, which was not asked for"):
            client.get_manifest("app", "1")
        assert len(requests) == 1


class Body:
    """The body of a response below every version of urllib3."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int, *, decode_content: bool) -> bytes:
        assert not decode_content
        return self._content.read(size)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("limit", [1000, MAX_SIZE])
def test_a_bomb_is_decoded_only_up_to_the_limit_whatever_urllib3_does(
    encoding: str, limit: int
) -> None:
    decoded = b" " * (50 * MAX_SIZE)
    answer = requests.Response()
    answer.headers["Content-Encoding"] = encoding
    answer.raw = Body(
        zlib.compress(decoded, 1) if encoding == "deflate" else gzip.compress(decoded, 1)
    )
    del decoded
    tracemalloc.start()
    content = response.read_document(answer, limit)
    assert tracemalloc.get_traced_memory()[1] < 5 * MAX_SIZE
    tracemalloc.stop()
    assert len(content) == limit + 1


def test_a_bomb_is_decoded_only_as_far_as_a_manifest_may_go() -> None:
    bomb = gzip.compress(b" " * (200 * MAX_SIZE), 1)
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with (
        server(lambda _: [HEAD + head + bomb]) as (address, _),
        client_of(address) as client,
        pytest.raises(InvalidManifest, match="more than 4 MiB"),
    ):
        client.get_manifest("app", "1")


def blob_answer(*headers: str, body: bytes) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_blob_that_is_compressed_on_its_way_is_called_that(framing: str) -> None:
    content = b"layer " * 1000
    blob = Descriptor("", Digest.of(content), len(content))
    sent = gzip.compress(content)
    if framing == "length":
        header, body = f"Content-Length: {len(sent)}", sent
    else:
        header = "Transfer-Encoding: chunked"
        body = f"{len(sent):x}\r\n".encode() + sent + b"\r\n0\r\n\r\n"
    answer = blob_answer("Content-Encoding: gzip", header, body=body)
    with (
        server(lambda _: [answer]) as (address, _),
        client_of(address) as client,
        pytest.raises(RegistryError, match=r"compressed \(gzip\), which was not asked"),
    ):
        client.read_blob("app", blob)


def test_a_blob_that_is_stored_as_it_is_may_be_called_compressed() -> None:
    content = gzip.compress(b"a layer")
    blob = Descriptor("", Digest.of(content), len(content))
    answer = blob_answer(
        "Content-Encoding: x-gzip", f"Content-Length: {len(content)}", body=content
    )
    with server(lambda _: [answer]) as (address, _), client_of(address) as client:
        assert client.read_blob("app", blob) == content


def test_a_circle_of_redirects_ends() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /v2/app/manifests/2\r\nContent-Length: 0\r\n\r\n"
    with server(lambda _: [answer]) as (address, requests), client_of(address) as client:
        with pytest.raises(ConnectionFailed, match="redirects in a circle"):
            client.get_manifest("app", "1")
        assert len(requests) <= 11


@pytest.mark.parametrize(
    ("location", "tries"),
    [
        ("ftp://other.example/1", 1),
        ("file:///etc/passwd", 1),
        ("http://[bad/1", 1),
        ("http://other.example:99999/1", 1),
        ("http://127.0.0.1:1/1", 2),
        ("http://name.invalid/1", 2),
    ],
)
@pytest.mark.parametrize("kind", ["manifest", "blob"])
def test_a_redirect_that_leads_nowhere_ends_soon(kind: str, location: str, tries: int) -> None:
    answer = f"HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with server(lambda _: [answer]) as (address, requests), client_of(address) as client:
        with pytest.raises(ConnectionFailed):
            if kind == "manifest":
                client.get_manifest("app", "1")
            else:
                client.read_blob("app", Descriptor("", Digest.of(b"blob"), 4))
        assert len(requests) == tries


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/1", "http://name.invalid/1", "ftp://x/"])
def test_an_upload_to_a_place_that_cannot_be_reached_ends_soon(location: str) -> None:
    blob = Descriptor("", Digest.of(b"blob"), 4)

    def script(head: bytes) -> Iterable[bytes]:
        status = "202 Accepted" if head.startswith(b"POST") else "404 Not Found"
        yield f"HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()

    with server(script) as (address, requests), client_of(address) as client:
        with pytest.raises(ConnectionFailed):
            client.upload_blob("app", blob, b"blob")  # type: ignore[arg-type]
        assert sum(head.startswith(b"POST") for head in requests) <= 2
