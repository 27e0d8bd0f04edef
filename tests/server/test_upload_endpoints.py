"""What writes, end-4 to end-7, end-11 and end-13, one by one; and the referrers that come of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import images
from distribution import UNKNOWN, Api, code_of, refused
from docker_charon import serve
from docker_charon.oci.manifest import MAX_SIZE
from images import artifact, digest_of, image, index, layer

CONTENT = images.random_bytes(1, 1000)
DIGEST = digest_of(CONTENT)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(storage=tmp_path / "storage") as server:
        yield Api(server.address)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


def stored(storage: Path, digest: str) -> Path:
    return storage / "blobs" / digest.replace(":", "/")


def under_way(storage: Path) -> list[Path]:
    return list((storage / ".docker-charon" / "uploads").iterdir())


# --- Blobs ----------------------------------------------------------------------------------------


def test_end_4a_and_end_6_take_a_blob_in_one_piece(api: Api, storage: Path) -> None:
    started = api("POST", "team/app/blobs/uploads/")
    assert started.status_code == 202
    assert started.headers["Location"].startswith("/v2/team/app/blobs/uploads/")
    assert started.headers["Range"] == "0-0"
    done = api("PUT", f"{started.headers['Location']}?digest={DIGEST}", CONTENT)
    assert done.status_code == 201
    assert done.headers["Location"] == f"/v2/team/app/blobs/{DIGEST}"
    assert done.headers["Docker-Content-Digest"] == DIGEST
    assert api("GET", done.headers["Location"]).content == CONTENT
    assert stored(storage, DIGEST).read_bytes() == CONTENT
    assert under_way(storage) == []


def test_end_4b_takes_a_blob_with_its_first_request(api: Api, storage: Path) -> None:
    done = api("POST", f"app/blobs/uploads/?digest={DIGEST}", CONTENT)
    assert done.status_code == 201
    assert done.headers["Location"] == f"/v2/app/blobs/{DIGEST}"
    assert stored(storage, DIGEST).read_bytes() == CONTENT
    assert under_way(storage) == []


def test_an_empty_blob_is_a_blob(api: Api) -> None:
    assert api("POST", f"app/blobs/uploads/?digest={digest_of(b'')}", b"").status_code == 201
    answer = api("GET", f"app/blobs/{digest_of(b'')}")
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "0")


@pytest.mark.parametrize("way", ["post", "put", "patch"])
def test_sha512_is_as_good(api: Api, storage: Path, way: str) -> None:
    digest = f"sha512:{hashlib.sha512(CONTENT).hexdigest()}"
    if way == "post":
        done = api("POST", f"app/blobs/uploads/?digest={digest}", CONTENT)
    elif way == "put":
        done = api("PUT", f"{api.start()}?digest={digest}", CONTENT)
    else:
        location = api.start()
        api("PATCH", location, CONTENT)
        done = api("PUT", f"{location}?digest={digest}")
    assert done.status_code == 201
    assert done.headers["Docker-Content-Digest"] == digest
    assert api("GET", f"app/blobs/{digest}").content == CONTENT
    assert stored(storage, digest).exists()


def test_end_5_takes_pieces_in_order(api: Api) -> None:
    location = api.start()
    for start, end in ((0, 400), (400, 999)):
        answer = api("PATCH", location, CONTENT[start:end], Content_Range=f"{start}-{end - 1}")
        assert answer.status_code == 202
        assert answer.headers["Range"] == f"0-{end - 1}"
        location = answer.headers["Location"]
    done = api("PUT", f"{location}?digest={DIGEST}", CONTENT[999:], Content_Range="999-999")
    assert done.status_code == 201
    assert api("GET", f"app/blobs/{DIGEST}").content == CONTENT


def test_end_5_takes_a_stream(api: Api) -> None:
    """As podman, skopeo and docker push: one ``PATCH`` whose length nobody knows."""
    location = api.start()
    answer = api("PATCH", location, (CONTENT[n : n + 7] for n in range(0, 1000, 7)))
    assert (answer.status_code, answer.headers["Range"]) == (202, "0-999")
    assert api("PUT", f"{location}?digest={DIGEST}", b"").status_code == 201
    assert api("GET", f"app/blobs/{DIGEST}").content == CONTENT


def test_end_5_takes_a_stream_in_a_few_requests(api: Api) -> None:
    location = api.start()
    api("PATCH", location, CONTENT[:10])
    assert api("PATCH", location, CONTENT[10:300]).headers["Range"] == "0-299"
    assert api("PUT", f"{location}?digest={DIGEST}", CONTENT[300:]).status_code == 201


def test_end_5_refuses_a_piece_out_of_order(api: Api) -> None:
    location = api.start()
    answer = api("PATCH", location, CONTENT[400:], Content_Range="400-999")
    assert refused(answer, 416, "BLOB_UPLOAD_INVALID")
    assert answer.headers["Location"] == location
    assert api("PATCH", location, CONTENT[:400], Content_Range="0-399").status_code == 202
    again = api("PATCH", location, CONTENT[:400], Content_Range="0-399")
    assert (again.status_code, again.headers["Range"]) == (416, "0-399")
    late = api("PUT", f"{location}?digest={DIGEST}", CONTENT[500:], Content_Range="500-999")
    assert late.status_code == 416
    # Nothing of all that has been taken, and the upload goes on.
    done = api("PUT", f"{location}?digest={DIGEST}", CONTENT[400:], Content_Range="400-999")
    assert done.status_code == 201


def test_end_5_refuses_a_range_that_is_none_or_of_another_length(api: Api) -> None:
    location = api.start()
    for header in ("x", "5-2", "0-", "-5"):
        answer = api("PATCH", location, CONTENT, Content_Range=header)
        assert refused(answer, 400, "BLOB_UPLOAD_INVALID")
    answer = api("PATCH", location, CONTENT, Content_Range="0-9")
    assert refused(answer, 400, "SIZE_INVALID")
    assert api("GET", location).headers["Range"] == "0-0"


def test_end_13_tells_how_much_has_arrived(api: Api) -> None:
    location = api.start()
    answer = api("GET", location)
    assert (answer.status_code, answer.headers["Range"]) == (204, "0-0")
    api("PATCH", location, CONTENT[:400])
    answer = api("GET", location)
    assert (answer.status_code, answer.headers["Range"]) == (204, "0-399")
    assert answer.headers["Location"] == location
    assert "Content-Length" not in answer.headers


def test_an_upload_can_be_cancelled(api: Api, storage: Path) -> None:
    location = api.start()
    api("PATCH", location, CONTENT)
    assert len(under_way(storage)) == 1
    assert api("DELETE", location).status_code == 204
    assert under_way(storage) == []
    for method in ("GET", "PATCH", "DELETE"):
        assert refused(api(method, location), 404, "BLOB_UPLOAD_UNKNOWN")
    assert refused(api("PUT", f"{location}?digest={DIGEST}"), 404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(api: Api) -> None:
    other = api.start("app").replace("/app/", "/other/")
    assert refused(api("PATCH", other, CONTENT), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("first", [b"", CONTENT[:10]])
def test_another_digest_is_refused_and_leaves_nothing(
    api: Api, storage: Path, first: bytes
) -> None:
    location = api.start()
    if first:
        api("PATCH", location, first)
    answer = api("PUT", f"{location}?digest={UNKNOWN}", CONTENT[len(first) :])
    assert refused(answer, 400, "DIGEST_INVALID")
    assert refused(
        api("POST", f"app/blobs/uploads/?digest={UNKNOWN}", CONTENT), 400, "DIGEST_INVALID"
    )
    assert api("HEAD", f"app/blobs/{UNKNOWN}").status_code == 404
    assert under_way(storage) == []


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=sha256:abc", "?digest=md5:00"])
def test_end_6_needs_a_digest(api: Api, query: str) -> None:
    location = api.start()
    assert refused(api("PUT", f"{location}{query}", CONTENT), 400, "DIGEST_INVALID")
    assert api("PUT", f"{location}?digest={DIGEST}", CONTENT).status_code == 201


def test_end_11_mounts_what_is_there(api: Api) -> None:
    api.blob(CONTENT, "here")
    for there, query in (("a", f"mount={DIGEST}&from=here"), ("b", f"mount={DIGEST}")):
        assert refused(api("GET", f"{there}/blobs/{DIGEST}"), 404, "BLOB_UNKNOWN")
        answer = api("POST", f"{there}/blobs/uploads/?{query}")
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/v2/{there}/blobs/{DIGEST}"
        assert api("GET", f"{there}/blobs/{DIGEST}").content == CONTENT
    assert api("GET", "_catalog").json() == {"repositories": []}


def test_end_11_begins_an_upload_of_what_is_not(api: Api) -> None:
    api.blob(CONTENT[:10], "elsewhere")
    nowhere = f"mount={digest_of(CONTENT[:10])}&from=here"
    for query in (nowhere, f"mount={DIGEST}&from=here", f"mount={DIGEST}"):
        answer = api("POST", f"there/blobs/uploads/?{query}")
        assert answer.status_code == 202
        location = answer.headers["Location"]
    assert api("PUT", f"{location}?digest={DIGEST}", CONTENT).status_code == 201


def test_end_11_takes_no_nonsense(api: Api) -> None:
    post = "there/blobs/uploads/?mount"
    assert refused(api("POST", f"{post}=abc&from=here"), 400, "DIGEST_INVALID")
    assert refused(api("POST", f"{post}={DIGEST}&from=../x"), 400, "NAME_INVALID")
    assert refused(api("POST", "UPPER/blobs/uploads/"), 400, "NAME_INVALID")


# --- Manifests ------------------------------------------------------------------------------------


def described(content: bytes, media_type: str = "application/vnd.example") -> dict[str, object]:
    return images.descriptor(media_type, content)


def test_end_7_takes_a_manifest_under_a_tag_and_under_its_digest(api: Api, storage: Path) -> None:
    wanted = image(layer(1))
    for content in wanted.blobs:
        api.blob(content)
    for reference in ("1", wanted.digest):
        answer = api.manifest(reference, wanted.manifest, wanted.media_type)
        assert answer.status_code == 201
        assert answer.headers["Docker-Content-Digest"] == wanted.digest
        assert answer.headers["Location"] == f"/v2/app/manifests/{wanted.digest}"
        assert "OCI-Subject" not in answer.headers
        got = api("GET", f"app/manifests/{reference}")
        assert (got.content, got.headers["Content-Type"]) == (wanted.manifest, wanted.media_type)
    assert stored(storage, wanted.digest).read_bytes() == wanted.manifest


def test_end_7_wants_all_blobs_to_be_there(api: Api) -> None:
    wanted = image(layer(1), layer(2))
    api.blob(wanted.blobs[0])
    answer = api.manifest("1", wanted.manifest, wanted.media_type)
    assert refused(answer, 400, "MANIFEST_BLOB_UNKNOWN")
    assert answer.json()["errors"][0]["detail"] == [digest_of(layer(1)), digest_of(layer(2))]
    assert refused(api("GET", "app/manifests/1"), 404, "NAME_UNKNOWN")


def test_end_7_wants_all_children_in_the_same_repository(api: Api) -> None:
    wanted = index(image(layer(1)), image(layer(2)))
    api.put(f"app:{wanted.children[0].digest}", wanted.children[0])
    api.put(f"other:{wanted.children[1].digest}", wanted.children[1])
    answer = api.manifest("1", wanted.manifest, wanted.media_type)
    assert refused(answer, 400, "MANIFEST_BLOB_UNKNOWN")
    api.put("app:1", wanted)
    assert images.read(api.address, "app:1") == wanted.contents()


def test_end_7_takes_layers_that_are_to_be_had_elsewhere(api: Api) -> None:
    api.blob(b"{}")
    foreign = {**described(b"far away"), "urls": ["https://example.com/layer"]}
    config = described(b"{}")
    answer = api.manifest("1", {"schemaVersion": 2, "config": config, "layers": [foreign]})
    assert answer.status_code == 201


def test_end_7_checks_the_digest(api: Api) -> None:
    api.blob(b"{}")
    value = {"schemaVersion": 2, "config": described(b"{}"), "layers": []}
    assert refused(api.manifest(UNKNOWN, value), 400, "DIGEST_INVALID")
    assert refused(api.manifest("sha256:totally-wrong", value), 400, "DIGEST_INVALID")
    assert refused(api.manifest(f"1?digest={UNKNOWN}", value), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b"<html>", {}, {"schemaVersion": 1}])
def test_end_7_takes_nothing_that_is_no_manifest(api: Api, value: object) -> None:
    assert refused(api.manifest("1", value), 400, "MANIFEST_INVALID")


def test_end_7_takes_no_tag_that_cannot_be_one(api: Api) -> None:
    for tag in (".hidden", "-x", "a" * 129, "a b", "%2e%2e"):
        assert refused(api.manifest(tag, {}), 400, "MANIFEST_INVALID")


def test_end_7_takes_a_sha512_digest(api: Api) -> None:
    api.blob(b"{}")
    content = json.dumps({"schemaVersion": 2, "config": described(b"{}"), "layers": []}).encode()
    digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
    answer = api.manifest(digest, content)
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert api("GET", f"app/manifests/{digest}").content == content
    assert api.manifest(f"big?digest={digest}", content).headers["Docker-Content-Digest"] == digest
    assert api("HEAD", "app/manifests/big").headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_7_takes_tags_beside_a_digest(tmp_path: Path, algorithm: str) -> None:
    with serve(storage=tmp_path / "storage") as server:
        api = Api(server.address)
        before = api.put("app:1", image(layer(1)))
        api.put("app:latest", before)
        content = json.dumps({"schemaVersion": 2, "config": described(b"{}"), "layers": []})
        api.blob(b"{}")
        digest = f"{algorithm}:{hashlib.new(algorithm, content.encode()).hexdigest()}"
        answer = api.manifest(f"{digest}?tag=1&tag=latest&tag=1.2&tag=1", content.encode())
        assert answer.headers["OCI-Tag"] == "1, latest, 1.2"
        assert "OCI-Tag" not in api.manifest(digest, content.encode()).headers
    with serve(storage=tmp_path / "storage") as server:
        api = Api(server.address)
        assert api("GET", "app/tags/list").json()["tags"] == ["1", "1.2", "latest"]
        for tag in ("1", "latest", "1.2"):
            assert api("HEAD", f"app/manifests/{tag}").headers["Docker-Content-Digest"] == digest
        assert api("GET", f"app/manifests/{before.digest}").content == before.manifest


@pytest.mark.parametrize("tag", ["-x", "", f"x@{DIGEST}", "x:y"])
def test_end_7_looks_at_all_tags_before_it_takes_one(api: Api, tag: str) -> None:
    wanted = image(media_type=images.OCI)
    api.blob(wanted.blobs[0])
    answer = api.manifest(f"{wanted.digest}?tag=1&tag={tag}", wanted.manifest)
    assert refused(answer, 400, "MANIFEST_INVALID")
    assert "is not a tag" in answer.text
    assert refused(api("GET", "app/manifests/1"), 404, "NAME_UNKNOWN")


def test_end_7_takes_manifests_without_layers_and_of_unknown_types(api: Api) -> None:
    api.blob(b"{}")
    bare = {"schemaVersion": 2, "config": described(b"{}"), "layers": []}
    assert api.manifest("1", bare).status_code == 201
    empty = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": []}
    assert api.manifest("2", empty, images.OCI_INDEX).status_code == 201
    strange = {"mediaType": "application/vnd.strange+json", "blobs": [described(b"{}")]}
    assert api.manifest("3", strange, "application/vnd.strange+json").status_code == 201
    assert api("GET", "app/manifests/3").headers["Content-Type"] == "application/vnd.strange+json"
    strange["blobs"] = [described(b"not there")]
    answer = api.manifest("4", strange, "application/vnd.strange+json")
    assert refused(answer, 400, "MANIFEST_BLOB_UNKNOWN")


def test_end_7_wants_one_media_type(api: Api) -> None:
    api.blob(b"{}")
    bare = {"schemaVersion": 2, "config": described(b"{}"), "layers": []}
    value = {**bare, "mediaType": images.OCI}
    assert refused(api.manifest("1", value, images.DOCKER), 400, "MANIFEST_INVALID")
    assert api.manifest("1", value, f"{images.OCI}; charset=utf-8").status_code == 201


@pytest.mark.parametrize("kind", ["a/b\r\nX-Mine: 1", "plain", "a/b c", "é/b", "", 1, ["a/b"]])
def test_end_7_takes_no_media_type_that_is_none(api: Api, kind: object) -> None:
    answer = api("PUT", "app/manifests/1", json.dumps({"mediaType": kind}).encode())
    assert refused(answer, 400, "MANIFEST_INVALID")


def test_what_is_no_text_in_a_manifest_does_no_harm(api: Api) -> None:
    subject = images.descriptor(images.OCI, b"anything")
    strange = "\ud800 \x00 \r\n"
    annotations = {strange: strange, "number": 1}
    wanted = artifact(layer(1), subject=subject, annotations=annotations, artifactType=strange)
    api.put("app:1", wanted)
    (found,) = api("GET", f"app/referrers/{subject['digest']}").json()["manifests"]
    assert found["annotations"] == {strange: strange}
    assert api("GET", "app/manifests/1").content == wanted.manifest


def test_many_clients_may_push_the_same_thing_at_once(api: Api, storage: Path) -> None:
    wanted = image(layer(1, 50_000))

    def push(number: int) -> bool:
        images.put(api.address, f"app:{number % 2}", wanted)
        return images.read(api.address, f"app:{number % 2}") == wanted.contents()

    with ThreadPoolExecutor(16) as clients:
        assert all(clients.map(push, range(32)))
    assert len(json.loads((storage / "index.json").read_bytes())["manifests"]) == 2
    assert under_way(storage) == []


def test_end_7_takes_4_mib_and_not_a_byte_more(api: Api) -> None:
    api.blob(b"{}")
    value = {"schemaVersion": 2, "config": described(b"{}"), "layers": None}
    content = json.dumps(value).encode().ljust(MAX_SIZE)
    assert api.manifest("1", content).status_code == 201
    assert refused(api.manifest("2", content + b" "), 413, "SIZE_INVALID")
    pieces = (content[:1000] for _ in range(MAX_SIZE // 1000 + 1))
    answer = api("PUT", "app/manifests/2", pieces, Content_Type=images.OCI)
    assert refused(answer, 413, "SIZE_INVALID")
    assert api("HEAD", "app/manifests/2").status_code == 404


def test_a_tag_moves_and_what_it_was_on_stays(api: Api) -> None:
    first, second = api.put("app:1", image(layer(1))), api.put("app:1", image(layer(2)))
    assert api("GET", "app/manifests/1").content == second.manifest
    assert api("GET", f"app/manifests/{first.digest}").content == first.manifest
    assert api("GET", "app/tags/list").json()["tags"] == ["1"]


def test_a_repository_of_manifests_without_tags_has_an_empty_list(api: Api) -> None:
    wanted = image(layer(1))
    api.put(f"app:{wanted.digest}", wanted)
    assert api("GET", "app/tags/list").json() == {"name": "app", "tags": []}


# --- Referrers ------------------------------------------------------------------------------------


def test_end_12_lists_what_has_been_pushed_with_a_subject(api: Api) -> None:
    subject = image(layer(1), media_type=images.OCI).descriptor  # it need not be there
    api.blob(b"{}")
    by_type = artifact(layer(2), subject=subject, annotations={"who": "me"})
    config = described(b"{}", "application/vnd.example.config")
    by_config = json.dumps(
        {"schemaVersion": 2, "config": config, "layers": [], "subject": subject}
    ).encode()
    of_index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": images.OCI_INDEX,
            "artifactType": "application/vnd.example.list",
            "manifests": [],
            "subject": subject,
        }
    ).encode()
    api.blob(layer(2))
    for content, media_type in (
        (by_type.manifest, images.OCI),
        (by_config, images.OCI),
        (of_index, images.OCI_INDEX),
    ):
        answer = api.manifest(digest_of(content), content, media_type)
        assert answer.status_code == 201
        assert answer.headers["OCI-Subject"] == subject["digest"]
    answer = api("GET", f"app/referrers/{subject['digest']}")
    assert "OCI-Filters-Applied" not in answer.headers
    found = {each.pop("digest"): each for each in answer.json()["manifests"]}
    assert found == {
        by_type.digest: {
            "mediaType": images.OCI,
            "size": len(by_type.manifest),
            "artifactType": "application/vnd.example.thing",
            "annotations": {"who": "me"},
        },
        digest_of(by_config): {
            "mediaType": images.OCI,
            "size": len(by_config),
            "artifactType": "application/vnd.example.config",
        },
        digest_of(of_index): {
            "mediaType": images.OCI_INDEX,
            "size": len(of_index),
            "artifactType": "application/vnd.example.list",
        },
    }
    assert api("GET", f"other/referrers/{subject['digest']}").json()["manifests"] == []


def test_end_12b_filters_by_type(api: Api) -> None:
    subject = api.put("app:1", image(layer(1))).descriptor
    wanted = api.put("app:sig", artifact(layer(2), subject=subject))
    api.put("app:other", artifact(layer(3), subject=subject, artifactType="application/x.other"))
    path = f"app/referrers/{subject['digest']}?artifactType="
    answer = api("GET", path + "application/vnd.example.thing")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert [each["digest"] for each in answer.json()["manifests"]] == [wanted.digest]
    assert api("GET", path + "application%2Fx.none").json()["manifests"] == []
    assert "OCI-Filters-Applied" not in api("GET", path).headers


def test_a_refusal_names_its_code_alone(api: Api) -> None:
    assert code_of(api("GET", "app/manifests/1")) == "NAME_UNKNOWN"
