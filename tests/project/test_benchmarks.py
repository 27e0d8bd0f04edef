"""The benchmark: it calls other programs as their users would, even where they are not installed.

Stand-ins of these programs record how they are called. The calls are those that the programs
document: ``regctl image export --help``, ``crane pull --help`` and so on.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.contender import Contender, Crane, CraneFolder, Regctl, copy
from benchmarks.measurement import Command
from benchmarks.workload import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark needs Linux")

REGISTRY = "127.0.0.1:5000"
IMAGE = Image("team/app", "1", [])
NAME = f"{REGISTRY}/team/app:1"
STAND_IN = '#!/bin/sh\necho "${0##*/} $*" >> "$CALLS"\n'

Calls = Callable[[Command], list[str]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return a function that runs a command with stand-ins and returns the calls of these."""
    programs, recorded = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name in ("crane", "regctl"):
        program = programs / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    monkeypatch.setenv("CALLS", str(recorded))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def run(command: Command) -> list[str]:
        subprocess.run(command.argv, check=True)
        return recorded.read_text().splitlines()

    return run


@pytest.mark.parametrize(
    ("contender", "step", "expected"),
    [
        (
            Regctl(),
            "make",
            f"regctl --host reg={REGISTRY},tls=disabled image export {NAME} FOLDER/image.tar",
        ),
        (
            Regctl(),
            "push",
            f"regctl --host reg={REGISTRY},tls=disabled image import {NAME} FOLDER/image.tar",
        ),
        (Crane(), "make", f"crane pull --insecure --format tarball {NAME} FOLDER/image.tar"),
        (Crane(), "push", f"crane push --insecure FOLDER/image.tar {NAME}"),
        (CraneFolder(), "make", f"crane pull --insecure --format oci {NAME} FOLDER/layout"),
        (CraneFolder(), "push", f"crane push --insecure FOLDER/layout {NAME}"),
    ],
    ids=lambda value: value.name if isinstance(value, Contender) else None,
)
def test_a_peer_is_called_as_it_documents(
    contender: Contender, step: str, expected: str, tmp_path: Path, calls: Calls
) -> None:
    command = getattr(contender, step)(REGISTRY, IMAGE, tmp_path)
    assert calls(command) == [expected.replace("FOLDER", str(tmp_path))]


def test_the_yardstick_copies_the_same_bytes(tmp_path: Path) -> None:
    payload, folder = tmp_path / "payload.zip", tmp_path / "folder"
    payload.write_bytes(bytes(range(256)) * 5000)
    folder.mkdir()
    subprocess.run(copy(payload, folder).argv, check=True)
    assert (folder / "payload.zip").read_bytes() == payload.read_bytes()
