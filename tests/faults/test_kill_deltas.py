"""Signals at random moments while layer deltas are made, then the same command again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import images
from docker_charon import make_payload
from docker_charon.transfer.layer_deltas import candidates
from faults import processes
from faults.cells import Sides
from faults.ends import ends
from images import digest_of
from layered_images import SIZE, app_layer, image_of
from proxy import Proxy

NAMES = ("base", "app")
DURATION = 2.0
"""Seconds until the end, more or less."""
COMMAND = (
    "from docker_charon.transfer.layer_deltas import candidates; "
    f"candidates.LEAST_SIZE = {SIZE // 2}; "
    "import runpy; runpy.run_module('docker_charon', run_name='__main__')"
)
MARK = "LAYER_DELTAS_ARE_MADE_FOR"
"""An environment variable, by which the processes of a test are found."""


@pytest.fixture(scope="module")
def whole(sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Put two versions into the registry; return the payload that nothing disturbed."""
    for week in (1, 2):
        images.put(sides.source, f"weekly:{week}", image_of(*(app_layer(week, n) for n in NAMES)))
    payload = tmp_path_factory.mktemp("whole") / "p.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "LEAST_SIZE", SIZE // 2)
        make(sides.source, payload)
    assert len(payload.read_bytes()) < SIZE
    return payload.read_bytes()


def make(registry: str, payload: Path) -> None:
    make_payload(
        *(registry, payload, ["weekly:2"], ["weekly:1"]), secure=False, layer_deltas=True, jobs=2
    )


def begin(registry: str, payload: Path) -> subprocess.Popen[str]:
    options = ("-q", "-i", "-j", "2", "--layer-deltas", "-a", "weekly:1")
    return subprocess.Popen(
        [*(sys.executable, "-c", COMMAND, "make-payload", *options),
         *("-r", registry, "-f", str(payload), "weekly:2")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: str(payload)},
    )  # fmt: skip


def is_any_left(payload: Path) -> bool:
    """Whether a process for this payload is still there."""
    mark = f"{MARK}={payload}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                return True
    return False


@pytest.mark.parametrize(("seed", "how"), ends())
def test_make_goes_on_with_the_deltas_that_it_had(
    sides: Sides,
    whole: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    how: signal.Signals,
) -> None:
    payload = tmp_path / "out" / "p.zip"
    payload.parent.mkdir()
    with Proxy(sides.source) as proxy:
        process = begin(proxy.address, payload)
        processes.wait_until(lambda: proxy.requests or process.poll() is not None)
        time.sleep(random.Random(seed).uniform(0, DURATION))  # noqa: S311  # repeatable on purpose
        process.send_signal(how)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, -how, 128 + how), stderr
    assert stderr.count("\n") <= 1
    processes.wait_until(lambda: not is_any_left(payload))
    had = [path.name for path in payload.parent.glob("p.zip.partial.deltas/*.json")]
    monkeypatch.setattr(candidates, "LEAST_SIZE", SIZE // 2)
    with Proxy(sides.source) as proxy:
        make(proxy.address, payload)
        fetched = {request.path.replace("%3A", ":") for request in proxy.matching("GET", "/blobs/")}
    assert payload.read_bytes() == whole
    assert [path.name for path in payload.parent.iterdir()] == ["p.zip"]
    for name in NAMES:  # what had been decided is neither fetched nor compared again
        digest = digest_of(app_layer(2, name))
        if f"{digest.partition(':')[2]}.json" in had:
            assert not any(path.endswith(digest) for path in fetched)
