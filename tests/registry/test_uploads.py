"""Uploads where requests are limited, and downloads that redirect: nginx, and quirks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import requests
from responses import RequestsMock
from responses.matchers import header_matcher

import images
import registries
from chunked_registry import ChunkedRegistry, Quirks
from clock import Clock
from conftest import Sent, require
from docker_charon import ConnectionFailed, RegistryError, make_payload, push_payload_to_registry
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry import rate_limit, uploads
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from guarded_registry import LOGIN, PASSWORD, USER, guarded, htpasswd, htpasswd_is_installed
from images import image, layer
from nginx import PROGRAM, is_installed, nginx, server
from proxy import Action, Answer, DropAnswer, Proxy, Reset, ResetUpload, Rule

HOST = "registry.example"
UPLOADS = f"https://{HOST}/v2/app/blobs/uploads/"
CONTENT = images.random_bytes(3, 2_500_000)
CHALLENGE = Answer(401, {"WWW-Authenticate": 'Basic realm="storage"'})
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))


@pytest.fixture
def big(source: str, tmp_path: Path) -> images.TestImage:
    """Put an image with a layer of 5 MB into a payload, ``p.zip``."""
    app = images.put(source, "app:1", image(layer(1, 5_000_000), layer(2)))
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    return app


@pytest.fixture
def limit() -> str:
    """Return the largest body that passes, as nginx is told it."""
    return "1m"


@pytest.fixture
def limited(destination: str, limit: str, tmp_path: Path) -> Iterator[str]:
    """Stand an nginx with a limit before the destination; its ``host:port``."""
    require(is_installed(), PROGRAM)
    port = registries.free_port()
    before = server(port, destination, f"client_max_body_size {limit};")
    with nginx(tmp_path / "nginx", before, port=port) as address:
        yield address


def push(registry: str, folder: Path) -> list[str]:
    return push_payload_to_registry(registry, folder / "p.zip", True, secure=False, jobs=1)


def test_a_layer_above_the_limit_arrives_in_chunks(
    limited: str, destination: str, big: images.TestImage, tmp_path: Path
) -> None:
    with Proxy(limited) as proxy:
        assert push(proxy.address, tmp_path) == ["app:1"]
        chunks = proxy.matching("PATCH", "")
        (last,) = [put for put in proxy.matching("PUT", "/uploads/") if put.received == 0]
    assert images.read(destination, "app:1") == big.contents()
    size = len(big.blobs[1])
    starts = range(0, size, 1_000_000)
    assert [chunk.headers["content-range"] for chunk in chunks] == [
        f"{start}-{min(start + 1_000_000, size) - 1}" for start in starts
    ]
    assert {chunk.headers["content-type"] for chunk in chunks} == {"application/octet-stream"}
    assert {chunk.status for chunk in chunks} == {202}
    assert last.status == 201
    assert last.headers["content-length"] == "0"
    repository = tmp_path / "destination/data/docker/registry/v2/repositories/app"
    assert not list((repository / "_uploads").rglob("data"))


@pytest.mark.parametrize("limit", ["300k"])
def test_chunks_are_halved_until_they_pass(
    limited: str, destination: str, big: images.TestImage, tmp_path: Path
) -> None:
    with Proxy(limited) as proxy:
        push(proxy.address, tmp_path)
        sizes = [chunk.received for chunk in proxy.matching("PATCH", "") if chunk.status == 202]
    assert images.read(destination, "app:1") == big.contents()
    assert set(sizes[:-1]) == {250_000}


@pytest.mark.usefixtures("big")
@pytest.mark.parametrize("limit", ["50k"])
def test_a_limit_below_all_chunks_is_one_line(
    limited: str, destination: str, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match="413") as caught:
        push(limited, tmp_path)
    assert "\n" not in str(caught.value)
    assert images.read(destination, "app:1") is None


@pytest.mark.parametrize(
    "rule",
    [
        Rule("PATCH", "", DropAnswer(), skip=2),
        Rule("PATCH", "", Reset(), skip=2),
        Rule("PATCH", "", ResetUpload(after=300_000), skip=2),
        Rule("POST", "", DropAnswer(), skip=1),
        Rule("PUT", "/uploads/", DropAnswer(), skip=1),
    ],
    ids=lambda rule: f"{rule.method}-{type(rule.action).__name__}",
)
def test_a_connection_that_breaks_between_chunks_is_no_harm(
    limited: str, destination: str, big: images.TestImage, tmp_path: Path, rule: Rule
) -> None:
    with Proxy(limited, [rule]) as proxy:
        push(proxy.address, tmp_path)
    assert images.read(destination, "app:1") == big.contents()


@pytest.mark.parametrize(
    "action",
    [Reset(), ResetUpload(after=1000), ResetUpload(after=3_000_000), DropAnswer()],
    ids=lambda action: type(action).__name__,
)
def test_a_connection_that_breaks_within_an_upload_is_no_harm(
    destination: str, big: images.TestImage, tmp_path: Path, action: Action
) -> None:
    with Proxy(destination, [Rule("PUT", "/uploads/", action)]) as proxy:
        push(proxy.address, tmp_path)
    assert images.read(destination, "app:1") == big.contents()


@pytest.fixture
def storage() -> Iterator[Proxy]:
    """Return the second host that blobs are sent to, and what it is asked."""
    with Proxy(
        f"127.0.0.1:{registries.free_port()}", [Rule(".*", "unwilling", CHALLENGE)]
    ) as proxy:
        yield proxy


@pytest.fixture
def redirecting(source: str, storage: Proxy, tmp_path: Path) -> Iterator[str]:
    """Stand an nginx before a registry with a password: who asks for a blob is sent elsewhere."""
    require(is_installed(), PROGRAM)
    require(htpasswd_is_installed(), "htpasswd")
    front, back = registries.free_port(), int(storage.upstream.rpartition(":")[2])
    with guarded(tmp_path / "source", htpasswd(tmp_path)) as registry:
        away = (
            "location ~ ^/v2/.*/blobs/ {"
            f" if ($request_method = GET) {{ return 307 http://{storage.address}$request_uri; }}"
            f" proxy_pass http://{registry}; proxy_set_header Host $http_host; }}"
        )
        with nginx(
            tmp_path / "nginx",
            server(front, registry, away),
            server(back, source, "if ($http_authorization) { return 400; }"),
            port=front,
        ) as address:
            yield address


def test_redirected_blobs_arrive_and_the_second_host_sees_no_authorization(
    source: str, redirecting: str, storage: Proxy, tmp_path: Path, sent: list[Sent]
) -> None:
    app = images.put(source, "app:1", image(layer(1, 900_000), layer(2)))
    make_payload(redirecting, tmp_path / "p.zip", ["app:1"], secure=False, **LOGIN)
    assert [request.status for request in storage.requests] == [200] * len(app.blobs)
    assert not [request for request in storage.requests if "authorization" in request.headers]
    assert [request for request in sent if "Authorization" in request.headers]


def test_a_second_host_that_wants_a_login_of_its_own_gets_none(
    source: str, redirecting: str, storage: Proxy, tmp_path: Path
) -> None:
    images.put(source, "unwilling:1", image(layer(1)))
    with pytest.raises(RegistryError, match="401"):
        make_payload(redirecting, tmp_path / "p.zip", ["unwilling:1"], secure=False, **LOGIN)
    assert storage.requests
    assert not [request for request in storage.requests if "authorization" in request.headers]


# --- What one registry or another does, and Debian's does not -------------------------------------


class Pieces:
    """A body that knows its length and can be read again, as those of a payload."""

    def __len__(self) -> int:
        return len(CONTENT)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(CONTENT), 70_000):
            yield CONTENT[start : start + 70_000]


@pytest.fixture
def quirks() -> Quirks:
    return Quirks()


@pytest.fixture
def registry(quirks: Quirks) -> Iterator[ChunkedRegistry]:
    with RequestsMock(assert_all_requests_are_fired=False) as web:
        yield ChunkedRegistry(web, UPLOADS, quirks)


def upload() -> None:
    with RegistryClient(HOST, Access(username=USER, password=PASSWORD)) as client:
        client.upload_blob("app", BLOB, Pieces())


@pytest.mark.parametrize(
    ("quirks", "starts"),
    [
        (Quirks(), [0, 1_000_000, 2_000_000]),
        (Quirks(relative=True), [0, 1_000_000, 2_000_000]),
        (Quirks(tells_range=False), [0, 1_000_000, 2_000_000]),
        (Quirks(patched=201), [0, 1_000_000, 2_000_000]),
        (Quirks(patched=204), [0, 1_000_000, 2_000_000]),
        (Quirks(stored=204), [0, 1_000_000, 2_000_000]),
        (Quirks(largest=2_000_000, min_length=1_500_000), [0, 1_500_000]),
        (Quirks(min_length=500_000), [0, 1_000_000, 2_000_000]),
        (Quirks(largest=600_000), [0, 500_000, 1_000_000, 1_500_000, 2_000_000]),
        (Quirks(keeps=[300_000]), [0, 300_000, 1_300_000, 2_300_000]),
        (Quirks(keeps=[1_000_000, 1, 999_999]), [0, 1_000_000, 1_000_001, 2_000_000]),
        (Quirks(cancelled=405), [0, 1_000_000, 2_000_000]),
        (Quirks(stumbles=[503]), [0, 1_000_000, 2_000_000]),
    ],
    ids=str,
)
def test_a_blob_arrives_whatever_the_registry_does(
    registry: ChunkedRegistry, starts: list[int]
) -> None:
    upload()
    assert registry.stored == {BLOB.digest: CONTENT}
    assert registry.starts == starts
    assert not registry.out_of_order


def test_the_session_of_the_request_that_was_too_large_is_given_back(
    registry: ChunkedRegistry,
) -> None:
    upload()
    assert registry.cancelled == ["1?1+/="]
    assert not registry.open


@pytest.mark.parametrize("quirks", [Quirks(stumbles=[503]), Quirks(stumbles=[503] * 3)], ids=str)
def test_a_chunk_of_which_nothing_arrived_is_sent_again_in_the_same_session(
    registry: ChunkedRegistry,
) -> None:
    upload()
    assert registry.stored == {BLOB.digest: CONTENT}
    assert registry.starts == [0, 1_000_000, 2_000_000]
    assert registry.cancelled == ["1?1+/="]  # the one in which the whole blob was too large


@pytest.mark.usefixtures("_one_try")
@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(fails=400),
        Quirks(fails=403),
        Quirks(fails=500),
        Quirks(largest=60_000),
        Quirks(largest=1_200_000, min_length=1_500_000),
        Quirks(keeps=[100_000] + [0] * 100),
    ],
    ids=str,
)
def test_a_session_that_fails_is_cancelled_where_it_stands_now(registry: ChunkedRegistry) -> None:
    with pytest.raises(RegistryError, match=f"upload of the blob {BLOB.digest}"):
        upload()
    assert not registry.open
    assert not registry.stored


@pytest.mark.usefixtures("_one_try")
@pytest.mark.parametrize("quirks", [Quirks(fails=400, cancelled=405)], ids=str)
def test_a_session_that_cannot_be_cancelled_hides_no_failure(registry: ChunkedRegistry) -> None:
    with pytest.raises(RegistryError, match="answers 400"):
        upload()
    assert registry.cancelled


# --- What is tried again, and how often -----------------------------------------------------------


@pytest.fixture
def web() -> Iterator[RequestsMock]:
    with RequestsMock(assert_all_requests_are_fired=False) as web:
        web.head(re.compile(".*/blobs/.*"), status=404)
        web.delete(re.compile(".*"), status=204)
        yield web


def methods(web: RequestsMock) -> list[str | None]:
    return [call.request.method for call in web.calls]


@pytest.mark.parametrize("failure", [503, 429, 416, 404])
@pytest.mark.parametrize(
    "place", ["/v2/app/blobs/uploads/", "/artifacts-uploads/namespaces/team/repositories/app/"]
)
def test_an_upload_that_failed_is_asked_for_and_then_sent_in_another_session(
    web: RequestsMock, place: str, failure: int
) -> None:
    for session, status in (("1", failure), ("2", 201)):
        web.post(UPLOADS, status=202, headers={"Location": f"{place}{session}"})
        web.put(f"https://{HOST}{place}{session}", status=status)
    upload()
    assert methods(web) == ["POST", "PUT", "DELETE", "HEAD", "POST", "PUT"]


WHOLE = header_matcher({"Content-Length": str(BLOB.size)})
BUSY = {"Retry-After": "3"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().replace_time(monkeypatch, rate_limit)


@pytest.mark.parametrize("status", [429, 503])
def test_an_upload_that_comes_too_fast_goes_on_in_its_session(
    web: RequestsMock, clock: Clock, status: int
) -> None:
    web.post(UPLOADS, status=status, headers=BUSY)
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=status, headers=BUSY)
    web.put(f"{UPLOADS}1", status=201, match=[WHOLE])
    upload()
    assert methods(web) == ["POST", "POST", "PUT", "PUT"]
    assert [seconds for seconds in clock.slept if seconds > 1] == [3, 3]


@pytest.mark.parametrize("status", [429, 503])
def test_a_chunk_that_comes_too_fast_is_sent_again(
    web: RequestsMock, clock: Clock, status: int
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=413, match=[WHOLE])
    web.patch(f"{UPLOADS}1", status=202)
    web.patch(f"{UPLOADS}1", status=status, headers=BUSY)
    web.patch(f"{UPLOADS}1", status=202)
    web.put(f"{UPLOADS}1", status=201, match=[header_matcher({"Content-Length": "0"})])
    upload()
    assert methods(web).count("POST") == 2  # a session for the whole blob, and one for the chunks
    starts = [
        call.request.headers["Content-Range"].partition("-")[0]
        for call in web.calls
        if call.request.method == "PATCH"
    ]
    assert starts == ["0", "1000000", "1000000", "2000000"]
    assert 3 in clock.slept


@pytest.mark.usefixtures("clock")
def test_an_upload_whose_session_ends_while_it_waits_is_sent_in_another(web: RequestsMock) -> None:
    for session in ("1", "2"):
        web.post(UPLOADS, status=202, headers={"Location": session})
    web.put(f"{UPLOADS}1", status=429, headers=BUSY)
    web.put(f"{UPLOADS}1", status=404)
    web.put(f"{UPLOADS}2", status=201)
    upload()
    assert methods(web) == ["POST", "PUT", "PUT", "DELETE", "HEAD", "POST", "PUT"]


def interrupt(_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_a_program_that_is_interrupted_does_not_wait_to_cancel_its_uploads(
    web: RequestsMock, clock: Clock
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=429, headers=BUSY)
    web.add_callback("PUT", f"{UPLOADS}1", interrupt)
    web.replace("DELETE", re.compile(".*"), status=429, headers=BUSY)
    with pytest.raises(KeyboardInterrupt):
        upload()
    assert methods(web) == ["POST", "PUT", "PUT", "DELETE"]
    assert clock.slept == [3]


def test_an_upload_of_which_only_the_answer_was_lost_is_not_sent_again(web: RequestsMock) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=502)
    web.replace("HEAD", re.compile(".*/blobs/.*"), headers={"Content-Length": str(BLOB.size)})
    upload()
    assert methods(web) == ["POST", "PUT", "DELETE", "HEAD"]


def test_a_repository_that_does_not_exist_is_asked_once(web: RequestsMock) -> None:
    web.post(UPLOADS, status=404)
    with pytest.raises(RegistryError, match="404"):
        upload()
    assert methods(web) == ["POST"]


@pytest.mark.parametrize(("opened", "stored"), [(503, 201), (202, 503)])
def test_an_upload_has_one_count_of_tries(web: RequestsMock, opened: int, stored: int) -> None:
    web.post(UPLOADS, status=opened, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=stored)
    with pytest.raises(RegistryError, match="503"):
        upload()
    assert methods(web).count("POST") == 5


def test_chunks_that_arrive_before_each_failure_do_not_make_an_upload_endless(
    web: RequestsMock,
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.patch(f"{UPLOADS}1", status=202)
    too_large = {"Content-Length": str(BLOB.size)}
    web.put(f"{UPLOADS}1", status=413, match=[header_matcher(too_large)])
    web.put(f"{UPLOADS}1", status=503)
    with pytest.raises(RegistryError, match="503"):
        upload()
    assert methods(web).count("POST") <= 7


def test_an_upload_that_breaks_again_and_again_is_sent_in_shorter_requests(
    web: RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traefik, for example, cuts each request after 60 seconds."""
    monkeypatch.setattr(uploads, "SHORT_REQUEST", 1_000_000)
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    too_long = header_matcher({"Content-Length": str(BLOB.size)})
    web.put(f"{UPLOADS}1", body=requests.ConnectionError("cut"), match=[too_long])
    web.patch(f"{UPLOADS}1", status=202)
    web.put(f"{UPLOADS}1", status=201, match=[header_matcher({"Content-Length": "0"})])
    upload()
    assert methods(web).count("PATCH") == 3


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests that a line cuts be shorter than the blob."""
    monkeypatch.setattr(uploads, "SHORT_REQUEST", 1_000_000)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("status", "chunks"), [(504, 3), (408, 3), (524, 3), (429, 0), (500, 0)])
def test_only_requests_that_are_cut_are_made_shorter(
    web: RequestsMock, status: int, chunks: int
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    for _ in range(3):
        web.put(f"{UPLOADS}1", status=status, match=[WHOLE])
    web.put(f"{UPLOADS}1", status=201)
    web.patch(f"{UPLOADS}1", status=202)
    upload()
    assert methods(web).count("PATCH") == chunks


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("refusal", [404, 405, 415, 501])
def test_a_blob_is_sent_in_one_request_again_if_chunks_are_refused(
    web: RequestsMock, refusal: int
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    for _ in range(2):
        web.put(f"{UPLOADS}1", status=504, match=[WHOLE])
    web.put(f"{UPLOADS}1", status=201, match=[WHOLE])
    web.patch(f"{UPLOADS}1", status=refusal)
    upload()
    assert methods(web).count("PUT") == 3
    assert methods(web).count("PATCH") == 1


@pytest.mark.usefixtures("short")
def test_a_registry_that_wants_very_large_chunks_gets_one_request(
    web: RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_LARGEST_CHUNK", 1_500_000)
    headers = {"Location": "1", "OCI-Chunk-Min-Length": "2000000"}
    web.post(UPLOADS, status=202, headers=headers)
    for _ in range(3):
        web.put(f"{UPLOADS}1", status=504)
    web.put(f"{UPLOADS}1", status=201)
    upload()
    assert methods(web).count("PUT") == 4


def test_a_registry_that_takes_neither_chunks_nor_the_whole_is_an_error(web: RequestsMock) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=413)
    web.patch(f"{UPLOADS}1", status=405)
    with pytest.raises(RegistryError, match="405"):
        upload()
    assert methods(web).count("PATCH") == 1


def test_a_registry_that_is_full_says_so_to_the_last_request_of_an_upload(
    web: RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty request is never too large: it is not sent again and again in smaller chunks."""
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.patch(f"{UPLOADS}1", status=202)
    web.put(f"{UPLOADS}1", status=413, json={"errors": [{"message": "disk quota reached"}]})
    with pytest.raises(RegistryError, match=r"413 disk quota reached .*is full") as caught:
        upload()
    assert "chunks" not in str(caught.value)
    assert methods(web).count("PATCH") == 3


def test_what_a_registry_says_of_chunks_that_are_too_large_is_told(web: RequestsMock) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    full = {"errors": [{"status": 413, "message": "Datastore disk usage is too high: quota"}]}
    web.put(f"{UPLOADS}1", status=413, json=full)
    web.patch(f"{UPLOADS}1", status=413, json=full)
    with pytest.raises(RegistryError, match=r"disk usage is too high.*even in chunks of 125,000"):
        upload()


@pytest.mark.parametrize("location", ["https://[bad/1", "https://other.example:99999/1", None])
def test_a_session_without_a_valid_place_is_not_opened_again(
    web: RequestsMock, location: str | None
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": location} if location else {})
    with pytest.raises(RegistryError, match="does not name a valid address"):
        upload()
    assert methods(web) == ["POST"]


@pytest.mark.parametrize(
    "location", ["https://[bad/1", "https://other.example:99999/1", "ftp://other.example/1"]
)
def test_a_redirect_to_an_address_that_is_not_valid_fails_at_once(
    web: RequestsMock, location: str
) -> None:
    web.get(re.compile(".*/blobs/.*"), status=307, headers={"Location": location})
    with (
        RegistryClient(HOST) as client,
        pytest.raises(ConnectionFailed, match=f"{HOST} leads to an address that is not valid"),
    ):
        client.get_blob("app", BLOB)
    assert methods(web) == ["GET"]


@pytest.mark.parametrize("bug", [ValueError("a bug"), TypeError("a bug")], ids=["value", "type"])
def test_a_bug_in_a_body_is_not_told_as_a_broken_connection(
    destination: str, bug: Exception
) -> None:
    class Broken(Pieces):
        def __iter__(self) -> Iterator[bytes]:
            yield CONTENT[:70_000]
            raise bug

    with (
        RegistryClient(destination, Access(secure=False)) as client,
        pytest.raises(type(bug), match="a bug"),
    ):
        client.upload_blob("app", BLOB, Broken())


# --- What stays encrypted -------------------------------------------------------------------------

REFUSED = r"without encryption, on storage\.example: refused"


def plain_requests(web: RequestsMock) -> list[str]:
    return [str(call.request.url) for call in web.calls if "http://" in str(call.request.url)]


def test_an_upload_that_would_leave_tls_for_another_host_is_refused(web: RequestsMock) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "http://storage.example/upload/1"})
    with pytest.raises(RegistryError, match=REFUSED):
        upload()
    assert not plain_requests(web)


def test_a_chunk_after_which_the_upload_would_leave_tls_is_the_last(web: RequestsMock) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=413)
    web.patch(
        f"{UPLOADS}1", status=202, headers={"Location": "http://storage.example/", "Range": "0-1"}
    )
    with pytest.raises(RegistryError, match=REFUSED):
        upload()
    assert not plain_requests(web)


@pytest.mark.parametrize("status", [307, 308, 302])
def test_an_upload_is_not_redirected_from_tls_to_plain_http(web: RequestsMock, status: int) -> None:
    web.post(UPLOADS, status=202, headers={"Location": "1"})
    web.put(f"{UPLOADS}1", status=status, headers={"Location": "http://storage.example/1"})
    with pytest.raises(RegistryError, match=REFUSED):
        upload()
    assert not plain_requests(web)


def test_a_registry_that_does_not_know_that_it_is_behind_tls_is_uploaded_to(
    web: RequestsMock,
) -> None:
    web.post(UPLOADS, status=202, headers={"Location": f"http://{HOST}/v2/app/blobs/uploads/1"})
    web.put(f"{UPLOADS}1", status=201)
    upload()
    assert methods(web) == ["POST", "PUT"]
    assert not plain_requests(web)
