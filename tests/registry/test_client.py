"""The client of the distribution API, against answers that real registries give."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from responses import RequestsMock
from responses.registries import OrderedRegistry

import images
from docker_charon import errors
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.manifest import MANIFEST_TYPES, MAX_SIZE, Manifest
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient

Answer = dict[str, Any]
each = pytest.mark.parametrize

pytestmark = pytest.mark.usefixtures("_one_try")


class Pieces:
    """A body that knows its length and can be read again, as those of a payload."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        yield self._content[:300]
        yield self._content[300:]


class Call(NamedTuple):
    """A method of the client, and the first request that it makes."""

    method: str
    url: str
    on: methodcaller


HOST = "registry.example"
API = f"https://{HOST}/v2/"
APP = f"{API}team/app/"
UPLOADS = f"{APP}blobs/uploads/"
TOKENS = "https://auth.example/token"
IMAGE = images.image(images.layer(1))
MANIFEST = Manifest.parse(IMAGE.manifest)
CONTENT = images.random_bytes(7, 1000)
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))
NOTHING = Digest.of(b"")

CHECK = Call("GET", API, methodcaller("check_api"))
GET = Call("GET", f"{APP}manifests/1.0", methodcaller("get_manifest", "team/app", "1.0"))
GET_DIGEST = Call(
    "GET", f"{APP}manifests/{NOTHING}", methodcaller("get_manifest", "team/app", NOTHING)
)
HEAD = Call("HEAD", GET.url, methodcaller("head_manifest", "team/app", "1.0"))
PUT = Call("PUT", GET.url, methodcaller("put_manifest", "team/app", "1.0", MANIFEST))
GET_BLOB = Call("GET", f"{APP}blobs/{BLOB.digest}", methodcaller("get_blob", "team/app", BLOB))
HEAD_BLOB = Call("HEAD", GET_BLOB.url, methodcaller("head_blob", "team/app", BLOB.digest))
UPLOAD = Call("POST", UPLOADS, methodcaller("upload_blob", "team/app", BLOB, Pieces(CONTENT)))
MOUNT = Call("POST", UPLOADS, methodcaller("mount_blob", "team/app", BLOB.digest, source="base"))
TAGS = Call("GET", f"{APP}tags/list", methodcaller("tags", "team/app"))

BASIC: Answer = {"status": 401, "headers": {"WWW-Authenticate": 'Basic realm="registry"'}}
BEARER: Answer = {
    "status": 401,
    "headers": {"WWW-Authenticate": f'Bearer realm="{TOKENS}",service="registry"'},
}
PAGE: Answer = {"body": "<html>Welcome</html>", "content_type": "text/html; charset=utf-8"}
FOUND: Answer = {"body": IMAGE.manifest, "content_type": IMAGE.media_type}
NGINX = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"


def at(location: str, status: int = 307) -> Answer:
    return {"status": status, "headers": {"Location": location}}


def refusal(status: int, code: str, message: str) -> Answer:
    return {"status": status, "json": {"errors": [{"code": code, "message": message}]}}


def sized(size: object, status: int = 200) -> Answer:
    name = "Content-Length" if isinstance(size, int) else "Content-Range"
    return {"status": status, "headers": {name: str(size)}}


@pytest.fixture
def web() -> Iterator[RequestsMock]:
    """Answer with what a test adds: in that order, each once, and all of it."""
    with RequestsMock(registry=OrderedRegistry) as mock:
        yield mock


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    with RegistryClient(HOST) as client:
        yield client


@pytest.fixture
def member(web: RequestsMock) -> Iterator[RegistryClient]:
    """Log in, so that whatever goes to the registry from now on is signed."""
    with RegistryClient(HOST, Access(username="user", password="pw")) as client:
        web.get(API, **BASIC)
        web.get(API)
        client.check_api()
        yield client


def sent(web: RequestsMock) -> list[tuple[str | None, str | None, bool]]:
    """Return method, address and whether it was signed, for every request after the login."""
    requests = [call.request for call in web.calls]
    return [(r.method, r.url, "Authorization" in r.headers) for r in requests if r.url != API]


@each(
    ("call", "answer", "kind", "words"),
    [
        (CHECK, {"status": 403, "body": "no"}, errors.AuthenticationError, "403 no .*not allowed"),
        (CHECK, {"status": 404}, errors.RegistryError, "does not look like a registry"),
        (CHECK, {"status": 404, **PAGE}, errors.RegistryError, "does not look like a registry"),
        (CHECK, PAGE, errors.RegistryError, "it is not a registry"),
        (GET, refusal(404, "NAME_UNKNOWN", ""), errors.ManifestNotFound, r"no team/app:1\.0"),
        (GET, {"status": 404, **PAGE}, errors.ManifestNotFound, r"has no team/app:1\.0"),
        (GET, {"body": b" " * (MAX_SIZE + 1)}, errors.InvalidManifest, "more than 4 MiB"),
        (GET, {"body": '{"schemaVersion": 1}'}, errors.InvalidManifest, "schema 1"),
        (GET, PAGE, errors.RegistryError, "web page"),
        (GET, {"status": 500, "body": "oh\n dear"}, errors.RegistryError, "500 oh dear"),
        (GET, BASIC, errors.AuthenticationError, "give a username"),
        (GET_DIGEST, FOUND, errors.DigestMismatch, MANIFEST.digest),
        (GET_BLOB, sized(999), errors.DigestMismatch, "999 bytes .* 1000"),
        (GET_BLOB, {"status": 404, **PAGE}, errors.BlobNotFound, BLOB.digest),
        (GET_BLOB, {"status": 403, **PAGE}, errors.AuthenticationError, "403 to the blob"),
        (GET_BLOB, at("https://[bad/1"), errors.ConnectionFailed, HOST),
        (GET_BLOB, at("https://other.example:99999/1"), errors.ConnectionFailed, HOST),
        (GET_BLOB, at("ftp://other.example/1"), errors.ConnectionFailed, HOST),
        (UPLOAD, refusal(404, "NOT_FOUND", ""), errors.RegistryError, "repository_prefix="),
        (UPLOAD, {"status": 404, **PAGE}, errors.RegistryError, "a project or a repository"),
        (UPLOAD, refusal(405, "UNSUPPORTED", ""), errors.RegistryError, "a pull-through cache"),
        (UPLOAD, {"status": 405, **PAGE}, errors.RegistryError, "a pull-through cache"),
        (
            UPLOAD,
            {"status": 202},
            errors.RegistryError,
            "a valid address for the upload",
        ),
        (UPLOAD, at("https://[bad/1", 202), errors.RegistryError, HOST),
        (UPLOAD, at("https://other.example:99999/1", 202), errors.RegistryError, HOST),
        (UPLOAD, refusal(404, "NAME_UNKNOWN", "no"), errors.RegistryError, "N no .*created before"),
        (UPLOAD, {"status": 413, **PAGE}, errors.RegistryError, "answers 413 to the upload"),
        (UPLOAD, {"status": 200}, errors.RegistryError, "answers 200 to the upload"),
        (PUT, refusal(400, "X", "blob\nunknown"), errors.RegistryError, "400 X blob unknown"),
        (PUT, refusal(403, "DENIED", "exceeds the quota"), errors.RegistryError, "there, is full"),
        (PUT, {"status": 413, "body": "No space left"}, errors.RegistryError, "there, is full"),
        (PUT, {"status": 507}, errors.RegistryError, "there, is full"),
        (TAGS, {"status": 404, **PAGE}, errors.ManifestNotFound, "has no team/app"),
        (
            TAGS,
            {"body": "nonsense"},
            errors.RegistryError,
            "something else than the tags of team/app",
        ),
        (TAGS, {"body": "[]"}, errors.RegistryError, "something else than the tags"),
        (
            TAGS,
            {"body": '{"tags": "latest"}'},
            errors.RegistryError,
            "something else than the tags",
        ),
        (TAGS, {"body": '{"tags": [1]}'}, errors.RegistryError, "something else than the tags"),
    ],
)
def test_an_answer_that_will_not_do_is_one_line_that_names_the_registry(
    web: RequestsMock, client: RegistryClient, call: Call, answer: Answer, kind: type, words: str
) -> None:
    web.add(call.method, call.url, **answer)
    with pytest.raises(kind, match=words) as caught:
        call.on(client)
    assert caught.type is kind
    assert HOST in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_keeps_the_status_and_the_code(web: RequestsMock, client: RegistryClient) -> None:
    web.post(UPLOADS, **at("1", 202))
    web.put(f"{UPLOADS}1", **refusal(400, "DIGEST_INVALID", "no such digest"))
    with pytest.raises(errors.RegistryError, match="400 DIGEST_INVALID no such digest") as caught:
        UPLOAD.on(client)
    assert (caught.value.status, caught.value.code) == (400, "DIGEST_INVALID")


@each("answer", [{"status": 200}, BEARER])
def test_a_registry_is_there_when_it_answers_or_gives_tokens(
    web: RequestsMock, client: RegistryClient, answer: Answer
) -> None:
    web.get(API, **answer)
    client.check_api()


def test_a_basic_login_sends_the_password(web: RequestsMock, member: RegistryClient) -> None:
    assert "Authorization" not in web.calls[0].request.headers
    assert web.calls[1].request.headers["Authorization"] == "Basic dXNlcjpwdw=="


def test_a_wrong_password_is_tried_once(web: RequestsMock, member: RegistryClient) -> None:
    web.get(API, **BASIC)
    with pytest.raises(errors.AuthenticationError, match="check the username and the password"):
        member.check_api()


def test_a_username_without_a_password_is_refused() -> None:
    with pytest.raises(errors.AuthenticationError, match="one is missing"):
        RegistryClient(HOST, Access(username="user"))


def test_a_registry_elsewhere_is_named(web: RequestsMock, client: RegistryClient) -> None:
    web.get(API, **at("https://other.example/v2/", 301))
    web.get("https://other.example/v2/")
    with pytest.raises(errors.RegistryError, match=r"redirects to https://other\.example:443"):
        client.check_api()


@each("body", ["Client sent an HTTP request to an HTTPS server.\n", NGINX], ids=["go", "nginx"])
def test_plain_http_to_a_tls_port_is_explained(web: RequestsMock, body: str) -> None:
    web.get(API.replace("https", "http"), status=400, body=body)
    with pytest.raises(errors.RegistryError, match="leave secure=False"):
        RegistryClient(HOST, Access(secure=False)).check_api()


@each("reference", ["1.0", MANIFEST.digest])
def test_a_manifest_comes_as_it_is_stored(
    web: RequestsMock, client: RegistryClient, reference: str
) -> None:
    web.get(f"{APP}manifests/{reference}", **FOUND)
    assert client.get_manifest("team/app", reference) == MANIFEST
    assert set(web.calls[0].request.headers["Accept"].split(", ")) == set(MANIFEST_TYPES)


@each("header", [images.DOCKER, f"{images.DOCKER}; charset=utf-8", "text/plain", None])
def test_the_header_tells_the_type_where_the_manifest_does_not(
    web: RequestsMock, client: RegistryClient, header: str | None
) -> None:
    document = json.loads(IMAGE.manifest)
    del document["mediaType"]
    web.get(GET.url, body=json.dumps(document), content_type=header)
    expected = images.DOCKER if header and "docker" in header else images.OCI
    assert client.get_manifest("team/app", "1.0").media_type == expected


@each(
    ("call", "head", "get", "found"),
    [
        (HEAD, {"headers": {"Docker-Content-Digest": NOTHING}}, None, NOTHING),
        (HEAD, {"headers": {"Docker-Content-Digest": "sha256:0"}}, FOUND, MANIFEST.digest),
        (HEAD, {"status": 200}, FOUND, MANIFEST.digest),
        (HEAD, {"status": 405}, FOUND, MANIFEST.digest),
        (HEAD, {"status": 405}, {"status": 404}, None),
        (HEAD, {"status": 404}, None, None),
        (HEAD_BLOB, sized(1000), None, 1000),
        (HEAD_BLOB, {"status": 404}, None, None),
        (HEAD_BLOB, {"status": 405}, sized("bytes 0-0/1000", 206), 1000),
        (HEAD_BLOB, {"status": 403}, sized(1000), 1000),
        (HEAD_BLOB, {"status": 200}, sized("bytes */0", 416), 0),
        (HEAD_BLOB, {"status": 405}, {"status": 404}, None),
    ],
)
def test_content_is_looked_up_by_whatever_the_registry_allows(
    web: RequestsMock,
    client: RegistryClient,
    call: Call,
    head: Answer,
    get: Answer | None,
    found: object,
) -> None:
    web.head(call.url, **head)
    if get:
        web.get(call.url, **get)
    assert call.on(client) == found
    assert (images.OCI_INDEX in web.calls[0].request.headers["Accept"]) == (call is HEAD)


@each(
    "ask",
    [
        methodcaller("head_blob", "team/app", BLOB.digest, to_push=True),
        methodcaller("head_manifest", "team/app", "1.0", to_push=True),
    ],
)
def test_what_is_asked_before_a_push_is_asked_with_its_rights(
    web: RequestsMock, client: RegistryClient, ask: Callable[[RegistryClient], object]
) -> None:
    web.head(re.compile(APP), **BEARER)
    web.get(TOKENS, json={"token": "t"})
    web.head(re.compile(APP), status=404)
    assert ask(client) is None
    query = parse_qs(urlsplit(web.calls[1].request.url or "").query)
    assert query["scope"] == ["repository:team/app:pull,push"]


@each("status", [206, 416])
def test_the_length_of_a_part_is_not_the_size_of_a_blob(
    web: RequestsMock, client: RegistryClient, status: int
) -> None:
    web.head(HEAD_BLOB.url, status=405)
    web.get(HEAD_BLOB.url, body="x", **sized(1, status))
    with pytest.raises(errors.RegistryError, match="does not tell the size"):
        HEAD_BLOB.on(client)


@each("answer", [{}, sized(BLOB.size), {"content_type": "text/html"}])
def test_a_blob_is_read_to_its_end(
    web: RequestsMock, client: RegistryClient, answer: Answer
) -> None:
    web.get(GET_BLOB.url, body=CONTENT, **answer)
    with client.get_blob("team/app", BLOB) as stream:
        assert b"".join(bytes(piece) for piece in stream) == CONTENT


def test_storage_gets_no_authorization(web: RequestsMock, member: RegistryClient) -> None:
    storage = "https://storage.example/bucket/object?signature=a%2Bb"
    web.get(GET_BLOB.url, **at(storage))
    web.get(storage, body=CONTENT)
    member.get_blob("team/app", BLOB).__exit__()
    assert sent(web) == [("GET", GET_BLOB.url, True), ("GET", storage, False)]


@each("status", [401, 403])
def test_a_refusal_of_the_storage_is_not_laid_on_the_login(
    web: RequestsMock, member: RegistryClient, status: int
) -> None:
    web.get(GET_BLOB.url, **at("https://user@storage.example:8443/1"))
    web.get("https://user@storage.example:8443/1", status=status)
    words = (
        rf"^storage\.example:8443, where {HOST} sends us, answers {status} to the blob .*a login"
    )
    with pytest.raises(errors.RegistryError, match=words) as caught:
        GET_BLOB.on(member)
    assert not isinstance(caught.value, errors.AuthenticationError)
    assert caught.value.status == status


@each(
    ("failure", "words"),
    [
        (requests.ConnectionError(socket.gaierror(-2, "?")), r"the name of storage\.example is"),
        (
            requests.ConnectionError(ConnectionRefusedError()),
            r"nothing listens at storage\.example",
        ),
    ],
)
def test_a_storage_that_cannot_be_reached_is_named(
    web: RequestsMock, client: RegistryClient, failure: Exception, words: str
) -> None:
    web.get(GET_BLOB.url, **at("https://storage.example/1"))
    web.get("https://storage.example/1", body=failure)
    with pytest.raises(errors.ConnectionFailed, match=f"{HOST} sends us to .*: {words}.*from here"):
        GET_BLOB.on(client)


@each(
    ("location", "address", "signed"),
    [
        ("/v2/team/app/blobs/uploads/1?_state=a%2Bb%3D", f"{UPLOADS}1?_state=a%2Bb%3D&", True),
        ("1?_state=a", f"{UPLOADS}1?_state=a&", True),
        (f"{UPLOADS}1", f"{UPLOADS}1?", True),
        (f"http://{HOST}/v2/team/app/blobs/uploads/1?s=2", f"{UPLOADS}1?s=2&", True),
        ("https://storage.example/1?s=2", "https://storage.example/1?s=2&", False),
    ],
)
def test_a_blob_goes_where_the_registry_wants_it(
    web: RequestsMock, member: RegistryClient, location: str, address: str, signed: bool
) -> None:
    address += f"digest={BLOB.digest.replace(':', '%3A')}"
    web.post(UPLOADS, **at(location, 202))
    web.put(address, status=201)
    UPLOAD.on(member)
    assert sent(web) == [("POST", UPLOADS, True), ("PUT", address, signed)]


@each("content", [CONTENT, b""])
@each("challenges", [[], [BEARER]])
def test_an_upload_tells_its_length_and_is_sent_whole_after_a_challenge(
    web: RequestsMock, client: RegistryClient, content: bytes, challenges: list[Answer]
) -> None:
    web.post(UPLOADS, **at("1", 202))
    for challenge in challenges:
        web.put(f"{UPLOADS}1", **challenge)
        web.get(TOKENS, json={"token": "t"})
    web.put(f"{UPLOADS}1", status=204 if challenges else 201)
    blob = Descriptor("application/octet-stream", Digest.of(content), len(content))
    client.upload_blob("team/app", blob, Pieces(content))
    put = web.calls[-1].request
    assert put.headers["Content-Length"] == str(len(content))
    assert put.headers["Content-Type"] == "application/octet-stream"
    assert "Transfer-Encoding" not in put.headers
    assert b"".join(put.body or ()) == content  # type: ignore[arg-type]  # it is in pieces


def test_a_mounted_blob_needs_no_upload(web: RequestsMock, client: RegistryClient) -> None:
    web.post(UPLOADS, **BEARER)
    web.get(TOKENS, json={"token": "t"})
    web.post(UPLOADS, status=201)
    assert MOUNT.on(client) is True
    queries = [parse_qs(urlsplit(call.request.url or "").query) for call in web.calls]
    assert queries[0] == queries[2] == {"mount": [BLOB.digest], "from": ["base"]}
    assert queries[1]["scope"] == ["repository:team/app:pull,push", "repository:base:pull"]


@each("answer", [{"status": 204}, {"status": 405}, PAGE, {"body": ConnectionError("gone")}])
def test_a_mount_that_opened_an_upload_is_cancelled(
    web: RequestsMock, member: RegistryClient, answer: Answer
) -> None:
    web.post(UPLOADS, **at("/v2/team/app/blobs/uploads/1?_state=a", 202))
    web.delete(f"{UPLOADS}1?_state=a", **answer)
    assert MOUNT.on(member) is False
    assert sent(web)[1] == ("DELETE", f"{UPLOADS}1?_state=a", True)


@each("status", [202, 400, 401, 403, 404, 405, 500])
def test_a_mount_that_is_refused_means_an_upload(
    web: RequestsMock, client: RegistryClient, status: int
) -> None:
    web.post(UPLOADS, status=status)
    assert MOUNT.on(client) is False


@each("status", [400, 401, 403, 404])
def test_a_mount_that_gets_no_token_means_an_upload(
    web: RequestsMock, client: RegistryClient, status: int
) -> None:
    web.post(UPLOADS, **BEARER)
    web.get(TOKENS, status=status)
    assert MOUNT.on(client) is False


@each("image", [IMAGE, images.image(media_type=images.OCI), images.index(IMAGE)])
def test_a_manifest_is_stored_byte_for_byte(
    web: RequestsMock, client: RegistryClient, image: images.TestImage
) -> None:
    web.put(PUT.url, status=201, headers={"Docker-Content-Digest": image.digest})
    client.put_manifest("team/app", "1.0", Manifest.parse(image.manifest))
    assert web.calls[0].request.headers["Content-Type"] == image.media_type
    assert web.calls[0].request.body == image.manifest


def test_a_wrong_digest_header_is_checked_against_the_bytes(
    web: RequestsMock, client: RegistryClient
) -> None:
    for stored in (IMAGE.manifest, json.dumps(json.loads(IMAGE.manifest)).encode()):
        web.put(PUT.url, status=201, headers={"Docker-Content-Digest": NOTHING})
        web.get(PUT.url, body=stored)
    PUT.on(client)
    with pytest.raises(errors.RegistryError, match=r"as team/app:1\.0, but shows sha256:"):
        PUT.on(client)


@each("origin", ["", f"https://{HOST}", f"http://{HOST}"])
def test_tags_are_read_to_their_last_page(
    web: RequestsMock, member: RegistryClient, origin: str
) -> None:
    link = {"Link": f'<{origin}/v2/team/app/tags/list?last=b&n=2>; rel="next"'}
    web.get(TAGS.url, json={"tags": ["a", "b"]}, headers=link)
    web.get(f"{TAGS.url}?last=b&n=2", json={"tags": ["c"]}, headers=link)
    assert TAGS.on(member) == ["a", "b", "c"]
    assert all(signed for _, _, signed in sent(web))


@each("relation", ["rel=next", 'REL="Next"', 'rel="last next"', 'title="a, b"; rel="next"'])
def test_a_link_to_the_next_page_may_be_written_in_many_ways(
    web: RequestsMock, client: RegistryClient, relation: str
) -> None:
    link = {"Link": f'<{TAGS.url}?n=1>; rel="prev", <{TAGS.url}?last=a&n=1>; {relation}'}
    web.get(TAGS.url, json={"tags": ["a"]}, headers=link)
    web.get(f"{TAGS.url}?last=a&n=1", json={"tags": ["b"]})
    assert TAGS.on(client) == ["a", "b"]


@each("body", ['{"tags": null}', '{"tags": []}', "{}"])
def test_a_repository_may_have_no_tags(
    web: RequestsMock, client: RegistryClient, body: str
) -> None:
    web.get(TAGS.url, body=body)
    assert TAGS.on(client) == []


@each("registry", ["docker.io", "index.docker.io", "registry-1.docker.io", HOST])
@each(("name", "hub_name"), [("python", "library/python"), ("team/app", "team/app")])
def test_docker_hub_has_several_names_and_a_library(
    web: RequestsMock, registry: str, name: str, hub_name: str
) -> None:
    host, path = (HOST, name) if registry == HOST else ("registry-1.docker.io", hub_name)
    address = f"https://{host}/v2/{path}/manifests/latest"
    web.get(address, **BEARER)
    web.get(TOKENS, json={"token": "t"})
    web.get(address, **FOUND)
    assert RegistryClient(registry).get_manifest(name, "latest") == MANIFEST
    query = parse_qs(urlsplit(web.calls[1].request.url or "").query)
    assert query == {"service": ["registry"], "scope": [f"repository:{path}:pull"]}


def test_a_mount_on_docker_hub_has_the_long_name_of_its_source(web: RequestsMock) -> None:
    web.post("https://registry-1.docker.io/v2/team/app/blobs/uploads/", status=201)
    assert MOUNT.on(RegistryClient("docker.io")) is True
    query = parse_qs(urlsplit(web.calls[0].request.url or "").query)
    assert query["from"] == ["library/base"]


@each(
    ("location", "hint"),
    [
        ("https://other.example/v2/x", "name the registry as other.example:443, without"),
        ("/somewhere", "let it answer 308"),
    ],
)
@each("status", [301, 302, 303])
def test_a_redirect_that_makes_a_get_of_a_post_is_told(
    web: RequestsMock, client: RegistryClient, status: int, location: str, hint: str
) -> None:
    web.post(UPLOADS, **at(location, status))
    web.get(urljoin(UPLOADS, location), status=405)
    with pytest.raises(errors.RegistryError) as caught:
        UPLOAD.on(client)
    assert f"{HOST} answers {status} to the upload" in caught.value.message
    assert "which turns POST into GET" in caught.value.message
    assert hint in caught.value.hint


@each("refused", [refusal(500, "UNKNOWN", "unknown error"), refusal(400, "MANIFEST_INVALID", "")])
def test_a_manifest_with_urls_that_is_refused_says_which_setting_allows_it(
    web: RequestsMock, client: RegistryClient, refused: Answer
) -> None:
    document = json.loads(IMAGE.manifest)
    document["layers"][0]["urls"] = ["https://example.com/layer"]
    manifest = Manifest.parse(json.dumps(document).encode())
    web.put(PUT.url, **refused)
    with pytest.raises(errors.RegistryError, match=r"validation\.manifests\.urls\.allow"):
        client.put_manifest("team/app", "1.0", manifest)
