"""What only reads, end-1 to end-3, end-8 and end-12, from payloads and from a directory alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import images
from distribution import UNKNOWN, Api, refused
from docker_charon import make_payload, serve
from images import artifact, digest_of, image, index, layer

APP = image(layer(1), layer(2))
MULTI = index(image(layer(1), media_type=images.OCI), image(layer(3), media_type=images.OCI))


@pytest.fixture(scope="module", params=["storage", "payload"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Serve the same images out of a directory, or out of a payload: nothing here changes them."""
    tmp_path = tmp_path_factory.mktemp("served")
    names = ["app:1", "app:2", "app:3", "team/multi:v1", "zoo:1"]
    with serve(storage=tmp_path / "storage") as server:
        filled = Api(server.address)
        for name in names[:3]:
            filled.put(name, APP)
        filled.put("team/multi:v1", MULTI)
        filled.put("zoo:1", image(layer(9)))
        if request.param == "storage":
            yield filled
            return
        make_payload(server.address, tmp_path / "p.zip", names, secure=False)
    with serve([tmp_path / "p.zip"]) as server:
        yield Api(server.address)


def test_end_1_says_that_this_is_a_registry(api: Api) -> None:
    answer = api("GET", "/v2/")
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert api("GET", "/v2").status_code == 200
    assert api("HEAD", "/v2/").content == b""


@pytest.mark.parametrize("path", ["/", "/v1/", "/v2/app", "/v2/app/tags", "/v2/app/blobs/", "//"])
def test_there_is_nothing_elsewhere(api: Api, path: str) -> None:
    assert refused(api("GET", f"http://{api.address}{path}"), 404, "UNSUPPORTED")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_end_2_pulls_a_blob(api: Api, method: str) -> None:
    content = layer(1)
    answer = api(method, f"app/blobs/{digest_of(content)}")
    assert answer.status_code == 200
    assert answer.content == (content if method == "GET" else b"")
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Docker-Content-Digest"] == digest_of(content)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_end_2_gives_each_repository_its_own_blobs(api: Api) -> None:
    assert refused(api("GET", f"zoo/blobs/{digest_of(layer(1))}"), 404, "BLOB_UNKNOWN")
    assert refused(api("GET", f"app/blobs/{APP.digest}"), 404, "BLOB_UNKNOWN")
    assert api("GET", f"team/multi/blobs/{digest_of(layer(1))}").content == layer(1)


def test_end_2_pulls_a_range(api: Api) -> None:
    content = layer(1)
    path, size = f"app/blobs/{digest_of(content)}", len(content)
    for asked, start, end in (
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        ("100-", 100, size),
        ("-7", size - 7, size),
        (f"5-{size * 2}", 5, size),
    ):
        answer = api("GET", path, Range=f"bytes={asked}")
        assert answer.status_code == 206
        assert answer.content == content[start:end]
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["Content-Length"] == str(end - start)
    for asked in (f"{size}-", "7-3"):
        answer = api("GET", path, Range=f"bytes={asked}")
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_end_2_sends_all_where_a_range_may_be_passed_over(api: Api) -> None:
    path = f"app/blobs/{digest_of(layer(1))}"
    assert api("GET", path, Range="bytes=0-1,4-5").content == layer(1)
    assert api("GET", path, Range="bytes=4-", If_Range='"old"').content == layer(1)
    answer = api("HEAD", path, Range="bytes=0-1")
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(layer(1))))


def test_end_2_knows_what_is_not_there_and_what_cannot_be(api: Api) -> None:
    assert refused(api("GET", f"app/blobs/{UNKNOWN}"), 404, "BLOB_UNKNOWN")
    assert api("HEAD", f"app/blobs/{UNKNOWN}").status_code == 404
    for digest in ("sha256:abc", "md5:" + "0" * 32, "nonsense", UNKNOWN.upper(), "sha256:../../x"):
        assert refused(api("GET", f"app/blobs/{digest.replace('/', '%2F')}"), *_WRONG[digest])


_WRONG = {
    "sha256:abc": (400, "DIGEST_INVALID"),
    "md5:" + "0" * 32: (400, "DIGEST_INVALID"),
    "nonsense": (400, "DIGEST_INVALID"),
    UNKNOWN.upper(): (400, "DIGEST_INVALID"),
    "sha256:../../x": (404, "UNSUPPORTED"),  # a slash, however it is written, is a slash
}


@pytest.mark.parametrize("name", ["UPPER", "a//b", "-a", "a..b", "..", "a/../b", "é", "a" * 256])
def test_a_repository_that_cannot_be_one_is_refused(api: Api, name: str) -> None:
    for path in ("tags/list", "manifests/1", f"blobs/{UNKNOWN}", f"referrers/{UNKNOWN}"):
        url = f"{api.root}{name}/{path}"
        # requests would make the path a shorter one
        sent = requests.Request("GET", url).prepare()
        sent.url = url.replace("é", "%C3%A9")
        answer = api.session.send(sent, timeout=20)
        assert refused(answer, 400, "NAME_INVALID")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_end_3_pulls_a_manifest_by_tag_and_by_digest(api: Api, method: str) -> None:
    for name, wanted in (("app", APP), ("team/multi", MULTI)):
        for reference in ({"app": "2", "team/multi": "v1"}[name], wanted.digest):
            answer = api(method, f"{name}/manifests/{reference}")
            assert answer.status_code == 200
            assert answer.content == (wanted.manifest if method == "GET" else b"")
            assert answer.headers["Content-Type"] == wanted.media_type
            assert answer.headers["Docker-Content-Digest"] == wanted.digest
            assert answer.headers["Content-Length"] == str(len(wanted.manifest))
    child = MULTI.children[1]
    assert api("GET", f"team/multi/manifests/{child.digest}").content == child.manifest
    assert api("GET", f"app/manifests/{APP.digest.replace(':', '%3A')}").status_code == 200


def test_end_3_knows_what_is_not_there(api: Api) -> None:
    assert refused(api("GET", "app/manifests/9"), 404, "MANIFEST_UNKNOWN")
    assert refused(api("GET", f"app/manifests/{UNKNOWN}"), 404, "MANIFEST_UNKNOWN")
    assert refused(api("GET", "app/manifests/.NOT_A_TAG"), 404, "MANIFEST_UNKNOWN")
    assert refused(api("GET", "app/manifests/sha256:abc"), 400, "DIGEST_INVALID")
    assert refused(api("GET", "other/manifests/1"), 404, "NAME_UNKNOWN")
    assert api("HEAD", "app/manifests/9").status_code == 404
    # A repository has its own manifests, and no others.
    assert refused(api("GET", f"zoo/manifests/{APP.digest}"), 404, "MANIFEST_UNKNOWN")


def test_end_8a_lists_tags(api: Api) -> None:
    answer = api("GET", "app/tags/list")
    assert answer.json() == {"name": "app", "tags": ["1", "2", "3"]}
    assert "Link" not in answer.headers
    assert refused(api("GET", "other/tags/list"), 404, "NAME_UNKNOWN")


def test_end_8b_lists_them_in_pages(api: Api) -> None:
    answer = api("GET", "app/tags/list?n=2")
    assert answer.json()["tags"] == ["1", "2"]
    assert answer.headers["Link"] == '</v2/app/tags/list?n=2&last=2>; rel="next"'
    answer = api("GET", answer.links["next"]["url"])
    assert answer.json()["tags"] == ["3"]
    assert "Link" not in answer.headers
    assert api("GET", "app/tags/list?last=1").json()["tags"] == ["2", "3"]
    assert api("GET", "app/tags/list?n=1&last=10").json()["tags"] == ["2"]
    assert api("GET", "app/tags/list?last=zzz").json()["tags"] == []


def test_end_8b_takes_every_number_and_nothing_else(api: Api) -> None:
    answer = api("GET", "app/tags/list?n=0")
    assert answer.json()["tags"] == []
    assert "Link" not in answer.headers
    for number in ("3", "4", "9" * 30, "9" * 6000):
        answer = api("GET", f"app/tags/list?n={number}")
        assert answer.json()["tags"] == ["1", "2", "3"]
        assert "Link" not in answer.headers
    for number in ("-1", "x", "", "1.5", "1e3", "%D9%A3"):
        answer = api("GET", f"app/tags/list?n={number}")
        assert refused(answer, 400, "PAGINATION_NUMBER_INVALID")


def test_repositories_are_listed_the_same_way(api: Api) -> None:
    assert api("GET", "_catalog").json() == {"repositories": ["app", "team/multi", "zoo"]}
    answer = api("GET", "_catalog?n=2")
    assert answer.json()["repositories"] == ["app", "team/multi"]
    assert api("GET", answer.links["next"]["url"]).json()["repositories"] == ["zoo"]
    assert api("GET", "_catalog?n=0").json()["repositories"] == []


def test_end_12_answers_with_an_empty_index_where_nothing_refers(api: Api) -> None:
    for repository, digest in (("app", UNKNOWN), ("app", APP.digest), ("other", UNKNOWN)):
        answer = api("GET", f"{repository}/referrers/{digest}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == images.OCI_INDEX
        assert answer.json() == {
            "schemaVersion": 2,
            "mediaType": images.OCI_INDEX,
            "manifests": [],
        }
    assert refused(api("GET", "app/referrers/abc"), 400, "DIGEST_INVALID")


def test_end_12_lists_a_payloads_referrers(tmp_path: Path) -> None:
    signature = artifact(layer(5), subject=APP.descriptor, annotations={"a": "b"})
    with serve(storage=tmp_path / "s") as server:
        images.put(server.address, "app:1", APP)
        images.put(server.address, "app:sha256-0123.sig", signature)
        names = ["app:1", "app:sha256-0123.sig"]
        make_payload(server.address, tmp_path / "p.zip", names, secure=False)
    with serve([tmp_path / "p.zip"]) as server:
        api = Api(server.address)
        (found,) = api("GET", f"app/referrers/{APP.digest}").json()["manifests"]
        assert found["digest"] == signature.digest
        assert found["annotations"] == {"a": "b"}
        assert api("GET", "app/manifests/sha256-0123.sig").content == signature.manifest


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "POST"])
def test_what_cannot_be_done_is_not_allowed(api: Api, method: str) -> None:
    for path in ("/v2/", "_catalog", "app/tags/list", f"app/referrers/{UNKNOWN}"):
        answer = api(method, path)
        assert refused(answer, 405, "UNSUPPORTED")
        assert answer.headers["Allow"] == "GET, HEAD"


def test_end_9_and_end_10_delete_nothing(api: Api) -> None:
    assert refused(api("DELETE", "app/manifests/1"), 405, "UNSUPPORTED")
    assert refused(api("DELETE", f"app/manifests/{APP.digest}"), 405, "UNSUPPORTED")
    assert refused(api("DELETE", f"app/blobs/{digest_of(layer(1))}"), 405, "UNSUPPORTED")


def test_payloads_are_only_read(tmp_path: Path) -> None:
    with serve(storage=tmp_path / "s") as server:
        images.put(server.address, "app:1", APP)
        make_payload(server.address, tmp_path / "p.zip", ["app:1"], secure=False)
    with serve([tmp_path / "p.zip"]) as server:
        api = Api(server.address)
        for method, path in (
            ("POST", "app/blobs/uploads/"),
            ("PATCH", "app/blobs/uploads/1"),
            ("GET", "app/blobs/uploads/1"),
            ("PUT", "app/manifests/2"),
        ):
            answer = api(method, path)
            assert refused(answer, 405, "UNSUPPORTED")
            assert "read-only" in answer.text


@pytest.mark.parametrize(
    ("pushed", "asked"), [("library/redis", "redis"), ("redis", "library/redis")]
)
def test_an_official_image_of_docker_hub_has_two_names(
    tmp_path: Path, pushed: str, asked: str
) -> None:
    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        subject = image(layer(1), media_type=images.OCI)
        referrer = artifact(layer(2), subject=subject.descriptor)
        api.put(f"{pushed}:7", MULTI)
        api.put(f"{pushed}:8", subject)
        api.put(f"{pushed}:{referrer.digest}", referrer)
        assert images.read(server.address, f"{asked}:7") == MULTI.contents()
        assert images.read(server.address, f"{asked}:{MULTI.digest}") == MULTI.contents()
        assert api("GET", f"{asked}/tags/list").json() == {"name": asked, "tags": ["7", "8"]}
        assert api("GET", f"{asked}/referrers/{subject.digest}").json()["manifests"]
        assert api("GET", "_catalog").json() == {"repositories": [pushed]}
        for other in ("team/redis", "library/library/redis", "redis/library", "library/team/redis"):
            assert refused(api("GET", f"{other}/manifests/7"), 404, "NAME_UNKNOWN")


def test_a_push_to_the_other_name_of_an_official_image_is_complete(tmp_path: Path) -> None:
    """The client is told that the parts are there, and only puts the index."""
    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        api.put("redis:7", MULTI)
        api.put("redis:8", APP)
        answer = api.manifest("7", MULTI.manifest, MULTI.media_type, "library/redis")
        assert answer.status_code == 201
        api.put("library/redis:8", image(layer(9)))
    with serve(storage=tmp_path) as server:
        assert images.read(server.address, "library/redis:7") == MULTI.contents()
        assert images.read(server.address, "redis:8") == APP.contents()
        assert images.read(server.address, "library/redis:8") == image(layer(9)).contents()
        names = [
            entry["annotations"]["org.opencontainers.image.ref.name"]
            for entry in json.loads((tmp_path / "index.json").read_bytes())["manifests"]
        ]
        assert [name for name in names if "@" not in name] == [
            "redis:7",
            "redis:8",
            "library/redis:7",
            "library/redis:8",
        ]
