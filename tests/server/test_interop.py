"""The embedded registry under clients that no one here wrote, and under our own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import images
from conftest import require
from docker_charon import make_payload, push_payload_to_registry, serve
from images import artifact, image, index, layer
from proxy import Close, Proxy, Reset, Rule

APP = image(layer(1), layer(2))
MULTI = index(
    image(layer(1), layer(3), media_type=images.OCI), image(layer(4), media_type=images.OCI)
)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with serve(storage=tmp_path / "storage") as server:
        yield server.address


@pytest.fixture
def skopeo(tmp_path: Path) -> Callable[..., str]:
    require(shutil.which("skopeo") is not None, "skopeo")

    def run(*arguments: str) -> str:
        command = ["skopeo", "--insecure-policy", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def podman() -> Iterator[Callable[..., str]]:
    """Run podman with a storage of its own, which needs no privileges and no running service."""
    require(shutil.which("podman") is not None, "podman")
    folder = Path(tempfile.mkdtemp())  # a short path: podman takes no long one
    own = [
        *("podman", "--root", str(folder / "root"), "--runroot", str(folder / "run")),
        *("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"),
    ]

    def run(*arguments: str) -> str:
        done = subprocess.run([*own, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    shutil.rmtree(folder, ignore_errors=True)


def test_skopeo_copies_in_and_out_with_all_platforms(
    address: str, tmp_path: Path, skopeo: Callable[..., str]
) -> None:
    images.put(address, "team/multi:1", MULTI)
    images.put(address, "app:1", APP)
    for name, wanted in (("team/multi:1", MULTI), ("app:1", APP)):
        folder = f"dir:{tmp_path / name.replace('/', '-')}"
        exact = ("--all", "--preserve-digests")
        skopeo("copy", *exact, "--src-tls-verify=false", f"docker://{address}/{name}", folder)
        skopeo("copy", *exact, "--dest-tls-verify=false", folder, f"docker://{address}/back/{name}")
        assert images.read(address, f"back/{name}") == wanted.contents()
    tags = skopeo("list-tags", "--tls-verify=false", f"docker://{address}/back/app")
    assert '"1"' in tags


def test_skopeo_copies_from_one_to_another(
    address: str, tmp_path: Path, skopeo: Callable[..., str]
) -> None:
    images.put(address, "multi:1", MULTI)
    with serve(storage=tmp_path / "other") as other:
        skopeo(
            *("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *(f"docker://{address}/multi:1", f"docker://{other.address}/multi:1"),
        )
        assert images.read(other.address, "multi:1") == MULTI.contents()


def test_podman_pulls_and_pushes(address: str, podman: Callable[..., str]) -> None:
    images.put(address, "app:1", APP)
    name = f"{address}/app:1"
    podman("pull", "--tls-verify=false", name)
    podman("push", "--tls-verify=false", name, f"{address}/pushed/app:2")
    pushed = images.read(address, "pushed/app:2")
    assert pushed is not None
    # It compresses layers anew, and leaves the config as it is.
    assert images.digest_of(APP.blobs[0]) in pushed
    assert len(pushed) == len(APP.contents())
    podman("rmi", "--all")
    assert podman("pull", "--tls-verify=false", f"{address}/pushed/app:2")


def test_podman_pulls_out_of_a_payload(
    address: str, tmp_path: Path, podman: Callable[..., str]
) -> None:
    images.put(address, "app:1", APP)
    images.put(address, "multi:1", MULTI)
    make_payload(address, tmp_path / "p.zip", ["app:1", "multi:1"], secure=False)
    with serve([tmp_path / "p.zip"]) as server:
        podman("pull", "--tls-verify=false", f"{server.address}/app:1")
        platform = ("--os", "linux", "--arch", "arm64")
        podman("pull", "--tls-verify=false", *platform, f"{server.address}/multi:1")


def test_our_own_payloads_go_from_one_to_another(address: str, tmp_path: Path) -> None:
    signature = artifact(layer(5), subject=MULTI.descriptor)
    wanted = {"team/multi:1": MULTI, "app:1": APP, "team/multi:sha256-12.sig": signature}
    for name, one in wanted.items():
        images.put(address, name, one)
    make_payload(address, tmp_path / "p.zip", ["app:1"], secure=False)
    make_payload(address, tmp_path / "q.zip", list(wanted), ["app:1"], secure=False)
    with serve(storage=tmp_path / "other") as other:
        pushed = push_payload_to_registry(other.address, tmp_path / "p.zip", secure=False)
        assert pushed == ["app:1"]
        pushed = push_payload_to_registry(
            other.address, tmp_path / "q.zip", strict=True, secure=False
        )
        assert pushed == list(wanted)
        for name, one in wanted.items():
            assert images.read(other.address, name) == one.contents()
    # What is stacked is a registry like any other.
    with serve([tmp_path / "p.zip", tmp_path / "q.zip"]) as stacked:
        make_payload(stacked.address, tmp_path / "r.zip", list(wanted), secure=False)
    make_payload(address, tmp_path / "s.zip", list(wanted), secure=False)
    assert (tmp_path / "r.zip").read_bytes() == (tmp_path / "s.zip").read_bytes()


def test_a_pull_that_breaks_off_goes_on_where_it_was(address: str, tmp_path: Path) -> None:
    large = layer(1, 400_000)
    images.put(address, "app:1", image(large))
    make_payload(address, tmp_path / "whole.zip", ["app:1"], secure=False)
    digest = images.digest_of(large)
    for serving in ({"storage": tmp_path / "copy"}, {"payloads": [tmp_path / "whole.zip"]}):
        with serve(**serving) as server:
            if "storage" in serving:
                images.put(server.address, "app:1", image(large))
            rule = Rule("GET", f"/blobs/{digest}", Close(after=100_000), times=2)
            with Proxy(server.address, rules=[rule]) as proxy:
                make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
                asked = proxy.matching("GET", f"/blobs/{digest}")
        assert [request.status for request in asked] == [200, 206, 206]
        assert (tmp_path / "p.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_a_push_in_chunks_that_breaks_off_arrives(address: str, tmp_path: Path) -> None:
    wanted = image(layer(1, 300_000), layer(2, 300_000))
    images.put(address, "app:1", wanted)
    make_payload(address, tmp_path / "p.zip", ["app:1"], secure=False)
    with serve(storage=tmp_path / "other") as other:
        rules = [Rule("PUT", "/blobs/uploads/", Reset(), times=2)]
        with Proxy(other.address, rules=rules) as proxy:
            push_payload_to_registry(proxy.address, tmp_path / "p.zip", secure=False)
        assert images.read(other.address, "app:1") == wanted.contents()
