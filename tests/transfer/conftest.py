"""Fixtures of several modules here: two registries in memory, as images of two origins need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loose_registry import LooseRegistry


@pytest.fixture
def quay() -> Iterator[LooseRegistry]:
    with LooseRegistry() as registry:
        yield registry


@pytest.fixture
def ghcr() -> Iterator[LooseRegistry]:
    with LooseRegistry() as registry:
        yield registry
