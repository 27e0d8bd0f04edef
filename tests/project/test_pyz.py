"""docker-charon.pyz: the whole tool in one file, for a Python that has no packages at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import certificates
import images
import registries
from conftest import require
from docker_charon.cli.commands import app
from images import image, layer

BUILD = Path(__file__).parent.parent.parent / ".ci/build-pyz"
pytestmark = pytest.mark.slow  # the file is built with packages from PyPI
BARE_PYTHON = [sys.executable, "-I", "-S"]  # neither environment variables nor site-packages


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the file, once for all tests."""
    file = tmp_path_factory.mktemp("pyz") / "docker-charon.pyz"
    built = subprocess.run(
        [sys.executable, str(BUILD), str(file)], capture_output=True, text=True, check=False
    )
    if built.returncode:
        require("No matching distribution" not in built.stderr, "what the file brings, from PyPI")
        pytest.fail(built.stderr)
    return file


def run(pyz: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*BARE_PYTHON, str(pyz), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def ask(pyz: Path, expression: str) -> str:
    """Evaluate an expression where only the file can be imported from."""
    script = f"import sys; sys.path.insert(0, {str(pyz)!r}); print({expression})"
    done = subprocess.run(
        [*BARE_PYTHON, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_python_of_these_tests_is_bare() -> None:
    done = subprocess.run([*BARE_PYTHON, "-c", "import requests"], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in done.stderr


def test_every_page_of_help_is_there(pyz: Path) -> None:
    for command in [[], *([command.name] for command in app.registered_commands)]:
        done = run(pyz, *command, "--help")
        assert done.returncode == 0, done.stderr
        assert f"Usage: {' '.join(['docker-charon', *map(str, command)])}" in done.stdout


def test_wrong_usage_is_one_line(pyz: Path) -> None:
    done = run(pyz, "push-payload", "--jobs", "many")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_it_starts_by_itself(pyz: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(pyz), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert "Usage: docker-charon" in done.stdout, done.stderr


def test_images_arrive(pyz: Path, source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "base:1", image(layer(1)))
    app = images.put(source, "app:2", image(layer(1), layer(2)))
    payload = tmp_path / "p.zip"
    made = run(pyz, "make-payload", "-q", "-r", source, "-i", "-f", payload, "base:1", "app:2")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    pushed = run(pyz, "push-payload", "-q", "-r", destination, "-i", "-f", payload)
    assert (pushed.returncode, pushed.stdout, pushed.stderr) == (0, "base:1\napp:2\n", "")
    assert images.read(destination, "app:2") == app.contents()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_it_trusts_the_authorities_that_it_brings_and_the_one_that_is_named(
    pyz: Path, tmp_path: Path
) -> None:
    require(certificates.is_installed(), certificates.PROGRAM)
    require(registries.is_installed(), registries.PROGRAM)
    bundle = "open(__import__('requests').certs.where()).read().count('BEGIN CERTIFICATE')"
    assert int(ask(pyz, bundle)) > 50
    authority = certificates.authority(tmp_path)
    server = certificates.server_certificate(authority, tmp_path)
    tls = {"tls": {"certificate": str(server.file), "key": str(server.key)}}
    with registries.docker_registry(tmp_path / "registry", http=tls) as registry:
        command = ["make-payload", "-r", registry, "-f", tmp_path / "p.zip", "app:1"]
        unknown = run(pyz, *command)
        known = run(pyz, *command, "--cacert", authority.file)
    assert f"the certificate of {registry} is not trusted" in unknown.stderr
    assert f"{registry} has no app:1" in known.stderr


def test_it_knows_its_version(pyz: Path) -> None:
    found = ask(pyz, "__import__('importlib.metadata').metadata.version('docker-charon')")
    assert found == version("docker-charon")


def test_it_holds_what_is_the_same_everywhere_and_nothing_of_where_it_was_built(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        entries = archive.infolist()
        content = b"".join(map(archive.read, entries))
    names = {entry.filename for entry in entries}
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc"))]
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert str(BUILD.parent.parent).encode() not in content
    assert {"__main__.py", "docker_charon/py.typed", "certifi/cacert.pem"} <= names
    assert pyz.stat().st_mode & stat.S_IXOTH


def test_whose_work_it_brings_it_names(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        names = archive.namelist()
    projects = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    assert len(projects) > 5
    for project in projects:
        licences = [name for name in names if name.startswith(project) and "LICEN" in name.upper()]
        assert licences, project
