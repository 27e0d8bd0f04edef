"""The files of mirror configurations: when they are written, and what is never overwritten."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from conftest import Sent
from docker_charon import DockerCharonError, PayloadError, push_payload_to_registry, serve
from images import image, layer
from odd_registry import Answer, Call, OddRegistry, refusal
from payloads import payload_of

APP = image(layer(1))
WANTED = {"quay.io/team/app:1": APP, "localhost:5001/dev:1": image(layer(2))}
FULL_NAMES = {"quay.io", "localhost:5001"}
KINDS = ["containerd", "registries.conf", "k3s"]
WRITTEN = {
    "quay.io/hosts.toml",
    "localhost_5001_/hosts.toml",
    "registries.conf",
    "registries.yaml",
}


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    (tmp_path / "p.zip").write_bytes(payload_of(WANTED, registries=FULL_NAMES))
    return tmp_path / "p.zip"


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    (tmp_path / "nodes").mkdir()
    return tmp_path / "nodes"


def push(payload: Path, nodes: Path, **options: Any) -> list[str]:
    options = {"mirrors": KINDS, "mirrors_dir": nodes, **options}
    with serve(storage=payload.with_name("registry")) as server:
        return push_payload_to_registry(server.address, payload, secure=False, **options)


def files_in(nodes: Path) -> set[str]:
    return {str(path.relative_to(nodes)) for path in nodes.rglob("*") if path.is_file()}


def test_they_are_written_after_a_push(payload: Path, nodes: Path) -> None:
    assert push(payload, nodes) == [*WANTED]
    assert files_in(nodes) == WRITTEN
    assert '[host."http://127.0.0.1' in (nodes / "quay.io/hosts.toml").read_text()


def test_nothing_is_written_where_none_are_wanted(payload: Path, nodes: Path) -> None:
    push(payload, nodes, mirrors=())
    assert not files_in(nodes)


def test_a_dry_run_says_which_would_be_written(
    payload: Path, nodes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    push(payload, nodes, dry_run=True)
    assert not files_in(nodes)
    assert all(f"write {nodes / name}" in caplog.text for name in WRITTEN)


def test_our_own_are_replaced_and_those_of_others_are_not(
    payload: Path, nodes: Path, sent: list[Sent]
) -> None:
    (nodes / "registries.conf").write_text("# mine\n")
    with pytest.raises(DockerCharonError, match="docker-charon has not written it; name another"):
        push(payload, nodes)
    assert files_in(nodes) == {"registries.conf"}
    assert not sent
    push(payload, nodes, mirrors=["k3s", "containerd"], repository_prefix="old")
    push(payload, nodes, mirrors=["k3s", "containerd"], repository_prefix="new")
    for name in ("registries.yaml", "quay.io/hosts.toml"):
        assert "new" in (nodes / name).read_text()
        assert "old" not in (nodes / name).read_text()
    assert (nodes / "registries.conf").read_text() == "# mine\n"


@pytest.mark.posix
def test_a_link_to_one_of_our_own_stays_and_a_pipe_is_of_others(
    payload: Path, nodes: Path, tmp_path: Path
) -> None:
    (nodes / "registries.conf").symlink_to(tmp_path / "shared.conf")
    push(payload, nodes, mirrors=["registries.conf"])
    assert (nodes / "registries.conf").is_symlink()
    assert "quay.io" in (tmp_path / "shared.conf").read_text()
    os.mkfifo(nodes / "registries.yaml")
    with pytest.raises(DockerCharonError, match="docker-charon has not written it; name another"):
        push(payload, nodes, mirrors=["k3s"])


def test_what_people_have_added_is_kept_and_told(
    payload: Path, nodes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    push(payload, nodes, mirrors=["containerd"])
    hosts = nodes / "quay.io/hosts.toml"
    edited = hosts.read_text() + '  ca = "/etc/ca.crt"\n'
    hosts.write_text(edited)
    push(payload, nodes, mirrors=["containerd"], repository_map={"quay.io": "mirror"})
    assert hosts.read_text() == edited
    assert f"{hosts}: the part about quay.io has been edited, and stays as it is" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_our_own_is_ours_as_an_editor_of_windows_saves_it(
    payload: Path, nodes: Path, encoding: str
) -> None:
    push(payload, nodes, mirrors="k3s")
    written = (nodes / "registries.yaml").read_bytes()
    saved = written.decode().replace("\n", "\r\n").encode(encoding)
    (nodes / "registries.yaml").write_bytes(saved)
    push(payload, nodes, mirrors="k3s")
    assert (nodes / "registries.yaml").read_text().splitlines()[0] == written.decode().splitlines()[
        0
    ]
    assert b"\r" not in (nodes / "registries.yaml").read_bytes()


def test_a_file_in_the_place_of_a_directory_is_told_before_the_push(
    payload: Path, nodes: Path, sent: list[Sent]
) -> None:
    (nodes / "quay.io").write_text("mine")
    with pytest.raises(
        DockerCharonError, match=r"quay\.io is there already, and is not a directory"
    ):
        push(payload, nodes)
    assert not sent


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mirrors": "podman"}, "choose from containerd"),
        ({"mirrors_dir": "nowhere"}, "name a directory that exists"),
    ],
)
def test_what_cannot_be_done_is_told_before_the_push(
    payload: Path, nodes: Path, sent: list[Sent], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DockerCharonError, match=problem):
        push(payload, nodes, **options)
    assert not sent


def test_names_without_a_known_registry_have_no_mirror(tmp_path: Path, nodes: Path) -> None:
    (tmp_path / "p.zip").write_bytes(payload_of({"team/app:1": APP}))
    with pytest.raises(DockerCharonError, match=r"repository_map=\{'docker.io'"):
        push(tmp_path / "p.zip", nodes)
    push(tmp_path / "p.zip", nodes, repository_map={"docker.io": "hub"})
    assert "/v2/hub" in (nodes / "docker.io/hosts.toml").read_text()


def test_what_nodes_cannot_find_is_told_with_the_map_that_helps(
    tmp_path: Path, nodes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {"python:3": APP, "redis:7": APP, "quay.io/team/app:1": APP}
    (tmp_path / "p.zip").write_bytes(payload_of(wanted, registries=FULL_NAMES))
    push(tmp_path / "p.zip", nodes)
    (told,) = [r.getMessage() for r in caplog.records if "cannot find" in r.getMessage()]
    assert "containerd cannot find docker.io/library/python and 1 other under" in told
    assert "it becomes python; repository_map={'docker.io': 'docker.io'} keeps" in told
    caplog.clear()
    push(tmp_path / "p.zip", nodes, repository_map={"docker.io": "docker.io"})
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_images_that_were_left_out_are_told(
    tmp_path: Path, nodes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    delta = payload_of(WANTED, {"quay.io/team/app:1": APP}, registries=FULL_NAMES)
    (tmp_path / "p.zip").write_bytes(delta)
    with pytest.warns(UserWarning, match="left out"):
        assert push(tmp_path / "p.zip", nodes) == ["localhost:5001/dev:1"]
    assert files_in(nodes) == WRITTEN
    assert "also for 1 image that was left out" in caplog.text


def test_they_are_not_written_if_an_image_has_failed(
    payload: Path, nodes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(call: Call) -> Answer | None:
        return refusal(412, "DENIED") if call.is_for("PUT", "/dev/manifests/1") else None

    with OddRegistry(refuse) as registry, pytest.raises(DockerCharonError):
        push_payload_to_registry(
            registry.address, payload, secure=False, mirrors=KINDS, mirrors_dir=nodes
        )
    assert not files_in(nodes)
    assert "no mirror configuration is written until all images are pushed" in caplog.text


@pytest.mark.parametrize("registry", ["..", '."]', "a.b\n"])
def test_a_payload_cannot_choose_a_place_outside_of_the_directory(
    tmp_path: Path, nodes: Path, registry: str
) -> None:
    (tmp_path / "p.zip").write_bytes(payload_of({f"{registry}/app:1": APP}, registries={registry}))
    with pytest.raises(PayloadError, match="is not a registry"):
        push(tmp_path / "p.zip", nodes)
    assert not files_in(tmp_path / "nodes")
