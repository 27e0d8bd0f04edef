"""Transfers on file systems that refuse what is not necessary: nothing of it ends a transfer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from conftest import require
from docker_charon import verify_payload
from images import image, layer
from refusing_file_system import compiled, is_possible, refusing
from repetition import repeated

APP = image(layer(1, 400_000), layer(2))
MORE = image(layer(1, 400_000), layer(3, 900_000))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that refuses."""
    require(is_possible(), "gcc")
    return compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture(params=repeated(["EPERM", "ENOSYS", "EINVAL", "ENOTSUP", "EACCES"], always=1))
def environment(request: pytest.FixtureRequest, library: Path) -> dict[str, str]:
    return {**os.environ, **refusing(library, request.param)}


def run(environment: dict[str, str], *arguments: object, stdin: bytes = b"") -> bytes:
    """Run a command on such a file system; return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "docker_charon", *map(str, arguments)],
        env=environment,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_payload_is_made_replaced_and_pushed(
    source: str, destination: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    images.put(source, "app:1", APP)
    images.put(source, "app:2", MORE)
    file = tmp_path / "p.zip"
    make = ["make-payload", "-q", "-r", source, "-i", "-f", file]
    run(environment, *make, "app:1")
    run(environment, *make, "app:2")
    assert verify_payload(file) == []
    assert [path.name for path in tmp_path.glob("p.zip*")] == ["p.zip"]
    push = ["push-payload", "-q", "-r", destination, "-i"]
    assert run(environment, *push, stdin=file.read_bytes()) == b"app:2\n"
    assert images.read(destination, "app:2") == MORE.contents()


def test_a_payload_is_replaced_where_a_rename_replaces_nothing(
    source: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    images.put(source, "app:1", APP)
    images.put(source, "app:2", MORE)
    environment["REFUSED_REPLACE"] = "1"
    for name in ("app:1", "app:2"):
        make = ["make-payload", "-q", "-r", source, "-i", "-f", tmp_path / "p.zip", name]
        run(environment, *make)
        assert verify_payload(tmp_path / "p.zip") == []


def test_a_payload_in_volumes_is_made_and_replaced(
    source: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    images.put(source, "app:1", APP)
    images.put(source, "app:2", MORE)
    for name in ("app:1", "app:2"):
        make = ["make-payload", "-q", "-r", source, "-i", "-f", tmp_path / "p.zip"]
        run(environment, *make, "--volume-size", "300kB", name)
        assert verify_payload(tmp_path / "p.zip") == []


@pytest.fixture
def storage(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run a registry whose directory is on such a file system; yield its address."""
    command = [sys.executable, "-m", "docker_charon", "serve", "--port", "0", "--storage"]
    process = subprocess.Popen(
        [*command, tmp_path / "storage"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait(60)
    process.stdout.close()


def test_serve_keeps_what_is_pushed(
    source: str, storage: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "p.zip"
    for name, content in (("app:1", APP), ("app:2", MORE)):
        images.put(source, name, content)
        run(environment, "make-payload", "-q", "-r", source, "-i", "-f", file, name)
        run(environment, "push-payload", "-q", "-r", storage, "-i", "-f", file)
        assert images.read(storage, name) == content.contents()
