"""Mutants of payloads, the same in every run; ``FUZZ_MUTANTS=20000`` tries more of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docker_charon.oci.manifest import Manifest
from fuzz.destination import Destination
from fuzz.examination import examine
from fuzz.mutation import RIGHT, SOUND, mutant
from images import image, layer

MUTANTS = int(os.environ.get("FUZZ_MUTANTS", "500"))
AT_A_TIME = 2500
MOST_MEMORY = 200  # MiB
PROGRAM = Path(__file__).parent / "run.py"


def run(*arguments: object) -> dict[str, Any]:
    """Examine in a process of its own; return what it found.

    Its memory is measured, so nothing counts the lines that it runs.
    """
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("first", range(0, MUTANTS, AT_A_TIME))
def test_a_mutant_is_right_or_refused(first: int) -> None:
    found = run(first, min(AT_A_TIME, MUTANTS - first))
    assert found["wrong"] == []
    assert found["peak"] < MOST_MEMORY
    # Neither end is the only one that is ever tried.
    assert all(found["ends"][end] for end in ("whole", "told", "pushed", "refused"))


@pytest.mark.parametrize("sound", SOUND)
def test_what_is_sound_passes(sound: Any) -> None:
    ends = examine(sound.content, sound.there, RIGHT, jobs=4)
    assert ends[0] == "whole"
    assert ends[2].endswith("pushed")
    assert not ends[2].startswith("0")


def test_a_seed_gives_the_same_mutant_again() -> None:
    assert mutant(1) == mutant(1) != mutant(2)


def test_the_destination_takes_nothing_that_is_incomplete() -> None:
    """Else it would be no judge of what arrives."""
    manifest = Manifest.parse(image(layer(1)).manifest)
    with pytest.raises(AssertionError, match="what is not there"):
        Destination({}).put_manifest("app", "1", manifest)
