"""The API as it is typed: what the README shows passes a strict checker, what is wrong does not."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pydoc
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import docker_charon
import readme
from conftest import require

EXAMPLE = """
import io
from pathlib import Path

from docker_charon import (
    BlobNotFound,
    DockerCharonError,
    ImageSummary,
    PayloadSummary,
    ProgressEvent,
    RegistryError,
    Server,
    Summary,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    serve,
    verify_payload,
)

class Sink:
    def write(self, data: bytes) -> None: ...

class Source:
    def read(self, size: int) -> bytes:
        return b""

def show(event: ProgressEvent) -> None:
    print(event.bytes_done, "of", event.bytes_total)

def stream(registry: str) -> list[str]:
    made: Summary = make_payload(registry, Sink(), ["my-image:1"], progress=show)
    print(made.digests["my-image:1"])
    return push_payload_to_registry(registry, Source(), progress=show)

def carry(source: str, destination: str, folder: Path) -> list[str]:
    payload = folder / "payload.zip"
    make_payload(
        source,
        payload,
        ["my-image:1"],
        payloads_already_transferred=[folder / "inventory.zip", io.BytesIO()],
        platforms=["linux/amd64"],
        include_referrers=True,
        jobs=8,
        progress=False,
    )
    findings: list[str] = verify_payload(payload)
    summary: PayloadSummary = inspect_payload(payload)
    image: ImageSummary = summary.images[0]
    names: list[str] = make_inventory(destination, folder / "inventory.zip", secure=False)
    try:
        with payload.open("rb") as file:
            return push_payload_to_registry(destination, file, strict=True, repository_prefix="a")
    except BlobNotFound as error:
        hint: str = error.hint
        raise SystemExit(hint) from error
    except RegistryError as error:
        status: int | None = error.status
        return [*findings, *names, image.name, str(status)]
    except DockerCharonError:
        raise

def run(folder: Path) -> str:
    server: Server
    with serve(storage=folder) as server:
        return server.address
"""
WRONG = """
from docker_charon import make_payload

class Source:
    def read(self, size: int) -> bytes:
        return b""

make_payload("registry.lan", "p.zip", ["app:1"], jobs="many")
make_payload("registry.lan", Source(), ["app:1"])
make_payload("registry.lan", "p.zip", ["app:1"], progress="yes")
"""


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    require(importlib.util.find_spec("mypy") is not None, "mypy")
    (folder / "example.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", folder / "cache"]
    return subprocess.run(
        [*map(str, command), "example.py"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "text", [EXAMPLE, *(block.text for block in readme.blocks() if block.language == "python")]
)
def test_an_example_is_typed(tmp_path: Path, text: str) -> None:
    done = checked(tmp_path, text)
    assert done.returncode == 0, done.stdout


def test_wrong_arguments_are_found(tmp_path: Path) -> None:
    errors = checked(tmp_path, WRONG).stdout
    for argument in ('"jobs" to', "2 to", '"progress" to'):
        assert f'Argument {argument} "make_payload" has incompatible type' in errors


def samples() -> list[str]:
    """Return the samples in the documentation of the package."""
    text = inspect.getdoc(docker_charon) or ""
    parts = re.findall(r"::\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(part) for part in parts]


def test_every_public_function_has_a_sample_with_parameters_that_it_has() -> None:
    called = set()
    for node in ast.walk(ast.parse("\n".join(samples()))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in docker_charon.__all__:
                keywords = {str(keyword.arg): None for keyword in node.keywords}
                inspect.signature(getattr(docker_charon, name)).bind(*node.args, **keywords)
                called.add(name)
    functions = {
        name for name in docker_charon.__all__ if inspect.isfunction(getattr(docker_charon, name))
    }
    assert called == functions


def test_the_samples_are_typed(tmp_path: Path) -> None:
    done = checked(tmp_path, "\n".join(samples()))
    assert done.returncode == 0, done.stdout


def test_the_documentation_shows_all_that_is_public() -> None:
    text = pydoc.plain(pydoc.render_doc(docker_charon))
    for name in docker_charon.__all__:
        assert name in text
        assert getattr(docker_charon, name).__doc__
    assert (
        "strict: Raise an error if the registry lacks something that was given as already" in text
    )
    assert len(dir(docker_charon)) > len(docker_charon.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = docker_charon.nothing
