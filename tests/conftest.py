"""Fixtures that more than one module needs: registries, recorded requests, a clean environment."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

import registries
from docker_charon import serve
from docker_charon.deltas.process import apply_delta_in_process
from docker_charon.registry import access, credentials
from docker_charon.registry.retry import ONCE, RetryPolicy
from docker_charon.server import server
from registries import SharedRegistries

NEEDS_POSIX = [
    "cli/test_arguments.py",
    "cli/test_commands.py",
    "cli/test_program.py",
    "cli/test_volume_options.py",
    "faults",
    "fuzz",
    "payload/archives/test_source.py",
    "progress/test_progress.py",
    "project/test_readme.py",
    "server/test_server.py",
    "transfer/test_resume.py",
]
"""Tests that need a terminal, a shell, signals, pipes or limits of POSIX."""
if sys.platform == "win32":
    collect_ignore = NEEDS_POSIX
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


def pytest_configure() -> None:
    """Remove the machine's proxies from the environment, and let programs receive signals.

    Without the latter, programs that the tests start ignore SIGINT if the tests run in the
    background, and SIGHUP if they run under nohup.
    """
    for variable in PROXY_VARIABLES:
        os.environ.pop(variable, None)
        os.environ.pop(variable.lower(), None)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on Windows the tests that are marked ``posix``."""
    if sys.platform == "win32":
        for item in items:
            if item.get_closest_marker("posix"):
                item.add_marker(pytest.mark.skip(reason="Windows has nothing of the kind"))


def set_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make ``folder`` the home of the user, on Windows too."""
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder))


@pytest.fixture(autouse=True)
def _nobodys_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the logins of the person who runs the tests."""
    set_home(monkeypatch, tmp_path / "home")
    for variable in (
        "DOCKER_AUTH_CONFIG",
        "DOCKER_CONFIG",
        "DOCKER_CHARON_USERNAME",
        "DOCKER_CHARON_PASSWORD",
        "REGISTRY_AUTH_FILE",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(credentials, "RUN_CONTAINERS", tmp_path / "run-containers")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for almost no time between two tries, for no registry that is away, and for no end."""
    monkeypatch.setattr(access, "RETRY", RetryPolicy(backoff=0.001, when_away=False))
    monkeypatch.setattr(server, "_POLL_INTERVAL", 0.01)


@pytest.fixture
def _one_try(_short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Try nothing twice."""
    monkeypatch.setattr(access, "RETRY", ONCE)


def require(present: bool, what: str) -> None:
    """Skip the test if ``what`` is not installed; if ``CI`` is set, fail instead."""
    if not present:
        if os.environ.get("CI"):
            pytest.fail(f"{what} is not installed")
        pytest.skip(f"{what} is not installed")


def require_registry() -> None:
    """Skip the test if docker-registry is not installed; if ``CI`` is set, fail instead."""
    require(registries.is_installed(), registries.PROGRAM)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of modules with ``WITH_BOTH_REGISTRIES`` with docker-registry and our own.

    Where docker-registry is installed, the runs with our own are marked ``embedded``.
    """
    both = getattr(metafunc.module, "WITH_BOTH_REGISTRIES", False)
    if (
        both
        and "kind" in metafunc.fixturenames
        and "only_docker_registry" not in metafunc.fixturenames
    ):
        marks = [pytest.mark.embedded] if registries.is_installed() else []
        kinds = ["docker-registry", pytest.param("embedded", marks=marks)]
        metafunc.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Return which registry the test uses: docker-registry, or our own if that is not installed."""
    wanted: str | None = getattr(request, "param", None)
    if wanted is None:
        is_there = registries.is_installed() or os.environ.get("CI")
        wanted = "docker-registry" if is_there else "embedded"
    if wanted == "docker-registry":
        require_registry()
    return wanted


@pytest.fixture
def only_docker_registry(kind: str) -> None:
    """Skip the test with the embedded registry, which lacks the behaviour that it is about."""
    if kind == "embedded":
        pytest.skip("this test needs docker-registry")


@pytest.fixture(scope="session")
def shared_registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRegistries]:
    """Return docker-registry processes that the tests use one after the other."""
    with SharedRegistries(tmp_path_factory.mktemp("registries")) as shared:
        yield shared


@contextlib.contextmanager
def running(kind: str, root: Path, shared: SharedRegistries) -> Iterator[str]:
    """Run an empty registry of this kind, with its files below ``root``; yield its address."""
    if kind == "embedded":
        with serve(storage=root) as server:
            yield server.address
    else:
        with shared.empty(root) as address:
            yield address


@pytest.fixture
def source(kind: str, tmp_path: Path, shared_registries: SharedRegistries) -> Iterator[str]:
    """Run the registry of the connected side; yield its ``host:port``."""
    with running(kind, tmp_path / "source", shared_registries) as address:
        yield address


@pytest.fixture
def destination(kind: str, tmp_path: Path, shared_registries: SharedRegistries) -> Iterator[str]:
    """Run the registry of the air-gapped side; yield its ``host:port``."""
    with running(kind, tmp_path / "destination", shared_registries) as address:
        yield address


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which all temporary files are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def rebuilt(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the digests of the layers that are rebuilt from deltas, in their order."""
    digests: list[str] = []

    def recording(
        delta: Path, olds: Mapping[str, Path], target: Path, folder: Path, check: Callable[[], None]
    ) -> None:
        digests.append(f"sha256:{target.name}")
        apply_delta_in_process(delta, olds, target, folder, check)

    monkeypatch.setattr(
        "docker_charon.payload.layer_deltas.rebuilt_blobs.apply_delta_in_process", recording
    )
    return digests


@dataclass
class Sent:
    """A request that was sent: its method, its URL, its headers, and the status of its answer."""

    method: str
    url: str
    headers: dict[str, str]
    status: int | None = None
    """``None`` if no answer has come."""

    def is_for(self, method: str, part: str) -> bool:
        return self.method == method and part in self.url


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """Record every request that is sent to any registry."""
    requests: list[Sent] = []
    send = HTTPAdapter.send

    def recording(self: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
        new = Sent(request.method or "", request.url or "", dict(request.headers))
        requests.append(new)
        response = send(self, request, **options)
        new.status = response.status_code
        return response

    monkeypatch.setattr(HTTPAdapter, "send", recording)
    return requests
