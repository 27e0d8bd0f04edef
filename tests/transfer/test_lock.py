"""Locks: what they say, and that they make the same payload again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import images
from docker_charon import (
    DockerCharonError,
    PayloadError,
    make_payload,
    push_payload_to_registry,
    serve,
)
from docker_charon.cli.image_lists import names_in
from docker_charon.oci.digest import Digest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.paths import DESCRIPTOR_PATH
from docker_charon.transfer.lock import Origin, lock_content
from images import image, index_of, layer
from payloads import unzipped

DIGEST = Digest(f"sha256:{'a' * 64}")


@pytest.mark.parametrize(
    ("origin", "name", "full_name"),
    [
        (Origin("quay.io", True), "x/y:1", "quay.io/x/y:1"),
        (Origin("Quay.IO", True), "x/y:1", "quay.io/x/y:1"),
        (Origin("localhost:5000", False), "app:1", "localhost:5000/app:1"),
        (Origin("localhost", False), "app:1", "localhost/app:1"),
        (Origin("[::1]:5000", False), "app:1", "[::1]:5000/app:1"),
        # By Docker's rule, a name without a dot or a port is no registry.
        (Origin("registry", True), "app:1", "registry:443/app:1"),
        (Origin("registry", False), "app:1", "registry:80/app:1"),
        (Origin("registry-1.docker.io", True), "python:3.13", "docker.io/python:3.13"),
        (Origin("docker.io", True), "library/python:3", "docker.io/library/python:3"),
        (Origin("index.docker.io", True), "team/app:1", "docker.io/team/app:1"),
        (Origin(None, True), "python:3.13", "docker.io/python:3.13"),
        (Origin(None, True), "team/app:1", "docker.io/team/app:1"),
        (Origin(None, True, {"quay.io"}), "team/app:1", "docker.io/team/app:1"),
        (
            Origin("mirror.lan", True),
            "docker.io/library/redis:7",
            "mirror.lan/docker.io/library/redis:7",
        ),
    ],
)
def test_a_lock_has_full_names(origin: Origin, name: str, full_name: str) -> None:
    content = lock_content({Reference.parse(name): DIGEST}, origin, [], include_referrers=False)
    assert content.decode().splitlines()[1:] == [f"{full_name}@{DIGEST}"]


def test_a_lock_has_the_registries_in_front_of_names() -> None:
    reference = Reference.parse_full("localhost:5000/team/app:1")
    origin = Origin(None, True, {"localhost:5000"})
    content = lock_content({reference: DIGEST}, origin, [], include_referrers=False)
    assert content.decode().splitlines()[1:] == [f"localhost:5000/team/app:1@{DIGEST}"]


def test_the_first_line_says_what_was_chosen() -> None:
    def first_line(*platforms: str, include_referrers: bool) -> str:
        chosen = [*map(Platform.parse, platforms)]
        origin = Origin("quay.io", True)
        return lock_content({}, origin, chosen, include_referrers=include_referrers).decode()

    assert first_line(include_referrers=False) == (
        "# docker-charon lock: all platforms; no referrers\n"
    )
    assert first_line("linux/amd64", "linux/arm64", include_referrers=True) == (
        "# docker-charon lock: platforms linux/amd64, linux/arm64; with referrers\n"
    )


@pytest.fixture
def app(source: str) -> str:
    for n in range(3):
        platforms = {
            f"linux/{a}": image(layer(0), layer(n * 2 + m + 1), platform=f"linux/{a}")
            for m, a in enumerate(("amd64", "arm64"))
        }
        images.put(source, f"app:1.{n}", index_of(platforms))
    images.put(source, "team/tool:v1", image(layer(50)))
    return source


def make(registry: str, names: list[str], **options: Any) -> dict[str, Any]:
    target = io.BytesIO()
    make_payload(registry, target, names, secure=False, **options)
    document: dict[str, Any] = json.loads(unzipped(target.getvalue())[DESCRIPTOR_PATH])
    return document


def carried(descriptor: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return what a payload carries, whatever its images are called."""
    return [*descriptor["manifests_paths"].values()], descriptor["blobs_paths"]


@pytest.mark.parametrize("platforms", [None, ["linux/amd64"], ["linux/amd64", "linux/arm64"]])
def test_a_lock_makes_the_same_payload_after_the_tags_have_moved(
    app: str, tmp_path: Path, platforms: list[str] | None
) -> None:
    lock, again = tmp_path / "lock.txt", tmp_path / "again.txt"
    wanted = ["app:>=1.1", "team/tool:v1", "app:1.0"]
    first = make(app, wanted, platforms=platforms, lock=lock)
    images.put(app, "app:1.1", image(layer(77)))
    images.put(app, "app:1.3", image(layer(78)))
    second = make(app, names_in([str(lock)]), platforms=platforms, lock=again)
    assert carried(second) == carried(first)
    assert [name.partition("@")[0] for name in second["manifests_paths"]] == [
        *("app:1.1", "app:1.2", "team/tool:v1", "app:1.0")
    ]
    assert again.read_bytes() == lock.read_bytes()


@pytest.mark.parametrize("platforms", [None, ["linux/amd64"]])
def test_a_lock_alone_makes_the_payload_that_arrives_as_the_first_one(
    app: str, tmp_path: Path, platforms: list[str] | None
) -> None:
    lock, again, once_more = tmp_path / "1.txt", tmp_path / "2.txt", tmp_path / "3.txt"
    payloads = [tmp_path / f"{n}.zip" for n in range(3)]
    chosen: dict[str, Any] = {"secure": False, "platforms": platforms}
    wanted = ["app:>=1.1", "team/tool:v1"]
    make_payload(app, payloads[0], wanted, lock=lock, **chosen)
    images.put(app, "app:1.1", image(layer(77)))
    make_payload(None, payloads[1], names_in([str(lock)]), lock=again, **chosen)
    make_payload(None, payloads[2], names_in([str(again)]), lock=once_more, **chosen)
    assert lock.read_bytes() == again.read_bytes() == once_more.read_bytes()
    assert payloads[1].read_bytes() == payloads[2].read_bytes()
    arrived = []
    for n, payload in enumerate(payloads):
        with serve(storage=tmp_path / str(n)) as there:
            push_payload_to_registry(there.address, payload, secure=False)
            names = ("app:1.1", "app:1.2", "team/tool:v1")
            arrived.append([images.read(there.address, name) for name in names])
    assert arrived[0] == arrived[1] == arrived[2]
    assert None not in arrived[0]


def test_a_lock_of_several_registries_makes_the_same_payload(app: str, tmp_path: Path) -> None:
    lock, again = tmp_path / "1.txt", tmp_path / "2.txt"
    payloads = [tmp_path / f"{n}.zip" for n in range(2)]
    with serve(storage=tmp_path / "other") as other:
        images.put(other.address, "app:v3", image(layer(0), layer(60)))
        wanted = [f"{app}/app:~1.1", f"{other.address}/app:v*"]
        make_payload(None, payloads[0], wanted, secure=False, lock=lock)
        make_payload(None, payloads[1], names_in([str(lock)]), secure=False, lock=again)
        assert [line.partition("@")[0] for line in lock.read_text().splitlines()[1:]] == [
            *(f"{app}/app:1.1", f"{other.address}/app:v3")
        ]
    assert lock.read_bytes() == again.read_bytes()
    first, second = (
        json.loads(unzipped(payload.read_bytes())[DESCRIPTOR_PATH]) for payload in payloads
    )
    assert carried(first) == carried(second)
    assert first["registries"] == second["registries"]


def test_a_lock_has_the_digest_of_the_whole_image(app: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    digest = images.digest_of(images.read_manifest(app, "app", "1.0") or b"")
    make(app, ["app:1.0"], platforms=["linux/amd64"], lock=lock)
    assert lock.read_text().splitlines()[1:] == [f"{app}/app:1.0@{digest}"]
    make(app, [f"app@{digest}"], lock=lock)
    assert lock.read_text().splitlines()[1:] == [f"{app}/app@{digest}"]


def test_a_lock_lists_images_that_were_already_transferred_too(app: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    target = io.BytesIO()
    make_payload(app, target, ["app:1.1", "app:1.0"], ["app:1.0"], secure=False, lock=lock)
    assert [line.partition("@")[0] for line in lock.read_text().splitlines()[1:]] == [
        *(f"{app}/app:1.1", f"{app}/app:1.0")
    ]


def test_a_lock_may_replace_the_list_that_it_was_made_from(app: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("app:1.0\n")
    make(app, names_in([str(lock)]), lock=lock)
    assert f"{app}/app:1.0@sha256:" in lock.read_text()
    assert [*tmp_path.glob("lock*")] == [lock]


def test_a_dry_run_and_a_failure_write_no_lock(app: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    make_payload(app, tmp_path / "p.zip", ["app:1.0"], secure=False, lock=lock, dry_run=True)
    with pytest.raises(DockerCharonError):
        make(app, ["app:none"], lock=lock)
    assert not [*tmp_path.glob("lock*")]


def test_a_lock_cannot_replace_another_file_of_the_payload(app: str, tmp_path: Path) -> None:
    target = tmp_path / "p.zip"
    (tmp_path / "link.zip").symlink_to(target)
    with pytest.raises(DockerCharonError, match="cannot be both"):
        make_payload(app, target, ["app:1.0"], secure=False, lock=target)
    with pytest.raises(DockerCharonError, match="cannot be both"):
        make_payload(app, target, ["app:1.0"], secure=False, lock=tmp_path / "link.zip")
    for other in ("report", "ledger"):
        with pytest.raises(DockerCharonError, match="cannot be both"):
            make(app, ["app:1.0"], lock=tmp_path / "x", **{other: tmp_path / "x"})
    with pytest.raises(PayloadError, match="name a file in a directory that exists"):
        make(app, ["app:1.0"], lock=tmp_path / "none" / "lock.txt")
    with pytest.raises(TypeError, match="a lock must be a path"):
        make(app, ["app:1.0"], lock=io.BytesIO())
    assert not target.exists()
