"""Messages for people: they control no terminal, and a dead standard error does no harm."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import images
from docker_charon.messages import (
    STANDARD_ERROR,
    get_logger,
    hide_login,
    name_without_login,
    one_line,
    quoted_name,
    say,
)
from images import image, layer

TITLE = "\x1b]0;owned\x07"
HOSTILE = [
    TITLE,
    "\r\ndocker-charon: forged",
    "\u202egnp.exe",
    "\u2066",
    "\u2028",
    "\x9b31m",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_line_controls_the_terminal(text: str) -> None:
    assert one_line(f"before{text}after").isprintable()


def test_letters_of_every_script_stay_as_they_are() -> None:
    assert one_line("räksmörgås 画像 صورة") == "räksmörgås 画像 صورة"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_log_message_quotes_is_cleaned(text: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = get_logger("docker_charon.example")
    with caplog.at_level(logging.WARNING):
        logger.warning("%d of %s: %s", 3, text, ValueError(text))
    (record,) = caplog.records
    assert record.getMessage().startswith("3 of ")
    assert record.getMessage().isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((name, name) for name in ("app", "app:1@sha256:0", "example.com:5000/app@sha256:0", "")),
        *((name, name) for name in ("https://example.com/app", "app@", "/@", "://")),
        (
            "docker-pullable://example.com/app@sha256:0",
            "docker-pullable://example.com/app@sha256:0",
        ),
        ("app@SHA256", "app@SHA256"),
        ("app@sha256:abc", "app@sha256:abc"),
        ("a@b/c://d", "***@b/c://d"),
        ("me:secret@example.com", "***@example.com"),
        ("me:secret@example.com:5000", "***@example.com:5000"),
        ("from me:secret@a.io/a and you:secret@b.io/b", "from ***@a.io/a and ***@b.io/b"),
        ("me:secret@example.com/app@sha256:0", "***@example.com/app@sha256:0"),
        ("me:se/c@ret@example.com/app", "***@example.com/app"),
        ("https://me:secret@example.com", "https://***@example.com"),
        ("https://me:se/c@ret@example.com/app", "https://***@example.com/app"),
    ],
)
def test_a_login_in_a_name_or_a_url_is_hidden(text: str, shown: str) -> None:
    assert hide_login(text) == shown


@pytest.mark.parametrize("separator", ["@", "x@", "@ ", "a://", "x", "@sha", " "])
def test_a_long_text_without_a_login_is_answered_at_once(separator: str) -> None:
    assert hide_login(separator * 200_000 + " ")
    assert name_without_login(separator * 200_000 + " ")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("me:sec ret@reg.lan", "'***@reg.lan'"),
        ("me:sec\nret @ reg.lan/app", "'***@ reg.lan/app'"),
        ("https://me:sec ret@reg.lan", "'https://***@reg.lan'"),
        ("me:sec ret@reg.lan/app@sha256:0", "'***@reg.lan/app@sha256:0'"),
        ("me:se@sha256:0 cret@reg.lan", "'***@reg.lan'"),
        ("two words@sha256:0", "'two words@sha256:0'"),
        ("two words", "'two words'"),
        ("app@", "'app@'"),
    ],
)
def test_a_password_with_spaces_in_a_name_is_hidden(name: str, shown: str) -> None:
    assert quoted_name(name) == shown


def test_a_long_name_is_cut_after_its_login_has_been_hidden() -> None:
    assert quoted_name(f"me:{'secret' * 100}@example.com/app") == "'***@example.com/app'"
    assert len(quoted_name("a" * 1000)) == 120


def test_every_logger_of_the_package_cleans_its_messages() -> None:
    package = Path(sys.modules[get_logger.__module__].__file__ or "").parent
    for path in package.rglob("*.py"):
        if path.stem not in ("messages", "log"):
            assert "logging.getLogger" not in path.read_text(), path


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"it says {TITLE}\ndocker-charon: forged")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_line_is_written_while_another_thread_loads_the_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    say("still here")
    assert capsys.readouterr().err == "docker-charon: still here\n"


@pytest.mark.parametrize("problem", ["missing", "closed", "broken"])
def test_what_standard_error_cannot_take_is_dropped(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    if problem != "broken":
        stream.close()
    monkeypatch.setattr(sys, "stderr", None if problem == "missing" else stream)
    say("text")
    STANDARD_ERROR.flush()
    assert not STANDARD_ERROR.isatty()
    monkeypatch.undo()
    if problem == "broken":
        with pytest.raises(BrokenPipeError):
            stream.close()


@pytest.mark.parametrize("command", ["make-payload", "push-payload"])
def test_a_dead_standard_error_does_not_fail_a_transfer(
    command: str, source: str, destination: str, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    for n in range(3):
        images.put(source, f"app:{n}", image(layer(n, 300_000)))
    program = [sys.executable, "-m", "docker_charon"]
    make = [*program, "make-payload", "-i", "-r", source, "-f", str(payload)]
    names = [f"app:{n}" for n in range(3)]
    if command == "make-payload":
        tried = [*make, *names]
    else:
        subprocess.run([*make, *names], check=True, stderr=subprocess.DEVNULL)
        tried = [*program, "push-payload", "-i", "-r", destination, "-f", str(payload)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(tried, stderr=writer, stdout=subprocess.PIPE, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == 0
    if command == "make-payload":
        verified = subprocess.run([*program, "verify-payload", "-q", "-f", payload], check=False)
        assert verified.returncode == 0
    else:
        assert done.stdout.decode().split() == names


def test_a_failure_keeps_its_status_without_a_standard_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-m", "docker_charon", "verify-payload", "-f", "none"]
    done = subprocess.run(program, stderr=writer, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == 1
