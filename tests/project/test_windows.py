"""Windows, imitated: open files that cannot be replaced, consoles with few letters, line ends."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from conftest import NEEDS_POSIX
from docker_charon import make_payload, push_payload_to_registry, serve, verify_payload
from docker_charon.cli import terminal
from docker_charon.messages import say
from images import image, layer

TESTS = Path(__file__).parents[1]
POSIX = {
    *("fcntl", "pty", "termios", "resource", "screen"),
    *("mkfifo", "getuid", "SIGKILL", "SIGHUP", "SIGSTOP"),
}
"""Modules and names that Windows lacks, and the tests' own module of a terminal."""
OPEN_FILES = Path("/proc/self/fd")


def uses_posix(node: ast.AST) -> bool:
    """Return whether code names something that Windows lacks, in a function or outside of any."""
    for part in ast.walk(node):
        names = [part.attr] if isinstance(part, ast.Attribute) else []
        if isinstance(part, ast.Import):
            names = [alias.name for alias in part.names]
        if not POSIX.isdisjoint(names):
            return True
    return False


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.name)
def test_what_needs_more_than_windows_has_is_left_out_there(path: Path) -> None:
    name = path.relative_to(TESTS).as_posix()
    if any(name == left_out or name.startswith(f"{left_out}/") for left_out in NEEDS_POSIX):
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        marks = map(ast.unparse, getattr(node, "decorator_list", ()))
        is_guarded = "pytest.mark.posix" in marks or "hasattr(os" in ast.unparse(node)
        is_helper = isinstance(node, ast.FunctionDef) and not node.name.startswith("test_")
        assert is_guarded or is_helper or not uses_posix(node), f"line {node.lineno} of {name}"


@pytest.fixture
def locked_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody rename or delete a file that is open, whoever has opened it."""
    if not OPEN_FILES.is_dir():
        pytest.skip("only Linux lists the open files of a process there")

    def is_same(link: Path, path: Path) -> bool:
        try:
            return link.samefile(path)
        except FileNotFoundError:
            return False  # the path is new, or another thread has closed that file

    def check(path: Path) -> None:
        if any(is_same(link, path) for link in OPEN_FILES.iterdir()):
            raise PermissionError(13, "The process cannot access the file", str(path))

    replace, unlink = Path.replace, Path.unlink

    def replacing(path: Path, target: Path) -> Path:
        check(path)
        check(Path(target))
        return replace(path, target)

    def deleting(path: Path, missing_ok: bool = False) -> None:
        check(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "replace", replacing)
    monkeypatch.setattr(Path, "unlink", deleting)


@pytest.fixture
def stocked(tmp_path: Path) -> Iterator[str]:
    with serve(storage=tmp_path / "source") as server:
        images.put(server.address, "app:1", image(layer(1)))
        images.put(server.address, "app:2", image(layer(1), layer(2)))
        yield server.address


@pytest.mark.usefixtures("locked_files")
def test_a_file_that_is_open_is_closed_before_it_is_replaced(stocked: str, tmp_path: Path) -> None:
    payload, ledger = tmp_path / "p.zip", tmp_path / "ledger.zip"
    report, receipt = tmp_path / "report.json", tmp_path / "receipt.zip"
    for name in ("app:1", "app:2"):
        make_payload(stocked, payload, [name], secure=False, ledger=ledger, report=report)
        assert verify_payload(payload) == []
        with serve(storage=tmp_path / "destination") as server:
            pushed = push_payload_to_registry(
                server.address, payload, secure=False, receipt=receipt, report=report
            )
        assert pushed == [name]
    make_payload(stocked, payload, ["app:1"], secure=False, volume_size=2000)
    assert verify_payload(payload) == []


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "cp1252", "cp932", "ascii"])
def test_a_console_shows_what_it_has_and_drops_nothing_else(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    consoles = {
        name: io.TextIOWrapper(io.BytesIO(), encoding, errors, write_through=True)
        for name, errors in (("stdout", "strict"), ("stderr", "backslashreplace"))
    }
    for name, console in consoles.items():
        monkeypatch.setattr(sys, name, console)
    terminal.print_data("app/ελλάδα:1 is there")
    say("café and ελλάδα are there")
    for console in consoles.values():
        content = console.buffer.getvalue()
        assert b"there" in content
        assert content.count(b"\n") == 1


def test_what_is_written_has_the_same_line_ends_everywhere(
    stocked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def translating(path: Path, text: str, *arguments: str | None) -> int:
        return write_text(path, text.replace("\n", "\r\n"), *arguments)

    monkeypatch.setattr(Path, "write_text", translating)
    report, lock = tmp_path / "report.json", tmp_path / "images.lock"
    make_payload(stocked, tmp_path / "p.zip", ["app:1"], secure=False, report=report, lock=lock)
    for file in (report, lock):
        content = file.read_bytes()
        assert b"\n" in content
        assert b"\r" not in content
