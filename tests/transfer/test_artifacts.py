"""Artifacts and non-distributable layers: every kind of image, byte for byte."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import images
import registries
from conftest import Sent, require_registry
from docker_charon import (
    BlobNotFound,
    PayloadError,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from images import DOCKER, OCI, TestImage, artifact, descriptor, image, layer
from payloads import carried, changed

WITH_BOTH_REGISTRIES = True


def of_types(config: tuple[str, bytes], *layers: tuple[str, bytes], **more: Any) -> TestImage:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(*config),
        "layers": [descriptor(kind, content) for kind, content in layers],
        **more,
    }
    contents = [config[1], *(content for _, content in layers)]
    return TestImage(json.dumps(manifest, indent=2).encode(), OCI, contents)


EMPTY = (images.EMPTY, b"{}")
IMAGE_CONFIG = ("application/vnd.oci.image.config.v1+json", b'{"os":"linux","architecture":"arm"}')
TAR = "application/vnd.oci.image.layer.v1.tar"
ARTIFACTS = {
    "helm": of_types(
        ("application/vnd.cncf.helm.config.v1+json", b'{"name":"app","version":"1.0.0"}'),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart"),
        ("application/vnd.cncf.helm.chart.provenance.v1.prov", b"-----BEGIN PGP SIGNED MESSAGE"),
        annotations={"org.opencontainers.image.title": "app"},
    ),
    "wasm": of_types(
        ("application/vnd.wasm.config.v0+json", b'{"os":"wasip1","architecture":"wasm"}'),
        ("application/wasm", b"\0asm\1\0\0\0"),
    ),
    "model": of_types(
        ("application/vnd.cncf.model.config.v1+json", b"{}"),
        ("application/vnd.cncf.model.weight.v1.raw", images.random_bytes(1, 300_000)),
    ),
    "sbom": artifact(b'{"spdxVersion":"SPDX-2.3"}'),
    "without-layers": of_types(EMPTY, artifactType="application/vnd.example+json"),
    "zstd": of_types(IMAGE_CONFIG, (f"{TAR}+zstd", b"\x28\xb5\x2f\xfd")),
    "uncompressed": of_types(IMAGE_CONFIG, (TAR, bytes(10_240))),
    "estargz": of_types(
        IMAGE_CONFIG,
        (f"{TAR}+gzip", layer(7)),
        annotations={"containerd.io/snapshot/stargz/toc.digest": images.digest_of(b"toc")},
    ),
    "encrypted": of_types(IMAGE_CONFIG, (f"{TAR}+gzip+encrypted", b"secret")),
    "with-data": artifact(
        b"small", annotations={"data": base64.b64encode(b"inline").decode()}, unknown=[{"a": 1.50}]
    ),
}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_an_artifact_arrives_byte_for_byte(source: str, destination: str, name: str) -> None:
    images.put(source, f"{name}:1", ARTIFACTS[name])
    file = io.BytesIO()
    make_payload(source, file, [f"{name}:1"], secure=False)
    assert carried(file) == ARTIFACTS[name].contents()
    assert verify_payload(file) == []
    assert push_payload_to_registry(destination, file, True, secure=False) == [f"{name}:1"]
    assert images.read(destination, f"{name}:1") == ARTIFACTS[name].contents()


# --- Non-distributable layers ---------------------------------------------------------------------

URL = "https://mcr.example/windows/base.tar.gz"
FOREIGN = layer(50)


def windows(*layers: bytes, media_type: str = DOCKER) -> TestImage:
    """Build an image whose first layer is downloaded from another address."""
    document = json.loads(image(FOREIGN, *layers, media_type=media_type).manifest)
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    document["layers"][0]["urls"] = [URL]
    whole = image(FOREIGN, *layers, media_type=media_type)
    return TestImage(json.dumps(document).encode(), media_type, [whole.blobs[0], *layers])


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Run two registries that accept layers with ``urls``, which the default settings refuse."""
    require_registry()
    allowed = {"manifests": {"urls": {"allow": ["^https://mcr.example/"]}}}
    with (
        registries.docker_registry(tmp_path / "from", validation=allowed) as source,
        registries.docker_registry(tmp_path / "to", validation=allowed) as destination,
    ):
        yield source, destination


def test_a_foreign_layer_that_the_registry_lacks_is_left_out_and_said(
    sides: tuple[str, str], sent: list[Sent], caplog: pytest.LogCaptureFixture
) -> None:
    source, destination = sides
    app = images.put(source, "win:1", windows(layer(51)))
    file = io.BytesIO()
    make_payload(source, file, ["win:1"], secure=False)
    missing = images.digest_of(FOREIGN)
    assert carried(file) == app.contents()
    assert f"win:1: the layer {missing} is left out" in caplog.text
    assert URL in caplog.text
    assert verify_payload(file) == []
    assert inspect_payload(file).foreign == (missing,)
    assert push_payload_to_registry(destination, file, True, secure=False) == ["win:1"]
    assert images.read(destination, "win:1") == app.contents()
    assert not [request for request in sent if "mcr.example" in request.url]


def test_a_foreign_layer_that_the_registry_has_is_carried(sides: tuple[str, str]) -> None:
    source, destination = sides
    images.put_blob(source, "win", FOREIGN)
    app = images.put(source, "win:1", windows(layer(51)))
    file = io.BytesIO()
    make_payload(source, file, ["win:1"], secure=False)
    whole = {**app.contents(), images.digest_of(FOREIGN): FOREIGN}
    assert carried(file) == whole
    push_payload_to_registry(destination, file, True, secure=False)
    assert images.read(destination, "win:1") == whole


@pytest.mark.parametrize("names", [["win:1", "all:1"], ["all:1", "win:1"]])
def test_a_foreign_layer_is_taken_from_the_repository_that_has_it(
    sides: tuple[str, str], tmp_path: Path, names: list[str]
) -> None:
    source, destination = sides
    images.put(source, "win:1", windows(layer(51)))
    whole = images.put(source, "all:1", image(FOREIGN, layer(52)))
    file = io.BytesIO()
    make_payload(source, file, names, secure=False)
    assert carried(file)[images.digest_of(FOREIGN)] == FOREIGN
    assert verify_payload(file) == []
    assert push_payload_to_registry(destination, file, True, secure=False) == names
    assert images.read(destination, "all:1") == whole.contents()
    assert sorted(make_inventory(source, tmp_path / "seen.zip", secure=False)) == sorted(names)
    make_payload(
        source, file, names, secure=False, payloads_already_transferred=[tmp_path / "seen.zip"]
    )
    assert images.digest_of(FOREIGN) not in carried(file)


def test_a_layer_that_is_foreign_to_one_image_is_missed_by_another(sides: tuple[str, str]) -> None:
    source, _ = sides
    images.put(source, "win:1", windows(layer(51)))
    images.put(source, "win:2", image(FOREIGN, layer(52)))
    images.delete_blob(source, "win", images.digest_of(FOREIGN))
    with pytest.raises(BlobNotFound, match=images.digest_of(FOREIGN)):
        make_payload(source, io.BytesIO(), ["win:1", "win:2"], secure=False)


def test_deltas_and_inventories_do_not_take_it_for_there(
    sides: tuple[str, str], tmp_path: Path
) -> None:
    source, destination = sides
    images.put(source, "win:1", windows(layer(51)))
    update = images.put(source, "win:2", windows(layer(51), layer(52)))
    first, second, seen = (tmp_path / name for name in ("1.zip", "2.zip", "seen.zip"))
    make_payload(source, first, ["win:1"], secure=False)
    push_payload_to_registry(destination, first, True, secure=False)
    assert make_inventory(destination, seen, secure=False) == ["win:1"]
    for already, payloads in ((["win:1"], []), ([], [first]), ([], [seen])):
        make_payload(
            source, second, ["win:2"], already, secure=False, payloads_already_transferred=payloads
        )
        assert len(carried(second)) == 3
        assert inspect_payload(second).foreign == (images.digest_of(FOREIGN),)
    push_payload_to_registry(destination, second, True, secure=False)
    assert images.read(destination, "win:2") == update.contents()
    # A payload that skips the image does not ask for the layer either.
    make_payload(source, second, ["win:1"], ["win:1"], secure=False)
    assert push_payload_to_registry(destination, second, True, secure=False) == ["win:1"]


def test_a_payload_cannot_call_any_layer_foreign(source: str, destination: str) -> None:
    images.put(source, "app:1", image(layer(1)))
    file = io.BytesIO()
    make_payload(source, file, ["app:1"], secure=False)
    digest = images.digest_of(layer(1))

    def lie(document: dict[str, Any]) -> None:
        del document["blobs_paths"][digest]
        document["foreign_blobs"] = [digest]

    with pytest.raises(PayloadError, match="incomplete"):
        push_payload_to_registry(destination, changed(file, lie), secure=False)

    def lie_of_the_destination(document: dict[str, Any]) -> None:
        document["blobs_paths"][digest] = {"repository": "base"}
        document["foreign_blobs"] = [digest]

    with pytest.raises(BlobNotFound):
        push_payload_to_registry(
            destination, changed(file, lie_of_the_destination), True, secure=False
        )
