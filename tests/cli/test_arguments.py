"""The values of options: passwords from standard input."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from pathlib import Path

import pytest
import typer

from docker_charon.cli.arguments import images_of, password_of

KEY = json.dumps({"type": "service_account", "private_key": "-----BEGIN-----\nA\n"}, indent=2)


@pytest.mark.parametrize("name", ["week-2.zip", "images.txt", "folder/compose.yaml"])
def test_a_file_is_not_taken_for_an_image(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert images_of([f"app:1,{name}"]) == ["app:1", name]
    (tmp_path / name).touch()
    with pytest.raises(typer.BadParameter, match=f"{name} is a file, not an image"):
        images_of([f"app:1,{name}"])


@pytest.mark.parametrize("name", ["redis", "team.app/x:1", "a" * 300 + ".b", "a\0.b", "team.app"])
def test_other_names_are_images(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "redis").touch()
    (tmp_path / "team.app").mkdir()
    assert images_of([name]) == [name]


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\r", "secret"),
        (b"secret\n\n", "secret\n"),
        (b"secret\r\n\r\n", "secret\r\n"),
        (b"  secret \n", "  secret "),
        (b"first\nsecond\n", "first\nsecond"),
        (b"first\r\nsecond\r\n", "first\r\nsecond"),
        (KEY.encode(), KEY),
        (KEY.encode() + b"\n", KEY),
        (KEY.replace("\n", "\r\n").encode() + b"\r\n", KEY.replace("\n", "\r\n")),
        ("pässwort\n".encode(), "pässwort"),
        (b"\xef\xbb\xbfsecret\r\n", "secret"),
        ("\ufeffpässwort\r\n".encode("utf-16-le"), "pässwort"),
        (b"p\xe4ss\n", "p\udce4ss"),
    ],
)
def test_the_password_is_all_of_standard_input_without_its_last_line_break(
    monkeypatch: pytest.MonkeyPatch, content: bytes, password: str
) -> None:
    give(monkeypatch, content)
    assert password_of(None, True) == password


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_no_password_on_standard_input_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    give(monkeypatch, content)
    with pytest.raises(typer.BadParameter, match="no password on standard input"):
        password_of("another", True)


def test_a_closed_standard_input_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(typer.BadParameter, match="no password on standard input"):
        password_of(None, True)


def test_what_is_typed_at_a_terminal_ends_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = pty.openpty()
    with os.fdopen(keyboard, "w") as typing, os.fdopen(terminal) as stdin:
        typing.write("secret\n")
        typing.flush()
        monkeypatch.setattr(sys, "stdin", stdin)
        assert password_of(None, True) == "secret"


def test_standard_input_is_left_alone_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert password_of("secret", False) == "secret"
    assert password_of(None, False) is None
