"""The README: every block of it runs as it is printed, and what it names is there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import certificates
import docker_charon
import images
import nginx
import readme
from conftest import require
from docker_charon import inspect_payload, make_payload, serve
from docker_charon.registry.http import HTTPSession
from images import image, layer
from readme import Block

PAGE = readme.PAGE.read_text("utf-8")
BLOCKS = readme.blocks()
SOURCES = (
    *("registry.example.com", "86541248189.dkr.ecr.eu-west-2.amazonaws.com"),
    *("ghcr.io", "registry-1.docker.io"),
)
DESTINATIONS = ("registry.lan", "harbor.lan", "localhost:5000")
IMAGES = {
    "my-image:1.3": image(layer(1)),
    "my-image:1.4": image(layer(1), layer(2)),
    "my-image:1.8": image(layer(1), layer(2), layer(3)),
    "my-other-image:1.3": image(layer(1), layer(4)),
    "my-other-image:1.5": image(layer(1), layer(4), layer(5)),
    "my-team/my-image:1.8": image(layer(6)),
    "library/python:3.13-slim": image(layer(7)),
}
LOST = "this delivery is lost"
"""What only the block says in which an image is left out with a warning."""
PROGRAMS = {
    "docker": "echo 'services: {web: {image: registry.example.com/my-image:1.8}}'",
    "kubectl": """echo '{"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [
        {"image": "registry.example.com/my-other-image:1.5"}]}}'""",
    "aws": "echo secret",
    "ssh": 'shift; exec "$@"',
    "podman": "true",
    # What they do is tried where a distribution is built, and here, at this moment.
    "pip": "true",
    "pytest": "true",
}


@dataclass(frozen=True)
class World:
    """Where the README's commands are typed."""

    folder: Path
    source: str
    destination: str
    environment: dict[str, str]

    def bash(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Run the registries of both sides, with a first delivery and an update at hand."""
    folder, programs = tmp_path / "here", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    with (
        serve(storage=tmp_path / "connected") as source,
        serve(storage=tmp_path / "air-gapped") as destination,
    ):
        for name, wanted in IMAGES.items():
            images.put(source.address, name, wanted)
        for name in ("my-image:1.3", "my-image:1.4", "my-other-image:1.3"):
            images.put(destination.address, name, IMAGES[name])
        first, update = folder / "payload.zip", folder / "update.zip"
        make_payload(source.address, first, ["my-image:1.4", "my-other-image:1.3"], secure=False)
        make_payload(
            source.address,
            update,
            ["my-image:1.8", "my-other-image:1.5"],
            secure=False,
            payloads_already_transferred=[first],
        )
        (folder / "robot-secret").write_text("secret\n")
        hosts = dict.fromkeys(SOURCES, source.address)
        hosts |= dict.fromkeys(DESTINATIONS, destination.address)
        led = " ".join(f"{host}={address}" for host, address in hosts.items())
        ours = f'exec {sys.executable} {readme.__file__} {led} -- "$@"'
        for name, script in {**PROGRAMS, "docker-charon": ours}.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_TOKEN": "secret",
        }
        monkeypatch.setattr(HTTPSession, "send", HTTPSession.send)
        readme.lead(hosts)
        monkeypatch.chdir(folder)
        yield World(folder, source.address, destination.address, environment)


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def serves(block: Block) -> bool:
    return "docker-charon serve" in block.text


@pytest.mark.parametrize("block", [b for b in of("bash") if not serves(b)], ids=str)
def test_a_shell_block_runs(world: World, block: Block) -> None:
    done = world.bash(block.text)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if LOST not in block.text:
        assert "warning" not in done.stderr


def test_the_weekly_deliveries_arrive_although_one_is_lost(world: World) -> None:
    (block,) = (b for b in of("bash") if LOST in b.text)
    done = world.bash(block.text)
    assert "this is delivery 3, and delivery 2 has not arrived there" in done.stderr
    for name in ("my-image:1.8", "my-other-image:1.5"):
        assert images.read(world.destination, name) == IMAGES[name].contents()
    assert inspect_payload(world.folder / "site-a.zip").delivery == 4


@pytest.mark.parametrize("block", [b for b in of("bash") if serves(b)], ids=str)
def test_a_block_that_serves_runs_until_it_is_ended(world: World, block: Block) -> None:
    for line in block.text.splitlines():
        if not line.startswith("docker-charon serve"):
            assert world.bash(line).returncode == 0
            continue
        server = subprocess.Popen(
            ["bash", "-c", f"exec {line} --port 0"],
            cwd=world.folder,
            env=world.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        if "--storage" not in line:
            assert images.read(address, "my-image:1.8") == IMAGES["my-image:1.8"].contents()
        server.send_signal(signal.SIGTERM)
        _, told = server.communicate(timeout=60)
        assert (server.returncode, "Traceback" in told) == (0, False)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_a_python_block_runs(world: World, block: Block) -> None:
    names: dict[str, object] = {}
    exec(block.text, names)  # noqa: S102  # it is our own page
    if "docker_images_transferred" in names:
        assert names["docker_images_transferred"] == ["my-image:1.4", "my-other-image:1.3"]


def test_the_tutorial_brings_the_images_over(world: World) -> None:
    tutorial = [b for b in of("bash") if b.heading == "Use as a command line"][:2]
    for block in tutorial:
        assert world.bash(block.text).returncode == 0
    for name in ("my-image:1.8", "my-other-image:1.5"):
        assert images.read(world.destination, name) == IMAGES[name].contents()
    assert (world.folder / "update.zip").stat().st_size < 12_000


@pytest.mark.parametrize("block", of("nginx"), ids=str)
def test_the_reverse_proxy_is_one(tmp_path: Path, block: Block) -> None:
    require(nginx.is_installed(), nginx.PROGRAM)
    require(certificates.is_installed(), certificates.PROGRAM)
    certificate = certificates.authority(tmp_path)
    (tmp_path / "htpasswd").write_text("me:{PLAIN}secret\n")
    text = block.text.replace("/etc/ssl/registry.crt", str(certificate.file))
    text = text.replace("/etc/ssl/registry.key", str(certificate.key))
    text = text.replace("/etc/nginx/htpasswd", str(tmp_path / "htpasswd"))
    assert "/etc/" not in text
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}}}\n"
    )
    command = ["nginx", "-t", "-e", f"{tmp_path}/log", "-c", f"{tmp_path}/nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "syntax is ok" in done.stderr, done.stderr


@pytest.mark.parametrize("block", of("toml", "yaml"), ids=str)
def test_the_mirrors_are_what_clients_read(block: Block) -> None:
    if block.language == "yaml":
        endpoints = yaml.safe_load(block.text)["mirrors"]["registry.lan"]["endpoint"]
        assert endpoints == ["http://127.0.0.1:5000"]
    elif sys.version_info >= (3, 11):
        import tomllib

        assert [*tomllib.loads(block.text)["host"]] == ["http://127.0.0.1:5000"]


def test_no_block_is_left_out() -> None:
    assert {b.language for b in BLOCKS} == {"bash", "nginx", "python", "toml", "yaml"}
    assert PAGE.count("```") == 2 * len(BLOCKS)


def test_it_is_not_too_long() -> None:
    assert len(PAGE.splitlines()) < 560


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", each.lower()).replace(" ", "-") for each in headings}
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif not link.startswith("https://"):
            assert (readme.PAGE.parent / link).exists(), link


def test_every_option_of_its_table_is_one() -> None:
    table = PAGE[PAGE.index("| option | make | push |") :].partition("\n\n")[0]
    environment = {**os.environ, "COLUMNS": "200"}
    helps = [
        subprocess.run(
            [sys.executable, "-m", "docker_charon", command, "--help"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in ("make-payload", "push-payload")
    ]
    shown: list[set[str]] = [set(), set()]
    for row in table.splitlines()[2:]:
        names, *marks = (cell.strip() for cell in row.split("|")[1:4])
        for mark, seen, text in zip(marks, shown, helps, strict=True):
            options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", names))
            if mark == "✓":
                seen |= options
                assert all(re.search(rf"(^|[ ,]){one}\b", text) for one in options), row
            else:
                assert not any(re.search(rf"(^|[ ,]){one}\b", text) for one in options), row
    for seen, text in zip(shown, helps, strict=True):
        every = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)) - {"--help"}
        assert every <= seen


def test_every_message_of_its_table_can_come() -> None:
    package = Path(docker_charon.__file__).parent
    source = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    table = PAGE[PAGE.index("| the message |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        for message in re.findall(r"`([^`]+)`", row.split("|")[1]):
            for part in re.split(r"…|\d+|\b[a-z]+/[a-z0-9]+\b|my-image:1\.8|[A-Z_]{6,}", message):
                words = part.strip(" ,;")
                assert words in source, (message, words)


def test_its_pictures_are_small() -> None:
    for picture in re.findall(r"!\[\]\((.*?)\)", PAGE):
        assert (readme.PAGE.parent / picture).stat().st_size < 150_000
