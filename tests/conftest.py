"""Fixtures that more than one module needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import registries


@pytest.fixture(autouse=True)
def _nobodys_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what the person at the keyboard is logged in to out of the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("DOCKER_CONFIG", "DOCKER_CHARON_USERNAME", "DOCKER_CHARON_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)


def require_registry() -> None:
    """Skip where ``docker-registry`` is missing, save in CI: there that is a failure."""
    if not registries.is_installed():
        if os.environ.get("CI"):
            pytest.fail(f"{registries.PROGRAM} is not installed")
        pytest.skip(f"{registries.PROGRAM} is not installed")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[str]:
    """Run the registry of the connected side; its ``host:port``."""
    require_registry()
    with registries.docker_registry(tmp_path / "source") as address:
        yield address


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[str]:
    """Run the registry of the air-gapped side; its ``host:port``."""
    require_registry()
    with registries.docker_registry(tmp_path / "destination") as address:
        yield address
