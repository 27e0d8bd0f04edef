"""The words of the program are all in one list, so that somebody reads each change of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docker_charon.messages import argument, naming_options

SCRIPT = Path(__file__).with_name("messages.py")
LIST = SCRIPT.with_suffix(".txt")
SOURCE = Path(__file__).parents[2] / "src/docker_charon"
OPTION = re.compile(r"(?<![\w-])--[a-z]")


def test_the_list_has_every_text_of_the_program() -> None:
    listed = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert listed == LIST.read_text("utf-8"), (
        f"read what has changed aloud, and run: python {SCRIPT.name} > {LIST.name}"
    )


def test_the_library_names_parameters_and_the_command_line_options() -> None:
    assert argument("--insecure", "secure=False") == "secure=False"
    with naming_options():
        assert argument("--insecure", "secure=False") == "--insecure"
    assert argument("--insecure", "secure=False") == "secure=False"


def modules_of_the_library() -> list[Path]:
    commands = ("cli", "demo", "lists")  # the lists are read by the command line alone
    paths = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    return sorted(path for path in paths if path.parts[0] not in commands)


@pytest.mark.parametrize("path", modules_of_the_library(), ids=str)
def test_only_the_command_line_is_told_of_options(path: Path) -> None:
    tree = ast.parse((SOURCE / path).read_text("utf-8"))
    chosen = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "argument"
        for part in ast.walk(node.args[0])
    }
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    options = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node not in chosen | documentation and OPTION.search(node.value)
    ]
    assert options == ALLOWED.get(path.as_posix(), [])


ALLOWED = {
    "transfer/renaming/mirror_file.py": [
        "# Written by docker-charon (push-payload --mirrors), which changes it at the next push.\n"
    ],
}
"""A file that is written says which command has done it."""
