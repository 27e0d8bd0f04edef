"""Lists of images in files: one a line, with comments."""

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


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
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
