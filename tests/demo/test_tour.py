"""The demo: a whole delivery, without an installed registry or a network."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import images
from command_line import charon
from docker_charon import serve, verify_payload


def test_the_tour_shows_commands_that_do_what_it_did(tmp_path: Path) -> None:
    keep = tmp_path / "kept in a folder"
    done = charon("demo", "--keep", keep)
    assert done.status == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("equal on both sides") == 2
    lines = re.findall(r"^\$ docker-charon (.*)$", done.stdout, re.MULTILINE)
    commands = [shlex.split(line) for line in lines]
    assert [command[0] for command in commands] == [
        *("make-payload", "push-payload") * 2,
        *("inspect-payload", "serve"),
    ]
    for payload in (keep / "payload-1.zip", keep / "payload-2.zip"):
        assert verify_payload(payload) == []
    assert (keep / "payload-1.zip").stat().st_size > 10 * (keep / "payload-2.zip").stat().st_size
    inspected = charon(*commands[4])
    assert "linux/amd64, linux/arm64" in inspected.stdout
    with (
        serve(storage=keep / "connected") as source,
        serve(storage=keep / "air-gapped") as destination,
        serve([keep / "payload-1.zip", keep / "payload-2.zip"]) as stacked,
    ):
        make = commands[2]
        make[make.index("-r") + 1] = source.address
        make[make.index("-f") + 1] = str(tmp_path / "again.zip")
        assert charon(*make).status == 0
        assert (tmp_path / "again.zip").read_bytes() == (keep / "payload-2.zip").read_bytes()
        for name in ("my-image:1", "my-image:2"):
            image = images.read(source.address, name)
            assert image is not None
            assert images.read(destination.address, name) == image
            assert images.read(stacked.address, name) == image


def test_the_tour_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert charon("demo").status == 0
    assert [*tmp_path.iterdir()] == []


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    assert "is not empty" in charon("demo", "--keep", tmp_path).line
    assert "mine: it is not a directory" in charon("demo", "--keep", tmp_path / "mine").line
    assert "cannot use" in charon("demo", "--keep", tmp_path / "mine").line
