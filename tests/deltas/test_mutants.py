"""A delta that was tampered with gives the right bytes or our error, and never anything else.

``DELTA_MUTANTS=20000 pytest tests/deltas/test_mutants.py`` tries more of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltas.mutation import NEW, OLDS_DIGEST, Mutants
from docker_charon.deltas import apply_delta
from docker_charon.errors import DeltaError

MUTANTS = int(os.environ.get("DELTA_MUTANTS", "300"))


@pytest.fixture
def mutants(tmp_path: Path) -> Iterator[Mutants]:
    result = Mutants(tmp_path)
    yield result
    result.close()


def test_mutants_give_the_right_bytes_or_an_error(mutants: Mutants, tmp_path: Path) -> None:
    delta, target = tmp_path / "mutant", tmp_path / "target"
    refused = 0
    for seed in range(MUTANTS):
        delta.write_bytes(mutants.mutant(seed))
        try:
            apply_delta(delta, {OLDS_DIGEST: mutants.old}, target)
            assert target.read_bytes() == NEW, seed
            target.unlink()
        except DeltaError:
            refused += 1
            assert not target.exists(), seed
    assert 0.8 * MUTANTS < refused < MUTANTS


def test_the_sound_one_is_applied(mutants: Mutants, tmp_path: Path) -> None:
    delta, target = tmp_path / "mutant", tmp_path / "target"
    for content in (mutants.sound, mutants.forged(mutants.raw, mutants.structure)):
        delta.write_bytes(content)
        apply_delta(delta, {OLDS_DIGEST: mutants.old}, target)
        assert target.read_bytes() == NEW
