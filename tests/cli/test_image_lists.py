"""Lists of images in files: plain lists, and files that were written for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

import images
from command_line import charon
from images import image, layer
from payloads import described

WITH_BOTH_REGISTRIES = True


@pytest.fixture
def listed(source: str) -> str:
    for n in (1, 2, 3):
        images.put(source, f"app:{n}", image(layer(n)))
    return source


def test_names_come_from_files_and_the_command_line_in_their_order(
    listed: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(
        "\ufeff# what the site needs\r\napp:2   # the update\r\n\r\n  app:3\r\n".encode()
    )
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--images-from", tmp_path / "a.txt"]
    done = charon(
        "make-payload", *options, "app:1", "--images-from", "-", stdin="\ufeffapp:1,app:2\n"
    )
    assert done.status == 0, done.stderr
    assert [*described(tmp_path / "p.zip")["manifests_paths"]] == ["app:1", "app:2", "app:3"]


def test_an_empty_list_is_one_line(listed: str, tmp_path: Path) -> None:
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--images-from", "-"]
    assert "there is no image to transfer" in charon("make-payload", *options, stdin="# no\n").line


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b'{"a":'])
def test_a_list_that_cannot_be_read_is_one_line(
    listed: str, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "list").write_bytes(content)
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--images-from", tmp_path / "list"]
    assert "cannot read the images from" in charon("make-payload", *options).line


def test_a_list_and_a_password_cannot_share_standard_input(tmp_path: Path) -> None:
    options = ["-f", tmp_path / "p.zip", "--images-from", "-", "-u", "me", "--password-stdin"]
    done = charon("make-payload", *options, stdin="x")
    assert done.status == 2
    assert "standard input cannot be the list of images and the password" in done.stderr


COMPOSE = """\
services:
  web: {image: "app:1"}
  built: {build: .}
  db:
    image: app:${TAG}
"""


def test_names_come_from_a_compose_file_and_what_is_passed_over_is_named(
    listed: str, tmp_path: Path
) -> None:
    (tmp_path / "list").write_text(COMPOSE)
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip"]
    done = charon("make-payload", *options, "--images-from", tmp_path / "list", "app:2")
    assert done.status == 0, done.stderr
    assert [*described(tmp_path / "p.zip")["manifests_paths"]] == ["app:2", "app:1"]
    assert f"1 image from {tmp_path / 'list'} (Compose), 2 passed over\n" in done.stderr
    assert f"{tmp_path / 'list'}, line 3: built is passed over: it is built" in done.stderr
    assert "line 5: app:${TAG} is passed over: it has a variable" in done.stderr


def test_names_come_from_json_on_standard_input(listed: str, tmp_path: Path) -> None:
    text = '{"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [{"image": "app:3"}]}}'
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--dry-run", "--images-from", "-"]
    done = charon("make-payload", *options, stdin=text)
    assert done.status == 0, done.stderr
    assert "1 image from standard input (Kubernetes)\n" in done.stderr
    assert "app:3, sha256:" in done.stderr


def test_quiet_leaves_only_what_is_passed_over(listed: str, tmp_path: Path) -> None:
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--quiet", "--images-from", "-"]
    done = charon("make-payload", *options, stdin=COMPOSE)
    assert done.status == 0, done.stderr
    assert [line.partition(", ")[2][:6] for line in done.stderr.splitlines()] == [
        "line 3",
        "line 5",
    ]


def test_a_plain_list_says_nothing_about_itself(listed: str, tmp_path: Path) -> None:
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--images-from", "-"]
    assert "standard input" not in charon("make-payload", *options, stdin="app:1").stderr


def test_many_values_that_are_passed_over_are_counted(listed: str, tmp_path: Path) -> None:
    text = "services:\n  web: {image: app:1}\n"
    text += "".join(f"  s{n}: {{image: 'app:${{TAG{n}}}'}}\n" for n in range(60))
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--quiet", "--images-from", "-"]
    lines = charon("make-payload", *options, stdin=text).stderr.splitlines()
    assert len(lines) == 51
    assert "10 more values are passed over" in lines[-1]


def test_a_file_without_names_is_wrong_usage(tmp_path: Path) -> None:
    options = ["-f", tmp_path / "p.zip", "--images-from", "-"]
    done = charon("make-payload", *options, stdin="FROM python:3 AS build\n")
    assert done.status == 2
    assert "standard input: line 1 is not the name" in done.stderr
