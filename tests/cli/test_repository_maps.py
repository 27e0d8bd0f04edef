"""Repository maps and mirrors on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from command_line import Done, charon
from docker_charon import serve
from images import image, layer
from payloads import payload_of

APP, BASE = image(layer(1)), image(layer(2))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with serve(storage=tmp_path / "registry") as server:
        yield server.address


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    wanted = {"quay.io/team/app:1": APP, "python:3": BASE}
    (tmp_path / "p.zip").write_bytes(payload_of(wanted, registries={"quay.io"}))
    return tmp_path / "p.zip"


def push(registry: str, payload: Path, *options: object) -> Done:
    return charon("push-payload", "-r", registry, "-i", payload, *options)


def test_maps_are_words_lists_and_lines_of_files(
    registry: str, payload: Path, tmp_path: Path
) -> None:
    file = tmp_path / "maps.txt"
    file.write_bytes("\ufeff# where images arrive\r\nquay.io/team = t  # ours\r\n\r\n".encode())
    for options in (
        ["--map", "quay.io/team=t", "--map", "docker.io=hub"],
        ["--map", "docker.io=hub, quay.io/team=t"],
        ["--map", "docker.io=hub", "--map-file", file],
    ):
        done = push(registry, payload, *options)
        assert done.stdout == "t/app:1\nhub/library/python:3\n"
    assert images.read(registry, "t/app:1") == APP.contents()


def test_a_map_can_come_from_standard_input_if_nothing_else_does(
    registry: str, payload: Path
) -> None:
    options = ["-r", registry, "-i", "--map-file", "-"]
    done = charon("push-payload", *options, payload, stdin="quay.io=q\n")
    assert done.stdout == "q/team/app:1\npython:3\n"
    done = charon("push-payload", *options, stdin="quay.io=q\n")
    assert (done.status, "cannot be the payload and the repository map" in done.stderr) == (2, True)


def test_the_names_in_the_payload_can_be_printed_instead(registry: str, payload: Path) -> None:
    done = push(registry, payload, "--names", "source", "--map", "quay.io=q")
    assert done.stdout == "quay.io/team/app:1\npython:3\n"


def test_without_a_map_the_printed_names_have_no_registry(registry: str, payload: Path) -> None:
    assert push(registry, payload).stdout == "team/app:1\npython:3\n"


def test_names_that_cannot_change_are_printed_as_they_were_given(
    registry: str, tmp_path: Path
) -> None:
    (tmp_path / "p.zip").write_bytes(payload_of({"app": APP}))
    assert push(registry, tmp_path / "p.zip").stdout == "app\n"
    assert push(registry, tmp_path / "p.zip", "--map", "app=x").stdout == "x:latest\n"


def test_a_dry_run_shows_the_names_at_the_destination(registry: str, payload: Path) -> None:
    done = push(registry, payload, "--dry-run", "--map", "quay.io=q")
    assert "put q/team/app:1" in done.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--map", "quay.io"], "write FROM=TO"),
        (["--map", "quay.io/app:1=x"], "leave out the tag"),
        (["--map", "quay.io=x", "--map", "quay.io=y"], "quay.io is mapped to x and to y"),
        (["--mirrors", "podman"], "choose from containerd, registries.conf, k3s"),
    ],
)
def test_what_cannot_be_mapped_is_wrong_usage(
    registry: str, payload: Path, options: list[str], problem: str
) -> None:
    done = push(registry, payload, *options)
    assert (done.status, done.stdout) == (2, "")
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_line_of_a_file_is_named(registry: str, payload: Path, tmp_path: Path) -> None:
    file = tmp_path / "maps.txt"
    for line in ("hunter2", "TOKEN=Hunter2:x", "password: Hunter2"):  # it may be another file
        file.write_text(f"quay.io=q\n\n{line}\n")
        done = push(registry, payload, "--map-file", file)
        assert done.status == 2
        assert f"{file}, line 3: it is not FROM=TO with valid names; write FROM=TO" in done.stderr
        assert "hunter2" not in done.stderr.lower()
    done = push(registry, payload, "--map-file", tmp_path / "none")
    assert "cannot read the repository map from" in done.line


@pytest.mark.parametrize("option", ["--report", "--receipt"])
def test_a_file_with_a_map_is_not_replaced(
    registry: str, payload: Path, tmp_path: Path, option: str
) -> None:
    file = tmp_path / "maps.txt"
    file.write_text("quay.io=q\n")
    done = push(registry, payload, "--map-file", file, option, file)
    assert (done.status, file.read_text()) == (2, "quay.io=q\n")
    assert f"would replace {file}, which has the repository map" in done.stderr


@pytest.mark.parametrize(
    ("key", "told"), [("quai.io", "did you mean quay.io?"), ("x", "names begin with docker.io, ")]
)
def test_a_map_that_fits_nothing_is_told_with_what_could_be_meant(
    registry: str, payload: Path, key: str, told: str
) -> None:
    done = push(registry, payload, "--map", f"{key}=q", "-q")
    assert f"{key} is mapped, but nothing in the payload is below it; {told}" in done.stderr
    assert done.status == 0


def test_mirrors_are_written_into_a_directory(registry: str, payload: Path, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    options = ["--map", "docker.io=docker.io", "--mirrors-dir", nodes]
    done = push(registry, payload, *options, "--mirrors", "containerd,k3s")
    assert done.status == 0
    assert f"{nodes / 'registries.yaml'} is written for the nodes" in done.stderr
    assert (nodes / "docker.io" / "hosts.toml").is_file()
