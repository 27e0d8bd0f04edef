"""Verifying payloads: all that is wrong is found, in one go, and nothing else."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import images
from docker_charon import PayloadError, inspect_payload, make_payload, verify_payload
from images import image, layer

WITH_BOTH_REGISTRIES = True


@pytest.fixture
def payload(source: str, tmp_path: Path) -> Path:
    """Return a delta with two images, one of them an index, and a skipped one."""
    images.put(source, "base:1", image(layer(1), layer(2)))
    images.put(source, "app:2", image(layer(1), layer(2), layer(3, 400_000)))
    images.put(source, "multi:1", images.index(image(layer(4)), image(layer(5), b"")))
    target = tmp_path / "p.zip"
    wanted = ["app:2", "base:1", "multi:1"]
    make_payload(source, target, wanted, ["base:1"], secure=False)
    return target


def entries(payload: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(payload) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return file


def blob_path(content: bytes) -> str:
    return "blobs/" + images.digest_of(content).replace(":", "/")


def flip(payload: Path, path: str) -> None:
    with zipfile.ZipFile(payload) as archive:
        info = archive.getinfo(path)
    content = bytearray(payload.read_bytes())
    content[info.header_offset + 200] ^= 1
    payload.write_bytes(content)


def test_a_whole_payload_has_no_findings(payload: Path) -> None:
    assert verify_payload(payload) == []
    with payload.open("rb") as file:
        assert verify_payload(file, jobs=1) == []
        assert not file.closed


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_payload_that_was_zipped_again_is_whole(payload: Path, method: int) -> None:
    assert verify_payload(zipped(entries(payload), method)) == []


def test_every_damage_is_told_not_only_the_first(payload: Path) -> None:
    damaged = [blob_path(layer(3, 400_000)), blob_path(layer(4)), blob_path(layer(5))]
    for path in damaged:
        flip(payload, path)
    findings = verify_payload(payload)
    assert len(findings) == 3
    assert all(any(path in finding for finding in findings) for path in damaged)


def test_everything_that_is_missing_is_told_with_its_image(payload: Path) -> None:
    content = entries(payload)
    for missing in (layer(3, 400_000), layer(5)):
        del content[blob_path(missing)]
    findings = verify_payload(zipped(content))
    assert len(findings) == 2
    assert any("of app:2" in finding for finding in findings)
    assert any("of multi:1" in finding for finding in findings)


def test_a_missing_manifest_of_one_image_does_not_hide_another(payload: Path) -> None:
    content = entries(payload)
    document = json.loads(content["payload_descriptor.json"])
    del content[document["manifests_paths"]["multi:1"]]
    del content[blob_path(layer(3, 400_000))]
    findings = verify_payload(zipped(content))
    assert {"multi:1" in findings[0], "app:2" in findings[1]} == {True}


def lie_about_places(content: dict[str, bytes]) -> None:
    document = json.loads(content["payload_descriptor.json"])
    del document["blobs_paths"][images.digest_of(layer(1))]
    content["payload_descriptor.json"] = json.dumps(document).encode()


def swap_content(content: dict[str, bytes]) -> None:
    content[blob_path(layer(4))] = layer(5)


def cut_index(content: dict[str, bytes]) -> None:
    content["index.json"] = content["index.json"][:-1]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lie_about_places, images.digest_of(layer(1))),
        (swap_content, blob_path(layer(4))),
        (cut_index, "index.json"),
        (lambda content: content.pop("payload_descriptor.json"), "payload_descriptor.json"),
        (lambda content: content.update({"../../etc/passwd": b"x"}), "leads elsewhere"),
        (lambda content: content.update({"/etc/passwd": b"x"}), "leads elsewhere"),
    ],
)
def test_what_does_not_fit_is_told(
    payload: Path, change: Callable[[dict[str, bytes]], object], word: str
) -> None:
    content = entries(payload)
    change(content)
    assert any(word in finding for finding in verify_payload(zipped(content)))


def test_what_is_no_zip_cannot_be_verified(payload: Path) -> None:
    payload.write_bytes(payload.read_bytes()[:-40])
    with pytest.raises(PayloadError, match="cut short"):
        verify_payload(payload)


@pytest.mark.parametrize("offset", [6, 14, 18, 30], ids=["flags", "CRC", "size", "path"])
def test_a_local_header_that_disagrees_with_the_directory_is_told(
    payload: Path, offset: int
) -> None:
    content = bytearray(payload.read_bytes())
    with zipfile.ZipFile(payload) as archive:
        last = archive.infolist()[-1]
    content[last.header_offset + offset] ^= 1
    payload.write_bytes(content)
    [finding] = verify_payload(payload)
    assert last.filename in finding
    assert "its local header is not what the directory says" in finding


def test_an_entry_inside_of_another_is_told(payload: Path) -> None:
    """As zip bombs have them: one stretch of bytes that many entries claim."""
    content = bytearray(payload.read_bytes())
    with zipfile.ZipFile(payload) as archive:
        first, second = sorted(archive.infolist(), key=lambda i: -i.file_size)[:2]
    record = content.rindex(second.filename.encode())
    content[record - 4 : record] = (first.header_offset + 100).to_bytes(4, "little")
    payload.write_bytes(content)
    assert any("inside of another entry" in finding for finding in verify_payload(payload))


def test_an_inspection_adds_up(payload: Path) -> None:
    summary = inspect_payload(payload)
    assert [one.name for one in summary.images] == ["app:2", "base:1", "multi:1"]
    app, base, multi = summary.images
    whole = image(layer(1), layer(2), layer(3, 400_000)).contents()
    assert app.size == sum(map(len, whole.values()))
    assert app.size - app.carried == len(layer(1)) + len(layer(2))
    assert (app.lacking, app.expected, app.platforms) == (2, ("base",), ("linux/amd64",))
    assert (base.skipped, base.expected) == (True, ("base",))
    assert multi.platforms == ("linux/amd64", "linux/arm64")
    assert multi.carried == multi.size
    assert summary.size == summary.carried + summary.saved
    content = entries(payload)
    blobs = sum(len(data) for path, data in content.items() if path.startswith("blobs/"))
    assert summary.carried == blobs
    assert json.loads(summary.as_json())["images"][0]["digest"] == app.digest


def test_an_inspection_reads_metadata_only(payload: Path) -> None:
    flip(payload, blob_path(layer(3, 400_000)))
    assert len(inspect_payload(payload).images) == 3
