"""What is published: a wheel and an sdist, what is in them, and how they get to a machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

import readme
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
    kinds = {path.suffix for path in paths if path.parts[:1] != ("tests",)} - {""}
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
    targets = re.findall(r'(?:\]\(|src=")([^)"\s]+)', page)
    pictures = [target for target in targets if target.endswith((".jpg", ".png", ".svg"))]
    assert pictures
    raw = URL.replace("//github.com", "//raw.githubusercontent.com")
    for picture in pictures:
        assert picture.startswith(f"{raw}/v{metadata.version}/images/")
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


@pytest.fixture(scope="module")
def carried(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download the wheels as the README says, with the wheel from here as docker-charon."""
    [block] = [block for block in readme.blocks() if "pip download" in block.text]
    [command] = [line for line in block.text.splitlines() if line.startswith("pip download")]
    words = [str(wheel) if word == "docker-charon" else word for word in shlex.split(command)]
    folder = tmp_path_factory.mktemp("carried")
    words[words.index("-d") + 1] = str(folder)
    run(*PIP, *words[1:])
    return folder


def test_the_wheels_that_are_carried_run_on_every_platform(carried: Path) -> None:
    assert [file.name for file in carried.iterdir() if not file.stem.endswith("-none-any")] == []


def test_the_wheels_that_are_carried_have_the_versions_that_pip_installs(
    wheel: Path, carried: Path
) -> None:
    # A dependency whose newest release is compiled, without a wheel for every platform, would be
    # carried in an older version, or be missing.
    report = run(*PIP, "install", "--dry-run", "--ignore-installed", "--report", "-", wheel)
    installed = {
        (canonicalize_name(item["metadata"]["name"]), Version(item["metadata"]["version"]))
        for item in json.loads(report)["install"]
    }
    assert {parse_wheel_filename(file.name)[:2] for file in carried.iterdir()} == installed


def test_it_is_installed_from_a_folder_of_wheels_without_a_network(
    carried: Path, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    offline = ["--isolated", "--no-index", "--find-links", carried]
    there = ["--python", scripts / "python", "install", "--no-compile"]
    run(*PIP, *there, *offline, "docker-charon")
    assert "Usage: docker-charon" in run(scripts / "docker-charon", "--help")
    assert "Usage: docker-charon" in run(scripts / "python", "-m", "docker_charon", "--help")


def test_the_sdist_starts_where_it_is_unpacked(sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    done = subprocess.run(
        [sys.executable, "-m", "docker_charon", "--help"],
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Usage: docker-charon" in done.stdout, done.stderr


PURE_PYTHON = """
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

def source_files_only(folder):
    if "-packages" not in folder:
        raise ImportError("not a folder of installed packages")
    return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))

sys.path_hooks.insert(0, source_files_only)
sys.path_importer_cache.clear()
"""
"""The first lines of a program that then cannot import the compiled modules of any package."""


def run_pure(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PURE_PYTHON + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_whole_trip_needs_no_compiled_package() -> None:
    script = """
sys.argv = ["docker-charon", "demo"]
from docker_charon.cli.program import main
try:
    main()
finally:
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    compiled = [file for file in files if "-packages" in file and not file.endswith(".py")]
    print([file for file in compiled if "/coverage/" not in file])  # it may count these tests
"""
    trip = run_pure(script)
    assert trip.returncode == 0, trip.stderr
    assert trip.stdout.splitlines()[-1] == "[]"


def test_a_compiled_package_would_be_noticed(tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / f"compiled{EXTENSION_SUFFIXES[0]}").touch()
    script = f"sys.path.append({str(packages)!r})\nimport compiled"
    assert "No module named 'compiled'" in run_pure(script).stderr
