"""A server that signals end at random moments: what its directory lists can be pulled."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

import images
from distribution import Api
from docker_charon import serve
from faults.ends import ends
from images import TestImage, artifact, image, index, layer

CLIENTS = 4
LONGEST = 0.6
"""Seconds from the first request to the latest kill."""


@functools.cache
def pushed_image(number: int) -> TestImage:
    """Return an image with two platforms that shares a layer with all others."""
    shared, size = layer(1, 40_000), 20_000
    return index(
        image(shared, layer(100 + number, size), media_type=images.OCI),
        image(shared, layer(200 + number, size), media_type=images.OCI),
    )


@contextlib.contextmanager
def server_process(storage: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "docker_charon", "serve", "--storage", str(storage), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def push_on(address: str, client: int) -> int:
    """Push images and their signatures until the server is gone; return how many it took."""
    done = 0
    with contextlib.suppress(requests.RequestException):
        while True:
            wanted = pushed_image(client * 20 + done % 20)
            images.put(address, f"app{client}:{done % 3}", wanted)  # tags move, too
            signature = artifact(layer(300 + done, 100), subject=wanted.descriptor)
            images.put(address, f"app{client}:{signature.digest}", signature)
            done += 1
    return done


def blob(storage: Path, digest: str) -> bytes:
    """Return a blob whose bytes are those that its name says."""
    content = (storage / "blobs" / digest.replace(":", "/")).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    return content


def check_manifest(storage: Path, digest: str) -> None:
    document = json.loads(blob(storage, digest))
    for child in document.get("manifests", ()):
        check_manifest(storage, child["digest"])
    if "config" in document:
        for each in (document["config"], *document["layers"]):
            assert len(blob(storage, each["digest"])) == each["size"]


def check_layout(storage: Path) -> int:
    """See that the layout is whole, as another program reads it; return how much it lists."""
    assert json.loads((storage / "oci-layout").read_bytes())["imageLayoutVersion"] == "1.0.0"
    entries = json.loads((storage / "index.json").read_bytes())["manifests"]
    for entry in entries:
        check_manifest(storage, entry["digest"])
    for path in (storage / "blobs" / "sha256").iterdir():
        blob(storage, f"sha256:{path.name}")
    return len(entries)


@pytest.mark.parametrize(("seed", "how"), ends())
def test_what_is_listed_can_be_pulled_whenever_the_server_is_ended(
    tmp_path: Path, seed: int, how: signal.Signals
) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable on purpose
    for _ in range(2):  # the second one goes on with what the first one has left
        with (
            server_process(tmp_path / "storage") as (process, address),
            ThreadPoolExecutor(CLIENTS) as clients,
        ):
            pushing = [clients.submit(push_on, address, client) for client in range(CLIENTS)]
            time.sleep(rng.uniform(0, LONGEST))
            process.send_signal(how)
            counts = [each.result() for each in pushing]
        listed = check_layout(tmp_path / "storage")
        assert listed >= (1 if any(counts) else 0)
    whole = [pushed_image(number).contents() for number in range(CLIENTS * 20)]
    with serve(storage=tmp_path / "storage") as server:
        api = Api(server.address)
        for repository in api("GET", "_catalog").json()["repositories"]:
            for tag in api("GET", f"{repository}/tags/list").json()["tags"]:
                name = f"{repository}:{tag}"
                found = images.read(server.address, name)
                assert found is not None
                assert found in whole
                images.put(server.address, name, image(layer(999)))
        uploads = tmp_path / "storage" / ".docker-charon" / "uploads"
        assert list(uploads.iterdir()) == []
    assert not uploads.exists()


def test_what_has_been_acknowledged_stays(tmp_path: Path) -> None:
    wanted = pushed_image(1)
    with server_process(tmp_path) as (process, address):
        images.put(address, "app:1", wanted)
        process.kill()
    with serve(storage=tmp_path) as server:
        assert images.read(server.address, "app:1") == wanted.contents()
