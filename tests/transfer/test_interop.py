"""Older releases of docker-charon from PyPI, and skopeo: payloads in both directions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

import images
from conftest import require
from docker_charon import (
    BlobNotFound,
    ManifestNotFound,
    PayloadError,
    make_payload,
    push_payload_to_registry,
)
from images import image, layer
from registries import docker_registry

OldCall = Callable[..., Any]

SCRIPT = """
import json, sys, docker_charon
name, arguments, options = json.load(sys.stdin)
result = getattr(docker_charon, name)(*arguments, **options)
print(json.dumps(result))
"""


def install(version: str, folder: Path) -> OldCall:
    """Install a release in its own folder; return a function that calls functions of it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    installed = subprocess.run(
        [*pip, "--target", str(folder), version],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        require(False, f"{version} from PyPI")

    def call(name: str, *arguments: object, **options: object) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps([name, arguments, options]),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(folder)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call


@pytest.fixture(scope="module")
def release_0_1(tmp_path_factory: pytest.TempPathFactory) -> OldCall:
    return install("docker-charon==0.1.0", tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def release_0_4(tmp_path_factory: pytest.TempPathFactory) -> OldCall:
    return install("docker-charon==0.4.3", tmp_path_factory.mktemp("release"))


@pytest.fixture(params=["0.1.0", "0.4.3"])
def old_make(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that makes a payload with an older release."""
    if request.param == "0.1.0":
        release: OldCall = request.getfixturevalue("release_0_1")
    else:
        release = request.getfixturevalue("release_0_4")

    def make(registry: str, payload: Path, wanted: list[str], already: list[str]) -> None:
        if request.param == "0.1.0":
            release("make_payload", registry, str(payload), wanted, already, secure=False)
        else:
            release("make_payload", str(payload), wanted, already, registry=registry, secure=False)

    return make


@pytest.mark.slow
def test_an_older_delta_arrives_with_its_skipped_image(
    old_make: Callable[..., None], source: str, destination: str, tmp_path: Path
) -> None:
    base = images.put(source, "base:1", image(layer(1), layer(2)))
    app = images.put(source, "team/app:2", image(layer(1), layer(3)))
    images.put(destination, "base:1", base)
    images.put(destination, "team/app:1", base)
    # 0.1 leaves out a blob that the same repository has; 0.4 one that any repository has.
    images.put(source, "team/app:1", base)
    old_make(source, tmp_path / "p.zip", ["team/app:2", "base:1"], ["base:1", "team/app:1"])
    pushed = push_payload_to_registry(destination, tmp_path / "p.zip", strict=True, secure=False)
    assert sorted(pushed) == ["base:1", "team/app:2"]
    assert images.read(destination, "team/app:2") == app.contents()


@pytest.mark.slow
def test_an_older_delta_takes_a_blob_from_where_it_is(
    old_make: Callable[..., None], source: str, destination: str, tmp_path: Path
) -> None:
    shared = images.put(source, "a:1", image(layer(1)))
    images.put(source, "a:2", image(layer(1), layer(2)))
    wanted = images.put(source, "b:2", image(layer(1), layer(3)))
    images.put(destination, "a:1", shared)
    old_make(source, tmp_path / "p.zip", ["a:2", "b:2"], ["a:1"])
    push_payload_to_registry(destination, tmp_path / "p.zip", strict=True, secure=False)
    assert images.read(destination, "b:2") == wanted.contents()


@pytest.mark.slow
def test_deltas_go_on_from_older_payloads(
    old_make: Callable[..., None], source: str, destination: str, tmp_path: Path
) -> None:
    versions = {
        n: images.put(source, f"app:{n}", image(*(layer(seed) for seed in range(n))))
        for n in range(1, 5)
    }
    payloads = {n: tmp_path / f"{n}.zip" for n in versions}
    old_make(source, payloads[1], ["app:1"], [])
    old_make(source, payloads[2], ["app:2"], ["app:1"])
    for n in (3, 4):
        make_payload(
            source,
            payloads[n],
            [f"app:{n}"],
            secure=False,
            payloads_already_transferred=[payloads[n - 1]],
        )
        with zipfile.ZipFile(payloads[n]) as archive:
            assert len([name for name in archive.namelist() if name.startswith("blobs/")]) == 3
    for n in versions:
        push_payload_to_registry(
            destination, payloads[n], strict=True, secure=False, repository_prefix="site"
        )
    for n, version in versions.items():
        assert images.read(destination, f"site/app:{n}") == version.contents()


@pytest.mark.slow
def test_what_an_older_delta_lacks_is_missing_as_in_ours(
    old_make: Callable[..., None], source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1)))
    images.put(source, "app:2", image(layer(1), layer(2)))
    images.put(source, "other:1", image(layer(3)))
    old_make(source, tmp_path / "p.zip", ["app:2", "other:1"], ["app:1"])
    with pytest.raises(BlobNotFound, match=rf"app:2 needs 1 blob .*{images.digest_of(layer(1))}"):
        push_payload_to_registry(destination, tmp_path / "p.zip", strict=True, secure=False)
    with pytest.warns(UserWarning, match="app:2"):
        pushed = push_payload_to_registry(destination, tmp_path / "p.zip", secure=False)
    assert pushed == ["other:1"]
    assert images.read(destination, "app:2") is None


@pytest.mark.slow
def test_an_image_that_an_older_payload_skips_must_be_there(
    old_make: Callable[..., None], source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1)))
    images.put(source, "new:1", image(layer(2)))
    old_make(source, tmp_path / "p.zip", ["app:1", "new:1"], ["app:1"])
    with pytest.raises(ManifestNotFound, match="app:1"):
        push_payload_to_registry(destination, tmp_path / "p.zip", strict=True, secure=False)


@pytest.mark.slow
def test_older_payloads_that_confuse_two_images_are_refused(
    old_make: Callable[..., None], source: str, tmp_path: Path
) -> None:
    images.put(source, "team/app:1", image(layer(1)))
    images.put(source, "team_app:1", image(layer(2)))
    old_make(source, tmp_path / "p.zip", ["team/app:1", "team_app:1"], [])
    with pytest.raises(PayloadError, match="two entries"):
        push_payload_to_registry("127.0.0.1:1", tmp_path / "p.zip", secure=False)


@pytest.mark.slow
def test_0_4_3_pushes_our_deltas_and_skipped_images(
    release_0_4: OldCall, source: str, destination: str, tmp_path: Path
) -> None:
    base = images.put(source, "base:1", image(layer(1), layer(2)))
    app = images.put(source, "team/app:2", image(layer(1), layer(2), layer(3)))
    same = images.put(source, "same:1", image(layer(1), layer(2), layer(3)))
    make_payload(source, tmp_path / "base.zip", ["base:1"], secure=False)
    make_payload(
        source,
        tmp_path / "delta.zip",
        ["team/app:2", "base:1", "same:1"],
        ["base:1"],
        secure=False,
    )
    for name, expected in (
        ("base.zip", ["base:1"]),
        ("delta.zip", ["team/app:2", "base:1", "same:1"]),
    ):
        pushed = release_0_4(
            "push_payload", str(tmp_path / name), True, registry=destination, secure=False
        )
        assert pushed == expected
    assert images.read(destination, "base:1") == base.contents()
    assert images.read(destination, "team/app:2") == app.contents()
    assert images.read(destination, "same:1") == same.contents()


def skopeo_copy(payload: Path, layout: Path, image: str, target: str) -> None:
    require(shutil.which("skopeo") is not None, "skopeo")
    with zipfile.ZipFile(payload) as archive:
        archive.extractall(layout)  # our own payload
    options = ["--all", "--preserve-digests", "--dest-tls-verify=false"]
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", *options, f"oci:{layout}{image}", target],
        check=True,
    )


def test_skopeo_copies_from_an_unzipped_payload_with_the_same_digests(
    source: str, destination: str, tmp_path: Path
) -> None:
    wanted = {
        "team/app:1": image(layer(3), media_type=images.OCI),
        "multi:1": images.index(
            image(layer(1), media_type=images.OCI), image(layer(4), media_type=images.OCI)
        ),
    }
    for name, content in wanted.items():
        images.put(source, name, content)
    make_payload(source, tmp_path / "p.zip", list(wanted), secure=False)
    for name, content in wanted.items():
        target = f"docker://{destination}/{name}"
        skopeo_copy(tmp_path / "p.zip", tmp_path / "layout", f":{name}", target)
        assert images.read(destination, name) == content.contents()


def test_skopeo_copies_an_image_in_dockers_format_with_the_same_digest(
    source: str, destination: str, tmp_path: Path
) -> None:
    """Debian's skopeo 1.9 finds an image only in a layout of one image; newer ones find names."""
    app = images.put(source, "app:1", image(layer(1), layer(2)))
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    skopeo_copy(tmp_path / "p.zip", tmp_path / "layout", "", f"docker://{destination}/app:1")
    assert images.read(destination, "app:1") == app.contents()


def test_the_registry_that_skopeo_filled_is_carried_on(
    source: str, destination: str, tmp_path: Path
) -> None:
    """Carry an image that skopeo has pushed."""
    require(shutil.which("skopeo") is not None, "skopeo")
    images.put(source, "app:1", image(layer(1), layer(2)))
    with docker_registry(tmp_path / "between") as between:
        subprocess.run(
            [
                *("skopeo", "--insecure-policy", "copy", "--format", "oci"),
                *("--src-tls-verify=false", "--dest-tls-verify=false"),
                *(f"docker://{source}/app:1", f"docker://{between}/app:1"),
            ],
            check=True,
        )
        make_payload(between, tmp_path / "p.zip", ["app:1"], secure=False)
        carried = images.read(between, "app:1")
    push_payload_to_registry(destination, tmp_path / "p.zip", secure=False)
    assert images.read(destination, "app:1") == carried
    assert requests.get(f"http://{destination}/v2/_catalog", timeout=9).json() == {
        "repositories": ["app"]
    }
