"""The directory that is written to: an image layout for everybody, and whole at every moment."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import images
from conftest import require
from distribution import UNKNOWN, Api, refused
from docker_charon import ServerError, make_payload, serve
from docker_charon.oci.digest import Digest
from docker_charon.server.layouts.layout import open_layout
from docker_charon.server.store import Code, Rejected
from images import artifact, digest_of, image, index, layer

REF_NAME = "org.opencontainers.image.ref.name"


def listed(root: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of ``index.json`` by name."""
    entries = json.loads((root / "index.json").read_bytes())["manifests"]
    return {entry.get("annotations", {}).get(REF_NAME, "-"): entry for entry in entries}


def write_layout(root: Path, *entries: dict[str, Any], **members: Any) -> None:
    """Write a layout as another tool does."""
    root.mkdir(exist_ok=True)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": list(entries), **members})
    )


def write_blobs(root: Path, *wanted: images.TestImage) -> None:
    (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    for each in wanted:
        for digest, content in each.contents().items():
            (root / "blobs" / digest.replace(":", "/")).write_bytes(content)


def entry(wanted: images.TestImage, name: str | None, **more: Any) -> dict[str, Any]:
    annotations = {} if name is None else {REF_NAME: name}
    return {**wanted.descriptor, "annotations": {**annotations, **more}}


def test_a_directory_that_is_not_there_becomes_an_empty_layout(tmp_path: Path) -> None:
    root = tmp_path / "new" / "storage"
    with serve(storage=root) as server:
        assert Api(server.address)("GET", "_catalog").json() == {"repositories": []}
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((root / "index.json").read_bytes()) == {
        "schemaVersion": 2,
        "mediaType": images.OCI_INDEX,
        "manifests": [],
    }


def test_what_is_pushed_is_there_after_a_restart(tmp_path: Path) -> None:
    """With media types, referrers, what has no tag, and what a tag has left behind."""
    multi = index(image(layer(1), media_type=images.OCI), image(layer(2), media_type=images.OCI))
    old, new, untagged = image(layer(3)), image(layer(4)), image(layer(5))
    signature = artifact(layer(6), subject=multi.descriptor)
    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        api.put("team/multi:1", multi)
        api.put(f"team/multi:{signature.digest}", signature)
        api.put("app:1", old)
        api.put("app:1", new)
        api.put(f"app:{untagged.digest}", untagged)
    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        assert images.read(server.address, "team/multi:1") == multi.contents()
        assert images.read(server.address, "app:1") == new.contents()
        assert api("GET", "app/tags/list").json()["tags"] == ["1"]
        for each in (old, untagged):
            answer = api("GET", f"app/manifests/{each.digest}")
            assert (answer.content, answer.headers["Content-Type"]) == (
                each.manifest,
                images.DOCKER,
            )
        (found,) = api("GET", f"team/multi/referrers/{multi.digest}").json()["manifests"]
        assert found["digest"] == signature.digest


def test_a_manifest_may_be_put_after_a_restart_between_it_and_its_blobs(tmp_path: Path) -> None:
    wanted = image(layer(1))
    with serve(storage=tmp_path) as server:
        for content in wanted.blobs:
            images.put_blob(server.address, "app", content)
    with serve(storage=tmp_path) as server:
        answer = Api(server.address).manifest("1", wanted.manifest, wanted.media_type)
        assert answer.status_code == 201
        assert images.read(server.address, "app:1") == wanted.contents()


def test_each_tag_and_each_manifest_without_one_is_listed_once(tmp_path: Path) -> None:
    one, two = image(layer(1)), image(layer(2))
    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        api.put(f"app:{one.digest}", one)
        assert set(listed(tmp_path)) == {f"app@{one.digest}"}
        api.put("app:1", one)
        assert set(listed(tmp_path)) == {"app:1"}
        api.put("app:2", one)
        api.put(f"app:{one.digest}", one)
        assert set(listed(tmp_path)) == {"app:1", "app:2"}
        api.put("app:2", two)
        assert set(listed(tmp_path)) == {"app:1", "app:2"}
        api.put("app:1", two)
        assert set(listed(tmp_path)) == {"app:1", "app:2", f"app@{one.digest}"}
    assert listed(tmp_path)["app:1"] == {**two.descriptor, "annotations": {REF_NAME: "app:1"}}


def test_sha512_stays_sha512(tmp_path: Path) -> None:
    content = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
    with serve(storage=tmp_path) as server:
        assert Api(server.address).manifest(digest, content, images.OCI_INDEX).status_code == 201
    with serve(storage=tmp_path) as server:
        assert Api(server.address)("GET", f"app/manifests/{digest}").content == content


def test_skopeo_reads_it_as_it_stands(tmp_path: Path) -> None:
    require(shutil.which("skopeo") is not None, "skopeo")
    one, two = image(layer(1), media_type=images.OCI), image(layer(2), media_type=images.OCI)
    with serve(storage=tmp_path) as server:
        images.put(server.address, "team/app:1", one)
        images.put(server.address, "team/app:2", two)
        images.put(server.address, "other:1", index(one, two))
        for name, wanted in (
            ("team/app:1", one),
            ("team/app:2", two),
            ("other:1", index(one, two)),
        ):
            command = ["skopeo", "inspect", "--raw", f"oci:{tmp_path}:{name}"]
            done = subprocess.run(command, capture_output=True, check=True)
            assert done.stdout == wanted.manifest


def test_what_skopeo_has_written_is_served(tmp_path: Path) -> None:
    require(shutil.which("skopeo") is not None, "skopeo")
    wanted = image(layer(1), media_type=images.OCI)
    with serve(storage=tmp_path / "from") as server:
        images.put(server.address, "app:1", wanted)
        for name in ("team/app:2", "v1"):
            target = f"oci:{tmp_path / 'to'}:{name}"
            command = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "-q"]
            subprocess.run([*command, f"docker://{server.address}/app:1", target], check=True)
    with serve(storage=tmp_path / "to") as server:
        assert images.read(server.address, "team/app:2") == wanted.contents()
        assert images.read(server.address, "v1:latest") == wanted.contents()


def test_names_without_a_tag_mean_latest_as_in_payloads(tmp_path: Path) -> None:
    wanted = index(image(layer(1)), image(layer(2)))
    write_layout(tmp_path, entry(wanted, "app"))
    write_blobs(tmp_path, wanted)
    with serve(storage=tmp_path) as server:
        assert images.read(server.address, "app:latest") == wanted.contents()
        child = wanted.children[0]  # it is in no list but the index's own
        answer = Api(server.address)("GET", f"app/manifests/{child.digest}")
        assert answer.headers["Content-Type"] == child.media_type


def test_what_others_have_written_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = image(layer(1))
    foreign = [
        entry(wanted, None, other="x"),
        entry(wanted, "Not A Name"),
        entry(wanted, "app:1", theirs="kept"),
        {"strange": True},
    ]
    write_layout(tmp_path, *foreign, annotations={"a": "b"}, more=[1])
    write_blobs(tmp_path, wanted)
    with serve(storage=tmp_path) as server:
        assert len(caplog.records) == 2
        api = Api(server.address)
        assert api("GET", "_catalog").json() == {"repositories": ["app"]}
        images.put(server.address, "app:1", wanted)
        images.put(server.address, "new:1", wanted)
    document = json.loads((tmp_path / "index.json").read_bytes())
    assert all(each in document["manifests"] for each in foreign)
    assert len(document["manifests"]) == 5
    assert (document["annotations"], document["more"]) == ({"a": "b"}, [1])


def test_what_is_damaged_or_missing_is_said_and_not_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, damaged, missing = image(layer(1)), image(layer(2)), image(layer(3))
    write_layout(tmp_path, *(entry(x, f"app:{n}") for n, x in enumerate((whole, damaged, missing))))
    write_blobs(tmp_path, whole, damaged)
    (tmp_path / "blobs" / damaged.digest.replace(":", "/")).write_bytes(damaged.manifest + b" ")
    with serve(storage=tmp_path) as server:
        assert Api(server.address)("GET", "app/tags/list").json()["tags"] == ["0"]
    assert [record.message.partition(" ")[0] for record in caplog.records] == ["app:1", "app:2"]
    assert set(listed(tmp_path)) == {"app:0", "app:1", "app:2"}


def test_a_manifest_that_is_damaged_later_is_not_sent(tmp_path: Path) -> None:
    wanted = image(layer(1))
    with serve(storage=tmp_path) as server:
        images.put(server.address, "app:1", wanted)
        path = tmp_path / "blobs" / wanted.digest.replace(":", "/")
        path.write_bytes(wanted.manifest[:-1] + b" ")
        assert Api(server.address)("GET", "app/manifests/1").status_code == 500
        images.put(server.address, "app:1", wanted)  # which heals it
        assert images.read(server.address, "app:1") == wanted.contents()


def test_a_blob_that_is_damaged_is_healed_by_another_push(tmp_path: Path) -> None:
    with serve(storage=tmp_path) as server:
        digest = Api(server.address).blob(b"content")
        (tmp_path / "blobs" / digest.replace(":", "/")).write_bytes(b"damaged")
        Api(server.address).blob(b"content")
        assert images.read_blob(server.address, "app", digest) == b"content"


def test_two_servers_do_not_write_to_one_directory(tmp_path: Path) -> None:
    with serve(storage=tmp_path):
        served = serve(storage=tmp_path)
        with pytest.raises(ServerError, match=r"another docker-charon serves .*; stop it"), served:
            pass
    with serve(storage=tmp_path):
        pass


@pytest.mark.parametrize("name", ["precious.txt", "blob"])
def test_a_directory_of_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    wanted = rf"has {name} and no oci-layout; use a directory"
    with pytest.raises(ServerError, match=wanted), serve(storage=tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("oci-layout", ""),
        ("oci-layout", "[]"),
        ("oci-layout", '{"imageLayoutVersion": "2.0.0"}'),
        ("oci-layout", '{"imageLayoutVersion": 1}'),
        ("index.json", ""),
        ("index.json", "[]"),
        ("index.json", '{"manifests": 1}'),
        ("index.json", "[" * 100_000),
    ],
)
def test_a_layout_that_cannot_be_read_is_one_line(tmp_path: Path, file: str, content: str) -> None:
    write_layout(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ServerError, match=file), serve(storage=tmp_path):
        pass
    assert (tmp_path / file).read_text() == content


def test_a_path_that_is_no_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ServerError, match="not a directory"), serve(storage=tmp_path / "link"):
        pass
    served = serve(storage=tmp_path / "file")
    with pytest.raises(ServerError, match=r"cannot use .*; use a directory that"), served:
        pass


@pytest.mark.parametrize("left", [(), ("blobs",), ("blobs", "index.json")])
def test_a_layout_that_was_being_made_is_made(tmp_path: Path, left: tuple[str, ...]) -> None:
    (tmp_path / ".docker-charon" / "uploads").mkdir(parents=True)
    (tmp_path / ".docker-charon" / "index.json").write_text("half of i")
    if "blobs" in left:
        (tmp_path / "blobs").mkdir()
    if "index.json" in left:
        (tmp_path / "index.json").write_text('{"manifests": []}')
    with serve(storage=tmp_path) as server:
        images.put(server.address, "app:1", image(layer(1)))


def test_leftovers_of_uploads_are_cleared_away_at_the_start(tmp_path: Path) -> None:
    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        location = api.start()
        api("PATCH", location, b"abc")
    uploads = tmp_path / ".docker-charon" / "uploads"
    assert not uploads.exists()  # the server has ended, and was not killed
    uploads.mkdir()
    (uploads / "left").write_bytes(b"abc")
    with serve(storage=tmp_path) as server:
        assert list(uploads.iterdir()) == []
        assert Api(server.address)("GET", location).status_code == 404


def test_an_upload_that_nobody_continues_is_removed(tmp_path: Path) -> None:
    with open_layout(tmp_path) as layout:
        first = layout.uploads.begin("app")
        first.last_used -= 3601
        second = layout.uploads.begin("app")
        assert not first.path.exists()
        with pytest.raises(Rejected), layout.uploads.hold("app", first.identifier):
            pass
        with layout.uploads.hold("app", second.identifier):
            pass


def test_on_a_full_disk_an_upload_ends_and_so_do_those_that_nobody_continues(
    tmp_path: Path,
) -> None:
    def too_many() -> Iterator[bytes]:
        yield b"some"
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_layout(tmp_path) as layout:
        uploads = [layout.uploads.begin("app") for _ in range(4)]
        failing, left, continued, written = uploads
        for upload in (left, written):
            upload.last_used -= 61
        with layout.uploads.hold("app", written.identifier):
            written.last_used -= 61
            with (
                pytest.raises(OSError, match="No space left"),
                layout.uploads.hold("app", failing.identifier),
            ):
                failing.append(too_many())
        assert [upload.path.exists() for upload in uploads] == [False, False, True, True]
        with layout.uploads.hold("app", continued.identifier):
            continued.append([b"more"])


def test_of_too_many_uploads_the_idlest_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docker_charon.server.layouts.upload.MOST_UPLOADS", 3)
    with open_layout(tmp_path) as layout, contextlib.ExitStack() as held:
        uploads = [layout.uploads.begin("app") for _ in range(3)]
        with layout.uploads.hold("app", uploads[0].identifier):
            layout.uploads.begin("app")  # the first one is being written to
            assert [upload.path.exists() for upload in uploads] == [True, False, True]
        newest = [layout.uploads.begin("app") for _ in range(3)]
        assert not any(upload.path.exists() for upload in uploads)
        for upload in newest:
            held.enter_context(layout.uploads.hold("app", upload.identifier))
        with pytest.raises(Rejected) as caught:
            layout.uploads.begin("app")
        assert caught.value.code is Code.TOOMANYREQUESTS
        content = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
        layout.put_manifest("app", content, images.OCI_INDEX, ["1"])  # which is not an upload


def test_an_index_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with open_layout(tmp_path) as layout:
        content = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
        with monkeypatch.context() as patch:
            patch.setattr("docker_charon.server.layouts.layout.write_durably", full)
            with pytest.raises(OSError, match="No space"):
                layout.put_manifest("app", content, images.OCI_INDEX, "1")
        assert layout.catalog.find("app", "1") is None
        layout.put_manifest("app", content, images.OCI_INDEX, "1")
    assert set(listed(tmp_path)) == {"app:1"}


def test_nothing_but_a_file_is_a_blob(tmp_path: Path) -> None:
    with open_layout(tmp_path) as layout:
        (tmp_path / "blobs" / UNKNOWN.replace(":", "/")).mkdir()
        assert layout.blob(Digest(UNKNOWN)) is None
        assert layout.blob(Digest(digest_of(b"x"))) is None


# --- Links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        ".docker-charon",
        ".docker-charon/uploads",
        ".docker-charon/index.json",
        ".docker-charon/lock",
        "blobs",
        "blobs/sha256",
        "blobs/sha512",
        "index.json",
        "oci-layout",
        "payload_descriptor.json",
    ],
)
@pytest.mark.parametrize("dangling", [False, True])
def test_a_layout_with_a_link_in_it_is_refused_and_nothing_behind_it_is_touched(
    tmp_path: Path, path: str, *, dangling: bool
) -> None:
    root, elsewhere = tmp_path / "layout", tmp_path / "elsewhere"
    write_layout(root)
    (root / "blobs" / "sha256").mkdir(parents=True)
    (root / ".docker-charon" / "uploads").mkdir(parents=True)
    link = root / path
    if link.is_dir():
        shutil.rmtree(link)
        (elsewhere / "uploads").mkdir(parents=True)
        (elsewhere / "uploads" / "precious").write_text("mine")
    elif link.exists():
        link.rename(elsewhere)
    else:
        elsewhere.write_text("mine")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    if dangling:
        link.symlink_to(tmp_path / "nothing")
    else:
        link.symlink_to(elsewhere)
    with pytest.raises(ServerError, match=rf"{link} is a link"), serve(storage=root):
        pass
    assert not (tmp_path / "nothing").exists()
    for file, content in before.items():
        assert file.read_bytes() == content


def test_a_directory_that_is_named_by_a_link_is_served(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with serve(storage=tmp_path / "link") as server:
        images.put(server.address, "app:1", image(layer(1)))
    assert set(listed(tmp_path / "real")) == {"app:1"}


def test_a_blob_that_is_a_link_is_not_served_and_is_replaced_by_a_push(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret, wanted = tmp_path / "secret", image(layer(1))
    root = tmp_path / "layout"
    secret.write_bytes(b"secret")
    with serve(storage=root) as server:
        images.put(server.address, "app:1", wanted)
        digest = digest_of(layer(1))
        for linked in (digest, wanted.digest):
            path = root / "blobs" / linked.replace(":", "/")
            path.unlink()
            path.symlink_to(secret)
        api = Api(server.address)
        for method in ("GET", "HEAD"):
            assert api(method, f"app/blobs/{digest}").status_code == 404
        assert api("GET", "app/manifests/1").status_code == 500
        assert f"{digest.partition(':')[2]} is a link" in caplog.text
        images.put(server.address, "app:1", wanted)
        assert images.read(server.address, "app:1") == wanted.contents()
    assert secret.read_bytes() == b"secret"
    assert not any(path.is_symlink() for path in root.rglob("*"))


def test_a_manifest_that_is_a_link_is_named_when_the_server_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = image(layer(1))
    root = tmp_path / "layout"
    write_layout(root, entry(wanted, "app:1"))
    write_blobs(root, wanted)
    path = root / "blobs" / wanted.digest.replace(":", "/")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with serve(storage=root) as server:
        assert Api(server.address)("GET", "app/manifests/1").status_code == 404
    assert f"{path} is a link" in caplog.text


def test_a_blob_that_is_being_read_can_be_stored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where a file that is open cannot be replaced."""
    replace, unlink = Path.replace, Path.unlink

    def refuse(self: Path, target: Path) -> Path:
        if target.exists() and target.parent.name == "sha256":
            raise PermissionError(13, "Access is denied", str(target))
        return replace(self, target)

    def refuse_to_delete(self: Path, missing_ok: bool = False) -> None:
        if self.parent.name == "sha256":
            raise PermissionError(13, "Access is denied", str(self))
        unlink(self, missing_ok)

    with serve(storage=tmp_path) as server:
        api = Api(server.address)
        digest = api.blob(b"content")
        monkeypatch.setattr(Path, "replace", refuse)
        monkeypatch.setattr(Path, "unlink", refuse_to_delete)
        for path in (f"app/blobs/uploads/?digest={digest}", f"new/blobs/uploads/?digest={digest}"):
            assert api("POST", path, b"content").status_code == 201
        assert images.read_blob(server.address, "new", digest) == b"content"
        (tmp_path / "blobs" / digest.replace(":", "/")).write_bytes(b"damaged")
        assert api("POST", path, b"content").status_code == 500
        assert list((tmp_path / ".docker-charon" / "uploads").iterdir()) == []


# --- Unzipped payloads ----------------------------------------------------------------------------


def test_an_unzipped_payload_has_its_referrers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = image(layer(1), media_type=images.OCI)
    sbom = artifact(layer(2), subject=wanted.descriptor)
    of_sbom = artifact(layer(3), subject=sbom.descriptor)
    signature = images.signature(wanted)
    with serve(storage=tmp_path / "source") as server:
        images.put(server.address, "app:1", wanted)
        for referrer in (sbom, of_sbom):
            images.put(server.address, f"app:{referrer.digest}", referrer)
        tag = images.tag_of(wanted, ".sig")
        images.put(server.address, f"app:{tag}", signature)
        payload = tmp_path / "p.zip"
        make_payload(server.address, payload, ["app:1"], secure=False, include_referrers=True)
    with zipfile.ZipFile(payload) as archive:
        archive.extractall(tmp_path / "unzipped")
    for _ in range(2):
        with serve(storage=tmp_path / "unzipped") as server:
            api = Api(server.address)
            for subject, referrer in ((wanted, sbom), (sbom, of_sbom)):
                (found,) = api("GET", f"app/referrers/{subject.digest}").json()["manifests"]
                assert found["digest"] == referrer.digest
                assert images.read(server.address, f"app:{referrer.digest}") == referrer.contents()
            assert api("GET", "app/tags/list").json()["tags"] == ["1", tag]
            assert images.read(server.address, f"app:{tag}") == signature.contents()
            images.put(server.address, "new:1", image(layer(9)))
    assert caplog.text == ""


def test_a_name_in_an_unzipped_payload_that_cannot_be_served_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted, other = image(layer(1)), image(layer(2))
    with serve(storage=tmp_path / "source") as server:
        images.put(server.address, "app:1", wanted)
        images.put(server.address, f"app:{images.tag_of(wanted, '.sig')}", images.signature(wanted))
        name = f"{server.address}/app:1"
        make_payload(None, tmp_path / "p.zip", [name], secure=False, include_referrers=True)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        archive.extractall(tmp_path / "unzipped")
    with serve(storage=tmp_path / "unzipped") as server:
        images.put(server.address, "other:1", other)
        assert Api(server.address)("GET", "_catalog").json() == {"repositories": ["other"]}
    assert f"'{name}' is not an image name" in caplog.text


def test_an_unzipped_delta_serves_what_it_has_and_says_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, update = image(layer(1)), image(layer(1), layer(2))
    with serve(storage=tmp_path / "source") as server:
        images.put(server.address, "app:1", base)
        images.put(server.address, "app:2", update)
        images.put(server.address, "other:1", image(layer(3)))
        names = ["app:2", "other:1"]
        make_payload(server.address, tmp_path / "p.zip", names, ["app:1"], secure=False)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        archive.extractall(tmp_path / "unzipped")
    with serve(storage=tmp_path / "unzipped") as server:
        api = Api(server.address)
        assert images.read(server.address, "other:1") == image(layer(3)).contents()
        assert images.read_blob(server.address, "app", digest_of(layer(2))) == layer(2)
        assert refused(api("GET", f"app/blobs/{digest_of(layer(1))}"), 404, "BLOB_UNKNOWN")
    (record,) = caplog.records
    assert record.getMessage().startswith("app:2 is incomplete: 1 of its blobs are not here")


def test_what_refers_to_nothing_here_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lonely = artifact(layer(1), subject=image(layer(2)).descriptor)
    write_layout(tmp_path, entry(lonely, None))
    write_blobs(tmp_path, lonely)
    with serve(storage=tmp_path) as server:
        assert Api(server.address)("GET", "_catalog").json() == {"repositories": []}
    assert f"{lonely.digest} is not served: it has no name" in caplog.text
