"""Pushing payloads into a real registry."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

import pytest

import images
from conftest import Sent
from docker_charon import (
    BlobNotFound,
    DigestMismatch,
    ManifestNotFound,
    PayloadError,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.registry.client import RegistryClient
from images import image, index, layer
from proxy import Proxy, Rule, SetHeader

WITH_BOTH_REGISTRIES = True


def ferry(source: str, payload: Path, wanted: list[str], already: list[str] | None = None) -> Path:
    make_payload(source, payload, wanted, already or (), secure=False)
    return payload


def uploads(sent: list[Sent]) -> list[Sent]:
    return [request for request in sent if request.is_for("PUT", "/blobs/uploads/")]


def test_a_delta_completes_what_is_there_by_mounts(
    source: str, destination: str, tmp_path: Path, sent: list[Sent]
) -> None:
    images.put(source, "base:1", image(layer(1), layer(2)))
    augmented = images.put(source, "other:augmented", image(layer(1), layer(2), layer(3)))
    push_payload_to_registry(
        destination, ferry(source, tmp_path / "base.zip", ["base:1"]), secure=False
    )
    delta = ferry(source, tmp_path / "delta.zip", ["other:augmented"], ["base:1"])
    sent.clear()
    assert push_payload_to_registry(destination, delta, strict=True, secure=False) == [
        "other:augmented"
    ]
    assert images.read(destination, "other:augmented") == augmented.contents()
    assert len(uploads(sent)) == 2
    assert sum(request.is_for("POST", "mount=") for request in sent) == 2


def test_images_keep_their_order_and_spelling(
    source: str, destination: str, tmp_path: Path
) -> None:
    team = images.put(source, "team/app:1", image(layer(1)))
    under = images.put(source, "team_app:1", image(layer(2)))
    latest = images.put(source, "plain", image(layer(3)))
    digest_only = images.put(source, "pinned:1", image(layer(4)))
    names = ["team_app:1", f"pinned@{digest_only.digest}", "team/app:1", "plain"]
    payload = ferry(source, tmp_path / "p.zip", names)
    assert push_payload_to_registry(destination, payload, secure=False) == names
    assert images.read(destination, "team/app:1") == team.contents()
    assert images.read(destination, "team_app:1") == under.contents()
    assert images.read(destination, "plain:latest") == latest.contents()
    assert images.read(destination, f"pinned:{digest_only.digest}") == digest_only.contents()
    assert images.read(destination, "pinned:1") is None


def test_every_kind_of_image_arrives_byte_for_byte(
    source: str, destination: str, tmp_path: Path
) -> None:
    wanted = {
        "oci:1": image(layer(1), b"", layer(1), media_type=images.OCI),
        "docker:1": image(layer(2), b""),
        "list:1": index(image(layer(3)), image(layer(4)), media_type=images.DOCKER_LIST),
        "nested:1": index(image(layer(5), media_type=images.OCI), index(images.artifact(layer(6)))),
        "artifact:1": images.artifact(b"{}", layer(7)),
    }
    for name, content in wanted.items():
        images.put(source, name, content)
    payload = ferry(source, tmp_path / "p.zip", list(wanted))
    push_payload_to_registry(destination, payload, strict=True, secure=False)
    for name, content in wanted.items():
        assert images.read(destination, name) == content.contents()


def test_one_blob_is_uploaded_once_and_mounted_elsewhere(
    source: str, destination: str, tmp_path: Path, sent: list[Sent]
) -> None:
    for name in ("a:1", "b:1", "c:1"):
        images.put(source, name, image(layer(1)))
    payload = ferry(source, tmp_path / "p.zip", ["a:1", "b:1", "c:1"])
    sent.clear()
    push_payload_to_registry(destination, payload, secure=False)
    assert len(uploads(sent)) == 2
    assert sum(request.is_for("POST", "mount=") for request in sent) == 4


def test_a_second_push_uploads_nothing_and_leaves_the_tag_alone(
    source: str, destination: str, tmp_path: Path, sent: list[Sent]
) -> None:
    images.put(source, "app:1", index(image(layer(1)), image(layer(2))))
    payload = ferry(source, tmp_path / "p.zip", ["app:1"])
    push_payload_to_registry(destination, payload, secure=False)
    sent.clear()
    assert push_payload_to_registry(destination, payload, secure=False) == ["app:1"]
    assert not [request for request in sent if request.method == "POST"]
    assert not [request for request in sent if request.is_for("PUT", "/manifests/1")]


@pytest.fixture
def incomplete(only_docker_registry: None, source: str, destination: str, tmp_path: Path) -> Path:
    """Return a delta, and a destination that lacks one layer of its base."""
    base = images.put(source, "base:1", image(layer(1), layer(2)))
    images.put(source, "app:2", image(layer(1), layer(2), layer(3)))
    images.put(source, "fine:1", image(layer(4)))
    images.put(destination, "base:1", base)
    images.delete_blob(destination, "base", images.digest_of(layer(2)))
    return ferry(source, tmp_path / "p.zip", ["fine:1", "app:2"], ["base:1"])


def test_a_blob_is_looked_for_in_every_repository_that_should_have_it(
    only_docker_registry: None, source: str, destination: str, tmp_path: Path
) -> None:
    bases = {"first:1": image(layer(1), layer(2)), "second:1": image(layer(1), layer(3))}
    for name, base in bases.items():
        images.put(source, name, base)
        images.put(destination, name, base)
    app = images.put(source, "app:1", image(layer(1), layer(4)))
    payload = ferry(source, tmp_path / "p.zip", ["app:1"], list(bases))
    images.delete_blob(destination, "first", images.digest_of(layer(1)))
    assert push_payload_to_registry(destination, payload, strict=True, secure=False) == ["app:1"]
    assert images.read(destination, "app:1") == app.contents()


def test_a_blob_of_another_size_is_not_taken_for_the_one_that_is_needed(
    source: str, destination: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    images.put(destination, "app:0", app)
    blob = f"/v2/app/blobs/{images.digest_of(layer(1))}"
    with Proxy(
        destination, [Rule("GET", blob, SetHeader("Content-Range", "bytes 4-4/5"))]
    ) as proxy:
        payload = ferry(source, tmp_path / "p.zip", ["app:1"])
        push_payload_to_registry(proxy.address, payload, strict=True, secure=False)
        assert len(proxy.matching("PUT", "/blobs/uploads/")) == 1
    assert images.read(destination, "app:1") == app.contents()


def test_strict_names_a_missing_blob_and_writes_nothing(
    incomplete: Path, destination: str, sent: list[Sent]
) -> None:
    with pytest.raises(BlobNotFound, match=rf"app:2 needs 1 blob .*{images.digest_of(layer(2))}"):
        push_payload_to_registry(destination, incomplete, strict=True, secure=False)
    assert {request.method for request in sent} <= {"GET", "HEAD"}
    assert images.read(destination, "fine:1") is None


def test_without_strict_the_others_are_pushed_and_a_warning_names_the_one_left_out(
    incomplete: Path, destination: str
) -> None:
    with pytest.warns(UserWarning, match="app:2") as warned:
        pushed = push_payload_to_registry(destination, incomplete, secure=False)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert pushed == ["fine:1"]
    assert images.read(destination, "app:2") is None
    assert images.read(destination, "fine:1") is not None


@pytest.fixture(params=["missing", "moved", "broken", "childless"])
def skipped(
    only_docker_registry: None,
    request: pytest.FixtureRequest,
    source: str,
    destination: str,
    tmp_path: Path,
) -> tuple[Path, str]:
    """Return a payload that skips an image, and how the destination's image is wrong."""
    app = images.put(source, "app:1", index(image(layer(1)), image(layer(2))))
    images.put(source, "new:1", image(layer(3)))
    payload = ferry(source, tmp_path / "p.zip", ["app:1", "new:1"], ["app:1"])
    if request.param == "moved":
        images.put(destination, "app:1", image(layer(9)))
    if request.param in ("broken", "childless"):
        images.put(destination, "app:1", app)
    if request.param == "broken":
        images.delete_blob(destination, "app", images.digest_of(layer(2)))
    if request.param == "childless":
        digest = app.children[0].digest
        registry_root = tmp_path / "destination/data/docker/registry/v2/repositories/app"
        link = registry_root / "_manifests/revisions/sha256" / digest.partition(":")[2] / "link"
        link.unlink()
    return payload, request.param


def test_a_skipped_image_that_is_not_the_same_there_counts_as_missing(
    skipped: tuple[Path, str], destination: str
) -> None:
    payload, how = skipped
    expected = BlobNotFound if how == "broken" else ManifestNotFound
    with pytest.raises(expected, match="app:1"):
        push_payload_to_registry(destination, payload, strict=True, secure=False)
    assert images.read(destination, "new:1") is None
    with pytest.warns(UserWarning, match="app:1"):
        assert push_payload_to_registry(destination, payload, secure=False) == ["new:1"]


def test_a_skipped_image_whose_tag_has_moved_is_missing_though_all_of_it_is_there(
    source: str, destination: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    payload = ferry(source, tmp_path / "p.zip", ["app:1"], ["app:1"])
    for version in (app, image(layer(1), layer(9))):
        images.put(destination, "app:1", version)
    with pytest.raises(ManifestNotFound, match=f"as app:1, which was {app.digest}"):
        push_payload_to_registry(destination, payload, strict=True, secure=False)


def test_a_skipped_image_that_is_there_is_in_the_list(
    source: str, destination: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    images.put(source, "new:1", image(layer(3)))
    images.put(destination, "app:1", app)
    payload = ferry(source, tmp_path / "p.zip", ["app:1", "new:1"], ["app:1"])
    assert push_payload_to_registry(destination, payload, True, secure=False) == ["app:1", "new:1"]


@pytest.fixture
def _no_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegistryClient, "mount_blob", lambda *_, **__: False)


@pytest.mark.usefixtures("_no_mounts")
def test_a_refused_mount_becomes_an_upload(
    source: str, destination: str, tmp_path: Path, sent: list[Sent]
) -> None:
    base = images.put(source, "base:1", image(layer(1)))
    images.put(destination, "base:1", base)
    wanted = {name: images.put(source, name, image(layer(1), layer(2))) for name in ("a:1", "b:1")}
    payload = ferry(source, tmp_path / "p.zip", list(wanted), ["base:1"])
    sent.clear()
    push_payload_to_registry(destination, payload, strict=True, secure=False)
    for name, content in wanted.items():
        assert images.read(destination, name) == content.contents()
    # Only the destination has the base's layer: it is read from there and uploaded again.
    whole = [request for request in sent if "Range" not in request.headers]
    assert sum(request.is_for("GET", "/v2/base/blobs/") for request in whole) == 2
    assert len(uploads(sent)) == 6


def test_a_pipe_is_read_to_its_end(source: str, destination: str, tmp_path: Path) -> None:
    app = images.put(source, "app:1", image(layer(1, 300_000)))
    payload = ferry(source, tmp_path / "p.zip", ["app:1"])
    reading, writing = os.pipe()

    def send() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(payload.read_bytes())

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(reading, "rb") as pipe:
        assert push_payload_to_registry(destination, pipe, secure=False) == ["app:1"]
        assert not pipe.closed
    sender.join()
    assert images.read(destination, "app:1") == app.contents()


def test_a_file_object_is_left_open(source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1)))
    file = io.BytesIO(ferry(source, tmp_path / "p.zip", ["app:1"]).read_bytes())
    assert push_payload_to_registry(destination, file, secure=False) == ["app:1"]
    assert not file.closed


def test_a_damaged_layer_sets_no_tag(source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1, 5000)))
    payload = ferry(source, tmp_path / "p.zip", ["app:1"])
    with zipfile.ZipFile(payload) as archive:
        entry = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(payload.read_bytes())
    content[entry.header_offset + 2000] ^= 1
    payload.write_bytes(content)
    with pytest.raises(DigestMismatch, match=r"^the payload is damaged: .*; copy the") as caught:
        push_payload_to_registry(destination, payload, secure=False)
    assert str(caught.value).count(entry.filename.rpartition("/")[2]) == 1, "the digest once"
    assert images.read(destination, "app:1") is None


def test_a_payload_cut_short_is_refused_before_anything_is_asked(
    source: str, tmp_path: Path, sent: list[Sent]
) -> None:
    images.put(source, "app:1", image(layer(1, 5000)))
    payload = ferry(source, tmp_path / "p.zip", ["app:1"])
    payload.write_bytes(payload.read_bytes()[:-30])
    sent.clear()
    with pytest.raises(PayloadError, match="cut short"):
        push_payload_to_registry("127.0.0.1:1", payload, secure=False)
    assert not sent
