"""Signals at random moments, then the same command again: a right end, and little work twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import images
from docker_charon import make_payload, push_payload_to_registry
from faults import processes
from faults.cells import Sides, payload_of
from faults.ends import ends
from images import TestImage, image, index, layer
from proxy import Proxy, Request

JOBS = 2
RATE = 1_500_000.0
"""Bytes a second of each connection."""
SIZE = 150_000
APP: TestImage = index(
    image(*(layer(n, SIZE) for n in range(10, 14))), image(*(layer(n, SIZE) for n in range(14, 18)))
)
SIZES = {digest: len(content) for digest, content in APP.contents().items()}
DURATION = 8 * SIZE / RATE / JOBS + 0.1
"""Seconds from the first request to the end, more or less."""


@pytest.fixture(scope="session")
def whole(sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Put the image into the registry; return the payload that nothing disturbed."""
    images.put(sides.source, "killed:1", APP)
    payload = tmp_path_factory.mktemp("whole") / "p.zip"
    make_payload(sides.source, payload, ["killed:1"], secure=False)
    return payload.read_bytes()


def end_at_a_moment(
    seed: int, how: signal.Signals, proxy: Proxy, begin: Callable[[], subprocess.Popen[str]]
) -> None:
    """Begin, and end it at a moment that comes of the seed; it may have ended by then."""
    process = begin()
    processes.wait_until(lambda: proxy.requests)
    time.sleep(random.Random(seed).uniform(0, DURATION))  # noqa: S311  # repeatable on purpose
    process.send_signal(how)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, -how if how == signal.SIGKILL else 128 + how), stderr
    assert stderr.count("\n") <= 1


def digest_in(request: Request) -> str:
    return "sha256:" + request.path.replace("%3A", ":").rpartition("sha256:")[2][:64]


def fetched(proxy: Proxy) -> set[str]:
    """Return the blobs that have been sent to the last byte."""
    requests = proxy.matching("GET", "/blobs/sha256:")
    return {digest_in(each) for each in requests if each.sent == SIZES[digest_in(each)]}


def uploaded(proxy: Proxy) -> set[str]:
    """Return the blobs that the registry has taken."""
    return {digest_in(each) for each in proxy.matching("PUT", "/uploads/") if each.status == 201}


@pytest.mark.parametrize(("seed", "how"), ends())
def test_make_goes_on_with_what_it_had(
    sides: Sides, whole: bytes, tmp_path: Path, seed: int, how: signal.Signals
) -> None:
    payload = tmp_path / "out" / "p.zip"
    payload.parent.mkdir()
    with Proxy(sides.source, bytes_per_second=RATE) as proxy:
        end_at_a_moment(
            seed, how, proxy, lambda: processes.make(proxy.address, payload, "killed:1")
        )
        before = fetched(proxy)
    assert not payload.exists() or payload.read_bytes() == whole
    was_whole = payload.exists()
    with Proxy(sides.source) as proxy:
        make_payload(proxy.address, payload, ["killed:1"], secure=False, jobs=JOBS)
        again = {digest_in(each) for each in proxy.matching("GET", "/blobs/sha256:")}
    assert payload.read_bytes() == whole
    assert [path.name for path in payload.parent.iterdir()] == ["p.zip"]
    # A finished payload is made anew; of another one, what was on its way is fetched twice.
    assert was_whole or len(before & again) <= JOBS


@pytest.mark.parametrize(("seed", "how"), ends())
def test_push_goes_on_with_what_it_had(
    sides: Sides, tmp_path: Path, seed: int, how: signal.Signals
) -> None:
    name, payload = f"ended{seed}-{how.value}:1", tmp_path / "p.zip"
    payload.write_bytes(payload_of({name: APP}).getvalue())
    with Proxy(sides.destination, bytes_per_second=RATE) as proxy:
        end_at_a_moment(seed, how, proxy, lambda: processes.push(proxy.address, payload))
        before = uploaded(proxy)
    assert images.read(sides.destination, name) in (None, APP.contents())
    with Proxy(sides.destination) as proxy:
        pushed = push_payload_to_registry(proxy.address, payload, secure=False, jobs=JOBS)
        assert not before & {digest_in(each) for each in proxy.matching("PUT", "/uploads/")}
    assert pushed == [name]
    assert images.read(sides.destination, name) == APP.contents()
