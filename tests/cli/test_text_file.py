"""Text files that options name."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import typer

from docker_charon.cli import text_file
from docker_charon.cli.text_file import lines_in, text_in
from docker_charon.errors import DockerCharonError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_the_encodings_that_systems_write(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "file").write_bytes("app:1\r\né".encode(encoding))
    assert text_in(str(tmp_path / "file"), "images") == "app:1\r\né"


def test_big_endian_text_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("\ufeffapp:1".encode("utf-16-be"))
    assert text_in(str(tmp_path / "file"), "images") == "app:1"


def test_lines_have_no_comments(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("# a\nb # c\n\nd")
    assert lines_in(str(tmp_path / "file"), "names") == ["", "b ", "", "d"]


def test_text_without_a_mark_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("app:1".encode("utf-16-le"))
    with pytest.raises(DockerCharonError, match="it has NUL characters; save it as UTF-8"):
        text_in(str(tmp_path / "file"), "the map")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"caf\xe9"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DockerCharonError, match="file: it is neither UTF-8 nor UTF-16"):
        text_in(str(tmp_path / "file"), "the map")


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(DockerCharonError, match="cannot read the map from /missing: No such file"):
        text_in("/missing", "the map")
    with pytest.raises(DockerCharonError, match="its name is not valid"):
        text_in("/a\0b", "the map")


def test_a_file_is_not_read_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "LARGEST_FILE", 2 * 1024**2)
    (tmp_path / "file").write_bytes(b"#" * (2 * 1024**2 + 1))
    with pytest.raises(DockerCharonError, match="it is larger than 2 MiB"):
        text_in(str(tmp_path / "file"), "the map")
    with pytest.raises(DockerCharonError, match="it is larger than 2 MiB"):
        text_in("/dev/zero", "the map")


def test_standard_input_can_be_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfapp:1"), "utf-8"))
    assert text_in("-", "images") == "app:1"


def test_a_closed_standard_input_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(typer.BadParameter, match="it cannot contain images"):
        text_in("-", "images")
