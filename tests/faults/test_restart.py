"""A registry that is started again in the middle of a push."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import images
import registries
from conftest import require_registry
from docker_charon import push_payload_to_registry
from docker_charon.registry import session
from docker_charon.registry.retry import RetryPolicy
from faults.cells import payload_of
from faults.processes import wait_until
from images import TestImage, image, layer

APP: TestImage = image(*(layer(n, 300_000) for n in range(20, 28)))
PAUSE = 0.03
"""Seconds that each read of the payload takes: as from a slow disk."""


class SlowFile(io.BytesIO):
    """A payload that gives little at a time, and counts it."""

    given = 0
    is_slow = False

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(memoryview(buffer)[:64_000])
        self.given += size
        time.sleep(PAUSE * self.is_slow)
        return size


@pytest.mark.parametrize("secret", ["the same", None], ids=["same secret", "another secret"])
def test_a_push_survives_that_its_registry_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    # Without a secret of its own, a registry signs the state of uploads with a new one each time:
    # what was begun before is unknown to it afterwards.
    require_registry()
    monkeypatch.setattr(session, "RETRY", RetryPolicy())
    root, port = tmp_path / "registry", registries.free_port()
    http = {"secret": secret} if secret else {}
    payload = SlowFile(payload_of({"app:1": APP}).getvalue())
    payload.is_slow = True
    with ThreadPoolExecutor() as pool:
        with registries.docker_registry(root, port=port, http=http) as address:
            push = pool.submit(push_payload_to_registry, address, payload, secure=False)
            wait_until(lambda: payload.given > 1_000_000)
        assert not push.done()
        assert payload.given < len(payload.getvalue())
        time.sleep(1)
        with registries.docker_registry(root, port=port, http=http):
            assert push.result(60) == ["app:1"]
            assert images.read(address, "app:1") == APP.contents()
