"""Making payloads from a real registry."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

import images
from command_line import charon
from conftest import Sent
from docker_charon import (
    BlobNotFound,
    DigestMismatch,
    DockerCharonError,
    InvalidReference,
    ManifestNotFound,
    PayloadError,
    RegistryError,
    make_payload,
)
from images import TestImage, artifact, image, index, layer
from payloads import carried, described

WITH_BOTH_REGISTRIES = True


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_payload_carries_every_part_of_an_image_byte_for_byte(
    source: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1), layer(2)))
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    assert carried(tmp_path / "p.zip") == app.contents()


def test_a_delta_carries_one_config_one_manifest_and_the_one_new_layer(
    source: str, tmp_path: Path
) -> None:
    base = images.put(source, "base:1", image(layer(1), layer(2)))
    augmented = images.put(source, "other:augmented", image(layer(1), layer(2), layer(3)))
    make_payload(source, tmp_path / "p.zip", ["other:augmented"], ["base:1"], secure=False)
    new = {
        digest: content
        for digest, content in augmented.contents().items()
        if digest not in base.contents()
    }
    assert len(new) == 3
    assert carried(tmp_path / "p.zip") == new
    places = described(tmp_path / "p.zip")["blobs_paths"]
    shared = base.contents().keys() & augmented.contents().keys()
    assert {d for d, place in places.items() if place == {"repository": "base"}} == shared


def test_every_repository_that_has_a_blob_is_named(source: str, tmp_path: Path) -> None:
    for name in ("base:1", "second:1", "app:2"):
        images.put(source, name, image(layer(1), *([layer(2)] if name == "app:2" else [])))
    make_payload(source, tmp_path / "p.zip", ["app:2"], ["base:1", "second:1"], secure=False)
    place = described(tmp_path / "p.zip")["blobs_paths"][images.digest_of(layer(1))]
    assert place == {"repository": "base", "repositories": ["base", "second"]}


def test_an_image_in_both_lists_is_declared_and_only_its_manifest_travels(
    source: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    new = images.put(source, "new:1", image(layer(2)))
    make_payload(source, tmp_path / "p.zip", ["app:1", "new:1"], ["app:1"], secure=False)
    assert carried(tmp_path / "p.zip") == new.contents() | {app.digest: app.manifest}
    assert described(tmp_path / "p.zip")["manifests_paths"] == {
        "app:1": None,
        "new:1": f"blobs/{new.digest.replace(':', '/')}",
    }


@pytest.mark.parametrize(
    "wanted",
    [
        image(layer(1), layer(2), media_type=images.OCI),
        image(layer(1), b"", layer(1)),
        artifact(layer(1)),
        artifact(b"{}"),
        index(image(layer(1)), image(layer(2)), media_type=images.DOCKER_LIST),
        index(
            image(layer(1), media_type=images.OCI), index(image(layer(2), media_type=images.OCI))
        ),
        index(),
    ],
    ids=[
        "oci",
        "a layer twice and an empty one",
        "artifact",
        "config as layer",
        "docker list",
        "nested",
        "no platform",
    ],
)
def test_every_kind_of_image_is_carried_whole(
    source: str, tmp_path: Path, wanted: TestImage
) -> None:
    images.put(source, "thing:1", wanted)
    make_payload(source, tmp_path / "p.zip", ["thing:1"], secure=False)
    assert carried(tmp_path / "p.zip") == wanted.contents()


def test_names_come_in_every_form(source: str, tmp_path: Path) -> None:
    app = images.put(source, "team/app:1", image(layer(1)))
    images.put(source, "team_app:1", image(layer(2)))
    images.put(source, "plain:latest", image(layer(3)))
    images.put(source, "localhost/app:1", image(layer(4)))
    names = [
        "team_app:1",
        "team/app:1",
        f"team/app@{app.digest}",
        f"team/app:1@{app.digest}",
        "plain",
        "localhost/app:1",
    ]
    make_payload(source, tmp_path / "p.zip", names, secure=False)
    assert list(described(tmp_path / "p.zip")["manifests_paths"]) == names
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        roots = json.loads(archive.read("index.json"))["manifests"]
    assert [root["annotations"]["org.opencontainers.image.ref.name"] for root in roots] == names
    assert roots[0]["digest"] != roots[1]["digest"]


def test_the_digest_in_a_name_decides(source: str, tmp_path: Path) -> None:
    old = images.put(source, "app:1", image(layer(1)))
    images.put(source, "app:1", image(layer(2)))
    make_payload(source, tmp_path / "p.zip", [f"app:1@{old.digest}"], secure=False)
    assert carried(tmp_path / "p.zip") == old.contents()


def test_the_same_images_give_the_same_bytes(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", index(image(layer(1)), image(layer(2))))
    images.put(source, "base:1", image(layer(1)))
    for name in ("a.zip", "b.zip"):
        make_payload(source, tmp_path / name, ["app:1", "base:1"], secure=False)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_payload_costs_little_more_than_what_travels(source: str, tmp_path: Path) -> None:
    app = images.put(source, "app:1", image(*(layer(n) for n in range(6))))
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    travels = sum(map(len, app.contents().values()))
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        entries = len(archive.namelist())
    assert (tmp_path / "p.zip").stat().st_size <= travels + 400 * entries


def test_a_file_object_is_written_where_it_stands_and_left_open(
    source: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1)))
    file = io.BytesIO(b"before")
    file.seek(0, io.SEEK_END)
    make_payload(source, file, ["app:1"], secure=False)
    assert file.getvalue().startswith(b"beforePK")
    assert carried(file) == app.contents()


def test_a_pipe_gets_the_same_content_in_order(source: str, tmp_path: Path) -> None:
    app = images.put(source, "app:1", image(layer(1), b"", layer(2, 300_000)))
    reading, writing = os.pipe()
    received = io.BytesIO()

    def receive() -> None:
        with os.fdopen(reading, "rb") as pipe:
            received.write(pipe.read())

    reader = threading.Thread(target=receive)
    reader.start()
    with os.fdopen(writing, "wb") as pipe:
        make_payload(source, pipe, ["app:1"], secure=False)
        assert not pipe.closed
    reader.join()
    assert carried(received) == app.contents()


def test_a_manifest_and_a_blob_are_fetched_once(
    source: str, tmp_path: Path, sent: list[Sent]
) -> None:
    shared = image(layer(1))
    images.put(source, "app:1", index(shared, image(layer(1), layer(2))))
    images.put(source, "app:2", index(shared, image(layer(3))))
    sent.clear()
    make_payload(source, tmp_path / "p.zip", ["app:1", "app:2"], ["app:1"], secure=False)
    urls = [request.url for request in sent]
    assert len(urls) == len(set(urls))
    assert {request.method for request in sent} == {"GET"}


def test_a_missing_image_is_named_and_nothing_is_left(source: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestNotFound, match="has no nowhere:1"):
        make_payload(source, tmp_path / "p.zip", ["nowhere:1"], secure=False)
    assert names_in(tmp_path) == ["source"]


def test_a_failure_leaves_no_litter_and_an_older_payload_as_it_was(
    only_docker_registry: None, source: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", image(layer(1), layer(2)))
    images.delete_blob(source, "app", images.digest_of(app.blobs[-1]))
    payload = tmp_path / "p.zip"
    payload.write_bytes(b"older")
    with pytest.raises(BlobNotFound, match=images.digest_of(app.blobs[-1])):
        make_payload(source, payload, ["app:1"], secure=False)
    assert payload.read_bytes() == b"older"
    assert names_in(tmp_path) == ["p.zip", "source"]


def test_a_registry_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"nothing listens at 127\.0\.0\.1:1"):
        make_payload("127.0.0.1:1", tmp_path / "p.zip", ["app:1"], secure=False)
    assert not names_in(tmp_path)


@pytest.mark.parametrize("names", [["Upper:1"], ["a b"], [""], ["app:1", "reg:5000/app:1"]])
def test_a_bad_name_is_refused_before_anything_is_asked(
    names: list[str], tmp_path: Path, sent: list[Sent]
) -> None:
    with pytest.raises(InvalidReference):
        make_payload("127.0.0.1:1", tmp_path / "p.zip", names, secure=False)
    assert not sent


def test_no_images_and_one_string_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DockerCharonError, match="no image"):
        make_payload("127.0.0.1:1", tmp_path / "p.zip", [])
    with pytest.raises(TypeError, match="docker_images_to_transfer must be a list"):
        make_payload("127.0.0.1:1", tmp_path / "p.zip", "app:1")


@pytest.mark.parametrize("registry", [5000, b"127.0.0.1:1", ["127.0.0.1:1"]])
def test_a_registry_of_another_type_is_a_type_error(registry: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a registry is a str"):
        make_payload(registry, tmp_path / "p.zip", ["app:1"])


def test_two_images_for_one_tag_are_refused(source: str, tmp_path: Path) -> None:
    old = images.put(source, "app:1", image(layer(1)))
    images.put(source, "app:1", image(layer(2)))
    with pytest.raises(InvalidReference, match="different images for the same tag"):
        make_payload(source, tmp_path / "p.zip", ["app:1", f"app:1@{old.digest}"], secure=False)
    assert names_in(tmp_path) == ["source"]


def test_an_index_that_gives_a_wrong_size_is_refused_though_another_gives_the_right_one(
    only_docker_registry: None, source: str
) -> None:
    child = image(layer(1))
    right = images.put(source, "app:1", index(child))
    document = json.loads(right.manifest)
    document["manifests"][0]["size"] += 1
    wrong = json.dumps(document).encode()
    images.put(source, "app:2", TestImage(wrong, images.OCI_INDEX, [], [child]))
    for names in (["app:2"], ["app:1", "app:2"], ["app:2", "app:1"]):
        with pytest.raises(DigestMismatch, match="where its index says"):
            make_payload(source, io.BytesIO(), names, secure=False)


def test_a_file_that_compresses_is_written_in_order(source: str, tmp_path: Path) -> None:
    app = images.put(source, "app:1", image(layer(1), layer(2)))
    with gzip.open(tmp_path / "p.zip.gz", "wb") as file:
        make_payload(source, file, ["app:1"], secure=False)
    with gzip.open(tmp_path / "p.zip.gz") as file:
        assert carried(io.BytesIO(file.read())) == app.contents()


def test_a_payload_keeps_the_mode_of_the_one_that_it_replaces(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1)))
    (tmp_path / "p.zip").touch(mode=0o600)
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    assert (tmp_path / "p.zip").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("way", ["path", "another path", "symbolic link", "hard link", "file"])
def test_a_payload_is_not_written_over_one_that_it_builds_on(
    source: str, tmp_path: Path, way: str
) -> None:
    images.put(source, "app:1", image(layer(1)))
    images.put(source, "app:2", image(layer(1), layer(2)))
    base = tmp_path / "base.zip"
    make_payload(source, base, ["app:1"], secure=False)
    before = base.read_bytes()
    (tmp_path / "folder").mkdir()
    target = {
        "path": base,
        "another path": tmp_path / "folder" / ".." / "base.zip",
        "symbolic link": tmp_path / "symbolic",
        "hard link": tmp_path / "hard",
        "file": base,
    }[way]
    (tmp_path / "symbolic").symlink_to(base)
    (tmp_path / "hard").hardlink_to(base)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(base.open("r+b")) if way == "file" else target
        with pytest.raises(PayloadError, match=r"base\.zip cannot be both the new payload"):
            make_payload(
                source, file, ["app:2"], secure=False, payloads_already_transferred=iter([base])
            )
    assert base.read_bytes() == before


@pytest.mark.parametrize("earlier", ["p.zip", "p.zip.001", "p.zip.003", "p.zip.volumes.json"])
def test_volumes_are_not_written_over_those_that_they_build_on(
    source: str, tmp_path: Path, earlier: str
) -> None:
    images.put(source, "app:1", image(layer(1, 200_000)))
    target, size = tmp_path / "p.zip", 70_000
    make_payload(source, target, ["app:1"], secure=False, volume_size=size)
    with pytest.raises(PayloadError, match="cannot be both"):
        make_payload(
            source,
            target,
            ["app:1"],
            secure=False,
            volume_size=size,
            payloads_already_transferred=[tmp_path / earlier],
        )


@pytest.mark.parametrize("volume_size", [None, 100_000])
def test_a_complete_payload_has_no_leftovers_of_a_run_with_layer_deltas(
    source: str, tmp_path: Path, volume_size: int | None
) -> None:
    images.put(source, "app:1", image(layer(1)))
    leftover = tmp_path / "p.zip.partial.deltas"
    leftover.mkdir()
    (leftover / "lock").touch()
    (tmp_path / "link.zip").symlink_to("p.zip")
    target = tmp_path / ("link.zip" if volume_size is None else "p.zip")
    make_payload(source, target, ["app:1"], secure=False, volume_size=volume_size)
    assert not leftover.exists()


def test_a_payload_is_not_written_over_a_key_or_a_certificate(source: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a private key")
    with pytest.raises(PayloadError, match="key cannot be both the new payload and the key"):
        make_payload(source, key, ["app:1"], secure=False, sign=key)
    assert key.read_text() == "a private key"


def test_nothing_is_written_over_the_list_of_images(source: str, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("app:1\n")
    for options in (["-f", names], ["-f", tmp_path / "p.zip", "--report", names]):
        done = charon("make-payload", "-r", source, "-i", *options, "--images-from", names)
        assert done.status == 2
        assert "which has the list of images" in done.stderr
        assert names.read_text() == "app:1\n"
