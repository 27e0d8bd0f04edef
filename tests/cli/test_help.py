"""Help: read aloud, it teaches; what it shows can be typed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import metadata

import pytest

from command_line import charon

COMMANDS = (
    *("make-payload", "push-payload", "verify-payload", "inspect-payload"),
    *("make-inventory", "serve", "demo"),
)
PAGES: list[tuple[str, ...]] = [(), *((command,) for command in COMMANDS)]


def help_of(*command: str) -> str:
    done = charon(*command, "--help")
    assert (done.status, done.stderr) == (0, "")
    return done.stdout


def examples(text: str) -> list[list[str]]:
    """Return the commands that a help shows, each in its words."""
    joined = text.replace("\\\n", " ")
    found = [part for part in re.split(r"[|\n]", joined) if "docker-charon " in part]
    return [
        shlex.split(part[part.index("docker-charon ") :])[1:]
        for part in found
        if not part.lstrip().startswith("Usage")
    ]


def test_the_first_help_names_every_command_in_one_line() -> None:
    text = help_of()
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z].*[.]$", text, re.MULTILINE), command
    for word in ("DOCKER_CHARON_PASSWORD", "DOCKER_CONFIG", "NO_PROXY", "TMPDIR", "130"):
        assert word in text
    assert len(examples(text)) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_of_options_that_there_are(command: str) -> None:
    text = help_of(command)
    assert "Traceback" not in text
    assert "<list" not in text
    assert examples(text)


@pytest.mark.parametrize(
    "words", [e for c in [(), *((c,) for c in COMMANDS)] for e in examples(help_of(*c))]
)
def test_every_example_can_be_typed(words: list[str]) -> None:
    command, *rest = words
    known = help_of(command)
    for word in rest:
        if word.startswith("-"):
            assert re.search(rf"(^|[ ,]){word}\b", known), word


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_it_fits_into_every_terminal_and_breaks_between_words(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    words = {command: set(help_of(*command).split()) for command in PAGES}
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in PAGES:
        text = help_of(*command)
        assert set(text.split()) - {"\\"} <= words[command], command
        assert max(map(len, text.splitlines())) <= columns
    assert max(map(len, help_of("make-payload").splitlines())) > columns - 10, "the room is used"


def test_a_command_that_a_narrow_terminal_breaks_can_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = [examples(help_of(*command)) for command in PAGES]
    monkeypatch.setenv("COLUMNS", "50")
    assert [examples(help_of(*command)) for command in PAGES] == wide


def test_an_option_stays_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in PAGES:
        for line in help_of(*command).splitlines():
            assert not re.search(r"docker-charon .* -{1,2}[a-z-]+ \\$", line)


def test_a_command_that_takes_several_words_says_so() -> None:
    assert help_of("make-payload").startswith(
        "Usage: docker-charon make-payload [OPTIONS] [IMAGES]...\n"
    )
    assert help_of("push-payload").startswith(
        "Usage: docker-charon push-payload [OPTIONS] [PATH]\n"
    )


def test_the_version_is_told() -> None:
    done = charon("--version")
    assert done.stdout == f"docker-charon {metadata.version('docker-charon')}\n"


def test_a_shell_completes_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docker_charon"],
        env={
            **os.environ,
            "_DOCKER_CHARON_COMPLETE": "complete_bash",
            "COMP_WORDS": "docker-charon push",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["push-payload"]
