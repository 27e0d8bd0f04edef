"""Payloads in volumes: the same bytes, made again only where they are missing, pushed unjoined."""

from __future__ import annotations

import io
import logging
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

import images
from conftest import Sent
from docker_charon import (
    DockerCharonError,
    PayloadError,
    RegistryError,
    inspect_payload,
    make_payload,
    push_payload_to_registry,
    serve,
    verify_payload,
)
from docker_charon.payload.volumes.joined_volumes import VolumePath
from docker_charon.payload.volumes.volume_list import read_list
from docker_charon.payload.volumes.volume_names import volume_path
from images import TestImage, image, layer
from proxy import Answer, Proxy, Rule
from volumes import Drive, names_in

WITH_BOTH_REGISTRIES = True

SIZE = 300_000
LAYERS = [layer(1, 200_000), layer(2, 900_000), layer(3, 50_000), layer(4, 400_000)]


@pytest.fixture
def app(source: str) -> TestImage:
    """Put an image into the source whose second layer is in several volumes."""
    return images.put(source, "app:1", image(*LAYERS))


@pytest.fixture
def whole(source: str, app: TestImage, tmp_path: Path) -> bytes:
    """Return the same payload as a single file."""
    make_payload(source, tmp_path / "whole.zip", ["app:1"], secure=False)
    content = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "whole.zip").unlink()
    return content


@pytest.fixture
def base(source: str, app: TestImage, tmp_path: Path) -> Path:
    """Return a payload in volumes."""
    path = tmp_path / "usb" / "p.zip"
    path.parent.mkdir()
    make_payload(source, path, ["app:1"], secure=False, volume_size=SIZE)
    return path


def volumes_of(base: Path) -> list[Path]:
    return sorted(base.parent.glob(f"{base.name}.[0-9][0-9][0-9]"))


def joined(base: Path) -> bytes:
    return b"".join(path.read_bytes() for path in volumes_of(base))


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("size", [SIZE, "300KB", "1M", "1G"])
def test_the_volumes_are_the_single_file_cut(
    source: str, whole: bytes, tmp_path: Path, size: int | str, jobs: int
) -> None:
    base = tmp_path / "p.zip"
    make_payload(source, base, ["app:1"], secure=False, volume_size=size, jobs=jobs)
    assert joined(base) == whole
    assert not list(tmp_path.glob("*.partial*"))
    assert not base.exists()


@pytest.mark.parametrize("name", ["p.zip", "p.zip.001", "p.zip.volumes.json"])
def test_a_payload_is_pushed_without_being_joined(
    destination: str, app: TestImage, base: Path, name: str
) -> None:
    path = base.with_name(name)
    assert push_payload_to_registry(destination, path, secure=False) == ["app:1"]
    assert images.read(destination, "app:1") == app.contents()


def test_volumes_are_inspected_verified_and_served(app: TestImage, base: Path) -> None:
    assert inspect_payload(base).images[0].digest == app.digest
    assert verify_payload(base) == []
    with serve([base]) as server:
        assert images.read(server.address, "app:1") == app.contents()


def test_volumes_tell_what_was_already_transferred(source: str, base: Path, tmp_path: Path) -> None:
    images.put(source, "app:2", image(*LAYERS, layer(9)))
    make_payload(
        source,
        tmp_path / "update.zip",
        ["app:2"],
        secure=False,
        payloads_already_transferred=[base.with_name("p.zip.001")],
    )
    assert (tmp_path / "update.zip").stat().st_size < 10_000


def test_one_volume_is_verified_alone(base: Path) -> None:
    volume_path(base, 1).unlink()
    assert verify_payload(volume_path(base, 3)) == []
    content = bytearray(volume_path(base, 3).read_bytes())
    content[70_000] ^= 1
    volume_path(base, 3).write_bytes(content)
    [finding] = verify_payload(volume_path(base, 3))
    assert finding == f"{base}.003 is damaged; copy it from its source again"


def test_damage_in_a_volume_is_found_with_all_of_them(base: Path) -> None:
    content = bytearray(volume_path(base, 3).read_bytes())
    content[70_000] ^= 1
    volume_path(base, 3).write_bytes(content)
    [finding] = verify_payload(base)
    assert images.digest_of(LAYERS[1]).replace(":", "/") in finding


@pytest.mark.parametrize("damage", ["missing", "cut", "swapped", "of another payload"])
def test_nothing_is_asked_when_a_volume_is_wrong(
    destination: str, base: Path, sent: list[Sent], damage: str
) -> None:
    volume = volume_path(base, 2)
    if damage == "missing":
        volume.unlink()
    elif damage == "cut":
        volume.write_bytes(volume.read_bytes()[:-1])
    elif damage == "swapped":
        shutil.copy(volume_path(base, 3), volume)
    else:
        volume.write_bytes(images.random_bytes(7, SIZE))
    with pytest.raises(PayloadError, match=r"p\.zip\.002 "):
        push_payload_to_registry(destination, base, secure=False)
    assert not sent


@pytest.mark.parametrize("moved_away", [False, True], ids=["kept", "moved away"])
@pytest.mark.parametrize("failing", range(len(LAYERS)))
def test_a_run_that_goes_on_makes_only_what_is_missing(
    source: str, app: TestImage, whole: bytes, tmp_path: Path, failing: int, moved_away: bool
) -> None:
    base, media = tmp_path / "disk" / "p.zip", tmp_path / "media"
    base.parent.mkdir()
    media.mkdir()
    blob = f"/blobs/{images.digest_of(LAYERS[failing])}"
    with (
        Proxy(source, [Rule("GET", blob, Answer(403), times=None)]) as proxy,
        pytest.raises(RegistryError),
    ):
        make_payload(proxy.address, base, ["app:1"], secure=False, volume_size=SIZE, jobs=1)
    finished = volumes_of(base)
    if moved_away:
        finished = [path.rename(media / path.name) for path in finished]
    before = {path: path.stat().st_mtime_ns for path in finished}
    with Proxy(source, []) as proxy:
        make_payload(proxy.address, base, ["app:1"], secure=False, volume_size=SIZE)
        fetched = [
            n
            for n, content in enumerate(LAYERS)
            if proxy.matching("GET", f"/blobs/{images.digest_of(content)}")
        ]
    assert {path: path.stat().st_mtime_ns for path in finished} == before
    assert sum(n < failing for n in fetched) <= moved_away  # the blob of which a part was moved
    if moved_away:
        assert not [path for path in finished if (base.parent / path.name).exists()]
        for path in finished:
            path.rename(base.parent / path.name)
    assert joined(base) == whole
    assert verify_payload(base) == []


def test_a_lost_volume_is_made_again(source: str, whole: bytes, base: Path) -> None:
    volume_path(base, 6).unlink()
    before = {path: path.stat().st_mtime_ns for path in volumes_of(base)}
    with Proxy(source, []) as proxy:
        make_payload(proxy.address, base, ["app:1"], secure=False, volume_size=SIZE)
        assert not proxy.matching("GET", f"/blobs/{images.digest_of(LAYERS[0])}")
        assert proxy.matching("GET", f"/blobs/{images.digest_of(LAYERS[3])}")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert joined(base) == whole


@pytest.mark.parametrize("jobs", [1, 4])
def test_media_in_turn_are_asked_for_one_after_the_other(
    destination: str, app: TestImage, base: Path, tmp_path: Path, jobs: int
) -> None:
    drive = Drive(base, tmp_path / "drive")
    listing = Path(shutil.copy(base.with_name("p.zip.volumes.json"), tmp_path))
    source = VolumePath(listing, (drive.folder,), drive.ask)
    assert push_payload_to_registry(destination, source, secure=False, jobs=jobs) == ["app:1"]
    assert images.read(destination, "app:1") == app.contents()
    numbers = [int(name[-3:]) for name in drive.asked]
    last = len(volumes_of(base))
    # The directory is at the end and the metadata at the start; then come the blobs.
    assert numbers[:2] == [last, 1]
    assert numbers[2:] == sorted(numbers[2:])
    assert len(numbers) <= last + 2


def test_media_in_turn_can_be_verified(base: Path, tmp_path: Path) -> None:
    drive = Drive(base, tmp_path / "drive")
    listing = Path(shutil.copy(base.with_name("p.zip.volumes.json"), tmp_path))
    assert verify_payload(VolumePath(listing, (drive.folder,), drive.ask)) == []


def test_volumes_need_a_path(source: str, app: TestImage) -> None:
    with pytest.raises(PayloadError, match="a file object cannot be written in volumes"):
        make_payload(source, io.BytesIO(), ["app:1"], secure=False, volume_size=SIZE)


@pytest.mark.parametrize("size", [0, -5, "nonsense", "4 apples"])
def test_a_wrong_size_is_refused_before_anything_is_asked(
    source: str, tmp_path: Path, size: Any, sent: list[Sent]
) -> None:
    with pytest.raises(DockerCharonError, match="4G"):
        make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False, volume_size=size)
    with pytest.raises(TypeError):
        make_payload(
            source, tmp_path / "p.zip", ["app:1"], secure=False, volume_size=cast(int, 1.5)
        )
    assert not sent


def test_too_many_volumes_are_refused_before_a_blob_is_fetched(
    source: str, app: TestImage, tmp_path: Path, sent: list[Sent]
) -> None:
    with pytest.raises(PayloadError, match="more than 999 volumes"):
        make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False, volume_size=1000)
    assert not [request for request in sent if "/blobs/" in request.url]
    assert "p.zip" not in "".join(names_in(tmp_path))


def test_a_dry_run_tells_the_number_of_volumes(
    source: str, whole: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    make_payload(
        source, tmp_path / "p.zip", ["app:1"], secure=False, volume_size=SIZE, dry_run=True
    )
    assert f"the payload would have {-(-len(whole) // SIZE)} volumes" in caplog.messages


def test_each_finished_volume_is_told(
    source: str, app: TestImage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False, volume_size=SIZE)
    told = [message for message in caplog.messages if "can be moved" in message]
    assert told == [
        f"{path} is complete and can be moved" for path in volumes_of(tmp_path / "p.zip")
    ]


def test_the_list_is_of_the_whole(base: Path, whole: bytes) -> None:
    listed = read_list(base.with_name("p.zip.volumes.json"))
    assert listed.sha256 == images.digest_of(whole).partition(":")[2]
    assert listed.size == len(whole)
