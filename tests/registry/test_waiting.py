"""Trying again: which answers are waited for, for how long, and what is said of it."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest

import images
from clock import Clock
from docker_charon import RegistryError, make_payload, push_payload_to_registry
from docker_charon.registry import access, rate_limit
from docker_charon.registry.retry import RetryPolicy
from images import digest_of, image, layer
from loose_registry import Asked, LooseRegistry, Reply
from proxy import Answer, Close, Proxy, Rule

TAG = "/v2/app/manifests/1$"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pass the time quickly; return how long every wait would have been."""
    clock = Clock().replace_time(monkeypatch, rate_limit)
    monkeypatch.setattr(time, "sleep", clock.slept.append)
    return clock.slept


@pytest.fixture
def app(source: str) -> bytes:
    return images.put(source, "app:1", image(layer(1))).manifest


@pytest.mark.usefixtures("app")
def test_retry_after_is_obeyed_and_a_longer_wait_is_said(
    source: str, tmp_path: Path, slept: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    rule = Rule("GET", TAG, Answer(429, {"Retry-After": "1"}), times=3)
    with Proxy(source, [rule]) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(proxy.matching("GET", TAG)) == 4
    assert [wait for wait in slept if wait >= 1] == [1, 1, 1]
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in said] == [
        f"waiting 1 s: {proxy.address} answers 429 to the manifest of app:1"
    ]


@pytest.mark.usefixtures("app", "slept")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(source: str, tmp_path: Path, status: int) -> None:
    with Proxy(source, [Rule("GET", "/blobs/", Answer(status), times=2)]) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False, jobs=1)
        assert len(proxy.matching("GET", "/blobs/")) == 4


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize(("status", "most_lost", "most"), [(400, 1, 2), (403, 1, 2), (403, 9, 2)])
def test_the_registry_is_asked_for_another_address_if_its_storage_refuses_one(
    tmp_path: Path, status: int, most_lost: int, most: int
) -> None:
    blob = image(layer(1)).blobs[0]
    with LooseRegistry() as registry:
        registry.put("app:1", image(layer(1)))
        storage = registry.address.replace("127.0.0.1", "localhost")
        addresses: list[str] = []

        def answer(asked: Asked) -> Reply | None:
            if asked.path == f"/v2/app/blobs/{digest_of(blob)}":
                addresses.append(f"http://{storage}/v2/{len(addresses)}/blobs/{digest_of(blob)}")
                return Reply(307, {"Location": addresses[-1]})
            refused = [f"/v2/{number}/" for number in range(most_lost)]
            return Reply(status) if asked.path.startswith(tuple(refused)) else None

        registry.rules.append(answer)
        if most_lost < most:
            make_payload(registry.address, tmp_path / "p.zip", ["app:1"], secure=False)
        else:
            with pytest.raises(RegistryError, match=rf"{storage}, where .* answers {status}"):
                make_payload(registry.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(addresses) == most


@pytest.mark.usefixtures("app", "slept")
@pytest.mark.parametrize("code", ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "DIGEST_INVALID"])
def test_a_registry_may_be_slow_to_see_what_it_has_just_taken(
    source: str, destination: str, tmp_path: Path, code: str
) -> None:
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    refusal = Answer(400, body=json.dumps({"errors": [{"code": code}]}).encode())
    with Proxy(destination, [Rule("PUT", TAG, refusal, times=3)]) as proxy:
        assert push_payload_to_registry(proxy.address, tmp_path / "p.zip", secure=False)
        assert len(proxy.matching("PUT", TAG)) == 4


@pytest.mark.usefixtures("app", "slept")
@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_what_will_not_pass_is_told_at_once(source: str, tmp_path: Path, status: int) -> None:
    with Proxy(source, [Rule("GET", TAG, Answer(status), times=None)]) as proxy:
        with pytest.raises(RegistryError):
            make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(proxy.matching("GET", TAG)) == 1


@pytest.mark.usefixtures("app")
def test_it_gives_up_after_a_few_tries_with_growing_pauses(
    source: str, tmp_path: Path, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "RETRY", RetryPolicy(backoff=1.0))
    with Proxy(source, [Rule("GET", TAG, Answer(503), times=None)]) as proxy:
        with pytest.raises(RegistryError, match="503"):
            make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(proxy.matching("GET", TAG)) == 5
    pauses = [wait for wait in slept if wait > 0.9]
    assert pauses == sorted(pauses)
    assert 6 < sum(pauses) < 25


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "headers", [{"Retry-After": "21600"}, {"RateLimit-Remaining": "0;w=21600"}]
)
def test_a_wait_without_an_end_in_sight_is_not_begun(
    source: str, tmp_path: Path, slept: list[float], headers: dict[str, str]
) -> None:
    with Proxy(source, [Rule("GET", TAG, Answer(429, headers), times=None)]) as proxy:
        with pytest.raises(RegistryError, match="limit of requests is reached: wait 6 hours"):
            make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(proxy.matching("GET", TAG)) == 1
    assert max(slept, default=0) < 1


@pytest.mark.usefixtures("app", "slept")
def test_every_step_of_a_push_survives_a_broken_connection(
    source: str, destination: str, tmp_path: Path
) -> None:
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    rules = [Rule(method, "/v2/app/", Close()) for method in ("HEAD", "POST", "PUT")]
    with Proxy(destination, rules) as proxy:
        push_payload_to_registry(proxy.address, tmp_path / "p.zip", secure=False)
    assert images.read(destination, "app:1") == images.read(source, "app:1")
