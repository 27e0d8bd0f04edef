"""What the program loads when it starts: only what a command needs, so that it starts quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import images
from docker_charon import serve
from images import image, layer

RUN = "from docker_charon.cli.program import main; main()"
REPORT = """
import atexit, json, sys

def compiled(name):
    # Return the dataclasses of a module whose methods Python has compiled when it was loaded.
    classes = [value for value in vars(sys.modules[name]).values() if isinstance(value, type)]
    return [
        value.__name__
        for value in classes
        if value.__module__ == name
        and hasattr(value, "__dataclass_fields__")
        and value.__init__.__code__.co_filename == "<string>"
    ]

def report(file):
    names = sys.modules.keys() - before
    modules = {name: compiled(name) for name in names if name.startswith("docker_charon")}
    with open(file, "w") as stream:
        json.dump({"modules": modules, "others": [*names]}, stream)

atexit.register(report, sys.argv.pop(1))
before = {*sys.modules}  # coverage may load modules of its own
"""


class Start:
    """What one program has loaded: our own modules, and all others."""

    def __init__(self, folder: Path, program: str, *arguments: object, status: int = 0) -> None:
        file = folder / "loaded.json"
        command = [sys.executable, "-c", REPORT + program, str(file), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        loaded = json.loads(file.read_text())
        self.own = {name.partition(".")[2] for name in loaded["modules"]}
        self.compiled = {value for values in loaded["modules"].values() for value in values}
        self.packages = {name.partition(".")[0] for name in loaded["others"]}
        self.all = {*loaded["others"]}


def test_the_package_loads_nothing_before_it_is_used(tmp_path: Path) -> None:
    start = Start(tmp_path, "import docker_charon")
    assert start.own == {""}
    assert not start.packages & {"dataclasses", "pathlib", "requests", "typing", "typer"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["make-payload", "--help"], 0),
        (["push-payload", "--help"], 0),
        (["make-payload"], 2),
        (["make-payload", "-r", "localhost:1", "--key", "k.pem", "app:1"], 2),
        (["push-payload", "-r", "localhost:1", "--sign", "k", "-f", "p.zip"], 2),
        (["make-inventory", "-r", "a:1,b:1", "-u", "me", "-p", "secret", "-f", "i.zip"], 2),
        (["no-such-command"], 2),
        (["make-payload", "-r", "localhost:1", "--no-such-option", "app:1"], 2),
    ],
)
def test_help_and_errors_of_usage_load_no_http(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    start = Start(tmp_path, RUN, *arguments, status=status)
    assert not start.packages & {"requests", "ssl", "http", "tqdm", "rich", "pydantic"}
    assert not {name.partition(".")[0] for name in start.own} & {"registry", "server"}


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Make a payload of one small image, without any option that needs more than that."""
    folder = tmp_path_factory.mktemp("making")
    with serve(storage=folder / "source") as server:
        images.put(server.address, "app:1", image(layer(1)))
        options = ["-r", server.address, "-i", "-f", folder / "p.zip"]
        return Start(folder, RUN, "make-payload", *options, "app:1")


def test_a_payload_of_one_image_loads_no_other_features(making: Start) -> None:
    packages = {name.partition(".")[0] for name in making.own if "." in name}
    assert packages == {"cli", "lists", "oci", "payload", "progress", "registry", "transfer"}
    assert {name for name in making.own if name.startswith("lists.")} == {"lists.comma_list"}
    assert not making.own & {
        *("oci.version", "payload.reader", "progress.bar", "transfer.ledger"),
        *("transfer.naming.tag_choice", "transfer.push", "transfer.inventory"),
    }
    assert not making.all & {
        *("concurrent.futures", "decimal", "pydantic", "rich", "tqdm"),
    }


def test_a_payload_of_one_image_loads_about_a_hundred_modules(making: Start) -> None:
    assert len(making.own) <= 115, sorted(making.own)


def test_no_dataclass_is_compiled_at_the_start(making: Start) -> None:
    """Each takes nearly a millisecond; `docker_charon.value` has a decorator that does not."""
    assert not making.compiled
