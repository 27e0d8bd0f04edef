"""Mutants of payloads, the same in every run; ``FUZZ_MUTANTS=20000`` tries more of them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from docker_charon.oci.manifest import Manifest
from fuzz.destination import Destination
from fuzz.examination import examine
from fuzz.mutation import RIGHT, SOUND, mutant
from fuzz.process import MOST_MEMORY, run
from images import image, layer

MUTANTS = int(os.environ.get("FUZZ_MUTANTS", "500"))
AT_A_TIME = 2500


@pytest.mark.parametrize("first", range(0, MUTANTS, AT_A_TIME))
def test_a_mutant_is_right_or_refused(first: int) -> None:
    found = run(first, min(AT_A_TIME, MUTANTS - first))
    assert found["wrong"] == []
    assert found["peak"] < MOST_MEMORY
    # Neither end is the only one that is ever tried.
    assert all(found["ends"][end] for end in ("whole", "reported", "pushed", "refused"))


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
