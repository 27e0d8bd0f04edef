"""What is published: a wheel and an sdist, what is in them, and how they get to a machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from conftest import require

ROOT = Path(__file__).parent.parent.parent
URL = "https://github.com/gabrieldemarmiesse/docker-charon"
NO_NETWORK = ("No matching distribution", "Could not find a version")
PIP = [sys.executable, "-m", "pip", "--quiet"]


def run(*command: object) -> str:
    """Run a command; return its standard output. Skip where PyPI cannot be reached."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    require(not any(words in told for words in NO_NETWORK), "what it takes to build, from PyPI")
    assert done.returncode == 0, told
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and out of it the wheel."""
    require(find_spec("build") is not None, "build")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [file] = dist.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    [file] = dist.glob("*.tar.gz")
    return file


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Metadata:
    """Return what the wheel says of itself, once it is found to be well-formed."""
    with zipfile.ZipFile(wheel) as archive:
        [entry] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Metadata.from_email(archive.read(entry), validate=True)


def sources() -> set[str]:
    source = ROOT / "src"
    return {path.relative_to(source).as_posix() for path in source.rglob("*.py")}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    prefix = "-".join(wheel.name.split("-")[:2])
    about = {f"{prefix}.dist-info/{name}" for name in info}
    assert names == {*sources(), "docker_charon/py.typed", *about}


def test_the_sdist_holds_what_it_takes_to_build_and_to_test(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        paths = {Path(*Path(name).parts[1:]) for name in archive.getnames()}
    top = {path.parts[0] for path in paths}
    files = {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert top == {*files, ".ci", ".github", "images", "src", "tests"}
    assert {Path("src", name) for name in sources()} <= paths
    assert {Path(".ci/run"), Path("tests/conftest.py"), Path("src/docker_charon/py.typed")} <= paths
    kinds = {path.suffix for path in paths} - {""}
    assert kinds <= {".jpg", ".md", ".txt", ".png", ".py", ".svg", ".toml", ".typed", ".yml"}, kinds


def test_it_says_what_it_is(metadata: Metadata) -> None:
    assert metadata.name == "docker-charon"
    assert metadata.license_expression == "MIT"
    assert str(metadata.requires_python) == ">=3.10"
    assert {"Changelog", "Documentation", "Issues", "Source"} <= set(metadata.project_urls or {})
    required = {
        requirement.name for requirement in metadata.requires_dist or () if not requirement.marker
    }
    assert required == {"requests", "tqdm", "typer", "urllib3"}


def test_every_python_that_it_names_is_tested(metadata: Metadata) -> None:
    kinds = [kind.split(" :: ") for kind in metadata.classifiers or ()]
    named = [kind[-1] for kind in kinds if kind[0] == "Programming Language" and "." in kind[-1]]
    matrix = ", ".join(f'"{version}"' for version in named)
    assert f"python: [{matrix}]" in (ROOT / ".github/workflows/ci.yml").read_text()
    assert f"for version in {' '.join(named)}; do" in (ROOT / ".ci/other-pythons").read_text()


def test_the_page_on_pypi_shows_pictures_and_leads_somewhere(metadata: Metadata) -> None:
    page = metadata.description or ""
    targets = re.findall(r"\]\(([^)\s]+)", page)
    pictures = [target for target in targets if target.endswith((".jpg", ".png"))]
    assert pictures
    raw = URL.replace("//github.com", "//raw.githubusercontent.com")
    for picture in pictures:
        assert picture.startswith(f"{raw}/v{metadata.version}/images/")
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_it_is_carried_in_a_folder_of_wheels_and_installed_without_a_network(
    wheel: Path, tmp_path: Path
) -> None:
    run(*PIP, "download", wheel, "--only-binary=:all:", "-d", tmp_path / "wheels")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    offline = ["--isolated", "--no-index", "--find-links", tmp_path / "wheels"]
    there = ["--python", scripts / "python", "install", "--no-compile"]
    run(*PIP, *there, *offline, "docker-charon")
    assert "Usage: docker-charon" in run(scripts / "docker-charon", "--help")
    assert "Usage: docker-charon" in run(scripts / "python", "-m", "docker_charon", "--help")
