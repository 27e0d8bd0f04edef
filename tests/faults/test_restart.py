"""A registry that is started again in the middle of a push."""

from __future__ import annotations

import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import images
import registries
from conftest import require_registry
from docker_charon import make_payload, push_payload_to_registry
from docker_charon.registry import access
from docker_charon.registry.retry import RetryPolicy
from faults.cells import payload_of
from faults.processes import wait_until
from images import TestImage, image, layer
from proxy import Proxy

APP: TestImage = image(*(layer(n, 300_000) for n in range(20, 28)))


class HeldFile(io.BytesIO):
    """A payload that stops in the middle of a push until it is let go on."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = len(content) // 2
        self.in_the_middle, self.go_on = threading.Event(), threading.Event()

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(memoryview(buffer)[:64_000])
        self._left -= size
        if self._left < 0:
            self.in_the_middle.set()
            assert self.go_on.wait(120)
        return size


@pytest.mark.parametrize("secret", ["the same", None], ids=["same secret", "another secret"])
def test_a_push_survives_that_its_registry_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    # Without a secret of its own, a registry signs the state of uploads with a new one each time:
    # what was begun before is unknown to it afterwards.
    require_registry()
    monkeypatch.setattr(access, "RETRY", RetryPolicy())
    root, port = tmp_path / "registry", registries.free_port()
    http = {"secret": secret} if secret else {}
    payload = HeldFile(payload_of({"app:1": APP}).getvalue())
    with ThreadPoolExecutor() as pool:
        with registries.docker_registry(root, port=port, http=http) as address:
            push = pool.submit(push_payload_to_registry, address, payload, secure=False)
            assert payload.in_the_middle.wait(60)
        payload.go_on.set()
        with registries.docker_registry(root, port=port, http=http):
            assert push.result(120) == ["app:1"]
            assert images.read(address, "app:1") == APP.contents()


@pytest.mark.parametrize("flow", ["make", "push"])
def test_a_registry_that_is_away_for_longer_than_all_tries_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, flow: str
) -> None:
    require_registry()
    monkeypatch.setattr(access, "RETRY", RetryPolicy(tries=3, backoff=0.01))
    root, port = tmp_path / "registry", registries.free_port()
    payload = HeldFile(payload_of({"app:1": APP}).getvalue())
    made = tmp_path / "p.zip"
    with (
        ThreadPoolExecutor() as pool,
        Proxy(f"127.0.0.1:{port}", bytes_per_second=100_000) as proxy,
    ):
        with registries.docker_registry(root, port=port) as address:
            transfer: Future[Any]
            if flow == "make":
                images.put(address, "app:1", APP)
                transfer = pool.submit(make_payload, proxy.address, made, ["app:1"], secure=False)
                wait_until(lambda: sum(request.sent for request in proxy.requests) > 200_000)
            else:
                transfer = pool.submit(
                    push_payload_to_registry, proxy.address, payload, secure=False
                )
                assert payload.in_the_middle.wait(60)
        payload.go_on.set()
        proxy.bytes_per_second = None
        wait_until(lambda: "waiting up to" in caplog.text)
        assert not transfer.done()
        with registries.docker_registry(root, port=port):
            transfer.result(120)
            assert images.read(address, "app:1") == APP.contents()
    lines = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len([line for line in lines if "waiting up to" in line]) == 1
    assert len([line for line in lines if "answers again" in line]) == 1
    if flow == "make":
        assert made.read_bytes() == payload.getvalue()
