"""Payloads as they are served: stacked, incomplete, old, compressed, out of memory."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

import images
from distribution import Api
from docker_charon import make_payload, serve
from images import image, index, layer

ONE = image(layer(1), layer(2))
TWO = image(layer(1), layer(3))
MULTI = index(image(layer(1), media_type=images.OCI), image(layer(4), media_type=images.OCI))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """Make a payload of version 1, and one of version 2 that builds on it."""
    full, delta = tmp_path / "full.zip", tmp_path / "delta.zip"
    with serve(storage=tmp_path / "source") as server:
        images.put(server.address, "app:1", ONE)
        images.put(server.address, "app:moving", ONE)
        make_payload(server.address, full, ["app:1", "app:moving"], secure=False)
        images.put(server.address, "app:2", TWO)
        images.put(server.address, "app:moving", TWO)
        images.put(server.address, "multi", MULTI)
        wanted = ["app:2", "app:moving", "multi", "app:1"]
        make_payload(server.address, delta, wanted, ["app:1"], secure=False)
    return full, delta


def test_a_full_payload_and_its_delta_make_the_whole(
    made: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(made) as server:
        assert images.read(server.address, "app:1") == ONE.contents()
        assert images.read(server.address, "app:2") == TWO.contents()
        assert images.read(server.address, "multi:latest") == MULTI.contents()
        tags = Api(server.address)("GET", "app/tags/list").json()["tags"]
        assert tags == ["1", "2", "moving"]
    assert caplog.text == ""


@pytest.mark.parametrize(("order", "expected"), [((0, 1), TWO), ((1, 0), ONE)])
def test_the_tags_of_the_later_payload_are_served(
    made: tuple[Path, Path], order: tuple[int, int], expected: images.TestImage
) -> None:
    with serve([made[n] for n in order]) as server:
        assert images.read(server.address, "app:moving") == expected.contents()
        # What the other one has is there by its digest.
        for each in (ONE, TWO):
            assert images.read(server.address, f"app:{each.digest}") == each.contents()


def test_the_last_payload_wins_whatever_the_tag_is_called(tmp_path: Path) -> None:
    names = ["app", "app:latest", "app"]
    payloads = [tmp_path / f"{n}.zip" for n in range(3)]
    with serve(storage=tmp_path / "source") as server:
        for n, name in enumerate(names):
            latest = images.put(server.address, "app:latest", image(layer(n)))
            make_payload(server.address, payloads[n], [name], secure=False)
    with serve(payloads) as server:
        assert images.read(server.address, "app:latest") == latest.contents()


def test_a_delta_alone_is_served_as_far_as_it_goes_and_says_what_it_lacks(
    made: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(made[1:]) as server:
        found = images.read(server.address, "app:2")
        assert found is not None
        lacking = TWO.contents().keys() - found.keys()
        assert images.digest_of(layer(1)) in lacking
        for digest in lacking:
            assert Api(server.address)("GET", f"app/blobs/{digest}").status_code == 404
    said = [record.message for record in caplog.records]
    assert {line.partition(" is incomplete")[0] for line in said} == {
        *("app:1", "app:2", "app:moving", "multi")
    }
    assert all("also serve the payload that this one builds on" in line for line in said)


def test_what_a_payload_only_names_does_not_hide_what_another_one_carries(tmp_path: Path) -> None:
    with serve(storage=tmp_path / "source") as server:
        images.put(server.address, "app:1", ONE)
        make_payload(server.address, tmp_path / "1.zip", ["app:1"], secure=False)
        images.put(server.address, "app:1", TWO)
        images.put(server.address, "new:1", MULTI)
        wanted = ["new:1", "app:1"]
        make_payload(server.address, tmp_path / "2.zip", wanted, ["app:1"], secure=False)
    with serve([tmp_path / "1.zip", tmp_path / "2.zip"]) as server:
        assert images.read(server.address, "app:1") == ONE.contents()


def test_a_payload_that_was_compressed_again_is_served_with_its_ranges(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(made[0]) as old, zipfile.ZipFile(packed, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info), zipfile.ZIP_DEFLATED)
    with serve([packed]) as server:
        assert images.read(server.address, "app:1") == ONE.contents()
        path = f"app/blobs/{images.digest_of(layer(2))}"
        answer = Api(server.address)("GET", path, Range="bytes=100-199")
        assert (answer.status_code, answer.content) == (206, layer(2)[100:200])


def test_a_payload_in_memory_is_served(made: tuple[Path, Path]) -> None:
    with serve([io.BytesIO(made[0].read_bytes())]) as server:
        assert images.read(server.address, "app:1") == ONE.contents()
        path = f"app/blobs/{images.digest_of(layer(2))}"
        assert Api(server.address)("GET", path, Range="bytes=-9").content == layer(2)[-9:]


def old_payload(path: Path, descriptor: object, blobs: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("payload_descriptor.json", json.dumps(descriptor))
        for name, content in blobs.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("release", ["0.1", "0.4"])
def test_payloads_of_older_releases_are_served(
    tmp_path: Path, release: str, caplog: pytest.LogCaptureFixture
) -> None:
    manifests = {"app:1": "app_1", "base:1": None}
    blobs = {f"blobs/{images.digest_of(content)}": content for content in ONE.blobs}
    places = {path.removeprefix("blobs/"): {"zip_path": path} for path in blobs}
    descriptor = {"manifests_paths": manifests, "blobs_paths": places}
    payload = old_payload(
        tmp_path / "old.zip",
        manifests if release == "0.1" else descriptor,
        {"app_1": ONE.manifest, **blobs},
    )
    with serve([payload]) as server:
        assert images.read(server.address, "app:1") == ONE.contents()
        assert Api(server.address)("GET", "_catalog").json() == {"repositories": ["app"]}
    assert "base:1 is in none of the payloads" in caplog.text


def test_layers_that_are_to_be_had_elsewhere_are_not_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = images.descriptor("application/vnd.example", b"{}")
    far = {**images.descriptor("application/vnd.far", b"far"), "urls": ["https://example.com/"]}
    value = {"schemaVersion": 2, "mediaType": images.OCI, "config": config, "layers": [far]}
    digest = images.digest_of(b"{}")
    payload = old_payload(
        tmp_path / "old.zip",
        {
            "manifests_paths": {"app:1": "app_1"},
            "blobs_paths": {
                digest: {"zip_path": "config"},
                far["digest"]: {"repository": "elsewhere"},
            },
        },
        {"app_1": json.dumps(value).encode(), "config": b"{}"},
    )
    with serve([payload]) as server:
        assert images.read_blob(server.address, "app", digest) == b"{}"
    assert caplog.text == ""


def test_a_payload_that_is_cut_while_it_is_served_ends_the_answer(made: tuple[Path, Path]) -> None:
    with serve(made[:1]) as server:
        api = Api(server.address)
        content = made[0].read_bytes()
        with made[0].open("r+b") as file:
            file.truncate(content.index(layer(2)) + 100)
        with pytest.raises(OSError, match=r"IncompleteRead"):
            api("GET", f"app/blobs/{images.digest_of(layer(2))}")
