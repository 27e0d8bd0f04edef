"""The README and the pages in .github: every block runs as printed, and what they name is there."""

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

PAGES = {page: page.read_text("utf-8") for page in readme.pages()}
PAGE = PAGES[readme.PAGE]
BLOCKS = readme.blocks()
SOURCES = (
    *("registry.example.com", "86541248189.dkr.ecr.eu-west-2.amazonaws.com"),
    *("ghcr.io", "quay.io", "registry-1.docker.io"),
)
DESTINATIONS = ("registry.lan", "harbor.lan", "localhost:5000")
IMAGES = {
    "my-image:1.3": image(layer(1)),
    "my-image:1.4": image(layer(1), layer(2)),
    "my-image:1.8": image(layer(1), layer(2), layer(3)),
    "my-image:1.8.3": image(layer(1), layer(2), layer(8)),
    "my-other-image:1.3": image(layer(1), layer(4)),
    "my-other-image:1.5": image(layer(1), layer(4), layer(5)),
    "my-team/my-image:1.8": image(layer(6)),
    "team/app:2": image(layer(6), layer(9)),
    "library/python:3.13": image(layer(7)),
    "library/python:3.13-slim": image(layer(7)),
}
LOST = "this delivery is lost"
"""What only the block says in which an image is left out with a warning."""
COMPOSE = "services: {web: {image: registry.example.com/my-image:1.8}}"
POD = """{"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [
    {"image": "registry.example.com/my-other-image:1.5"}]}}"""
LOCAL_IMAGE = '{"Repository": "registry.example.com/my-image", "Tag": "1.8", "ID": "5f"}'
PROGRAMS = {
    "docker": f"""case $1 in compose) echo '{COMPOSE}';; images) echo '{LOCAL_IMAGE}';; esac""",
    "kubectl": f"echo '{POD}'",
    "helm": f"echo '{POD}'",
    "kustomize": f"echo '{POD}'",
    "aws": "echo secret",
    "ssh": 'shift; exec "$@"',
    "podman": "true",
    # What they do is tried where a distribution is built, and here, at this moment.
    "pip": "true",
    "pytest": "true",
    "python3": "mkdir -p .venv/bin && touch .venv/bin/activate",
    "sudo": "true",
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
        (folder / "compose.yaml").write_text(COMPOSE)
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
    tutorial = next(b for b in of("bash") if b.heading == "Use as a command line")
    assert world.bash(tutorial.text).returncode == 0
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
    languages = {"bash", "nginx", "python", readme.OUTPUT, "toml", "yaml"}
    assert {block.language for block in BLOCKS} == languages
    for page, text in PAGES.items():
        if page.name != "CHANGELOG.md":  # it shows what calls of release 0.4 become
            assert text.count("```") == 2 * len(readme.blocks_of(page)), page.name


def test_it_is_not_too_long() -> None:
    assert len(PAGE.splitlines()) <= 300


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", readme.BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_it_links_to_is_there(page: Path) -> None:
    for link in [*re.findall(r"\]\(([^)]+)\)", PAGES[page]), *pictures_in(PAGES[page])]:
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            if anchor:
                assert anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", [page for page in PAGES if page != readme.PAGE], ids=str)
def test_the_readme_leads_to_every_page(page: Path) -> None:
    assert f"(.github/{page.name})" in PAGE


def options_of(command: str) -> set[str]:
    """Return the options in the help of a command, but not those in its text and its examples."""
    done = subprocess.run(
        [sys.executable, "-m", "docker_charon", command, "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    _, *panels = re.split(r"^(?=[A-Z].*:$)", done.stdout, flags=re.MULTILINE)
    rows = [
        row
        for panel in panels
        if not panel.startswith("Example")
        for row in re.findall(r"^  (-\w, )?(--[a-z-]+)", panel, re.MULTILINE)
    ]
    return {name.rstrip(", ") for row in rows for name in row if name} - {"-h", "--help"}


def test_the_table_of_options_has_those_that_each_command_has() -> None:
    text = next(text for page, text in PAGES.items() if page.name == "OPTIONS.md")
    commands = [
        *("make-payload", "push-payload", "verify-payload", "inspect-payload"),
        *("make-inventory", "serve", "demo"),
    ]
    table = text[text.index("| option |") :].partition("\n\n")[0]
    header, _, *rows = table.splitlines()
    columns = [cell.strip() for cell in header.split("|")[2:-2]]
    assert all(column in name for column, name in zip(columns, commands, strict=True))
    listed: dict[str, set[str]] = {command: set() for command in commands}
    for row in rows:
        names, *marks = (cell.strip() for cell in row.split("|")[1:-2])
        for command, mark in zip(commands, marks, strict=True):
            if mark:
                listed[command] |= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", names))
    for command, options in listed.items():
        assert options == options_of(command), command


TABLES = [text for text in PAGES.values() if "| the message |" in text]


@pytest.mark.parametrize("text", TABLES, ids=["README", "GUIDE"])
def test_every_message_of_its_table_can_come(text: str) -> None:
    package = Path(docker_charon.__file__).parent
    source = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    table = text[text.index("| the message |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        for message in re.findall(r"`([^`]+)`", row.split("|")[1]):
            for part in re.split(r"…|\d+|\b[a-z]+/[a-z0-9]+\b|my-image:1\.8|[A-Z_]{6,}", message):
                words = part.strip(" ,;")
                assert words in source, (message, words)


def pictures_in(text: str) -> list[str]:
    return re.findall(r'(?:!\[\]\(|<img src=")([^)"]+)', text)


def test_its_pictures_are_small() -> None:
    pictures = pictures_in(PAGE)
    assert len(pictures) == len(set(pictures)) >= 5
    for picture in pictures:
        assert (readme.PAGE.parent / picture).stat().st_size < 150_000
