"""Serving a payload and its updates, whose layers come as their difference to older ones."""

from __future__ import annotations

import io
import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import images
from delta_payloads import delta_of, payload_with_deltas, release, update, version
from distribution import Api
from docker_charon import make_payload, serve
from docker_charon.deltas import extra
from images import digest_of
from payloads import payload_of

V1, V2, V3 = version(1), version(2), version(3)


pytestmark = pytest.mark.usefixtures("temporary")


def stack(*updates: int) -> list[io.BytesIO]:
    """Return a full payload of version 1, and these updates."""
    return [
        io.BytesIO(payload_of({"app:1": release(1)})),
        *(io.BytesIO(update(n)) for n in updates),
    ]


def test_a_full_payload_and_its_updates_are_served_whole(
    temporary: Path, rebuilt: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(stack(2, 3)) as server:
        for number in (3, 2, 1):
            served = images.read(server.address, f"app:{number}")
            assert served == release(number).contents()
    assert rebuilt == [digest_of(V2), digest_of(V3)]
    assert [*temporary.iterdir()] == []
    assert caplog.text == ""


def test_a_look_at_a_layer_rebuilds_nothing(rebuilt: list[str]) -> None:
    with serve(stack(2)) as server:
        answer = Api(server.address)("HEAD", f"app/blobs/{digest_of(V2)}")
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(V2)))
    assert rebuilt == []


def test_a_part_of_a_layer_is_served(rebuilt: list[str]) -> None:
    with serve(stack(2)) as server:
        path = f"app/blobs/{digest_of(V2)}"
        answer = Api(server.address)("GET", path, Range="bytes=100-199")
        assert (answer.status_code, answer.content) == (206, V2[100:200])
        assert Api(server.address)("GET", path, Range="bytes=-9").content == V2[-9:]
    assert rebuilt == [digest_of(V2)]


def test_a_layer_that_many_ask_for_at_the_same_time_is_rebuilt_once(rebuilt: list[str]) -> None:
    with serve(stack(2, 3)) as server, ThreadPoolExecutor(8) as pool:
        wanted = [V3, V2] * 4
        contents = pool.map(
            lambda content: images.read_blob(server.address, "app", digest_of(content)), wanted
        )
        assert list(contents) == wanted
    assert sorted(rebuilt) == sorted([digest_of(V2), digest_of(V3)])


def test_layers_that_are_not_read_give_their_place_to_others(
    monkeypatch: pytest.MonkeyPatch, rebuilt: list[str], temporary: Path
) -> None:
    free = 400_000  # enough to rebuild one, and half of it for a few layers
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    updates = range(2, 9)
    wanted = {f"app:{n}": release(n) for n in updates}
    payload = payload_with_deltas(wanted, {version(n): [V1] for n in updates})
    with serve([*stack(), io.BytesIO(payload)]) as server:
        for number in updates:
            assert images.read(server.address, f"app:{number}") == release(number).contents()
            [folder] = temporary.iterdir()
            assert sum(file.stat().st_size for file in folder.iterdir()) <= free // 2
        images.read_blob(server.address, "app", digest_of(V2))
    assert rebuilt[-1] == digest_of(V2)


def test_a_payload_whose_bases_are_not_in_the_stack_is_told_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve(stack(3)) as server:
        for record in caplog.records:
            assert (
                "app:3 is incomplete" in record.message or "app:2 is incomplete" in record.message
            )
        assert digest_of(V2) in caplog.text
        assert "also serve the payload that brought it" in caplog.text
        assert images.read_blob(server.address, "app", digest_of(V3)) is None


def test_without_the_packages_for_deltas_the_rest_is_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(extra, "_NEEDED", ("nobody.has_this",))
    with serve(stack(2)) as server:
        assert images.read(server.address, "app:1") == release(1).contents()
        assert images.read_blob(server.address, "app", digest_of(V2)) is None
    assert "1 layer cannot be served" in caplog.text
    assert "docker-charon[deltas]" in caplog.text
    assert "app:2 is incomplete: its layers cannot be rebuilt here" in caplog.text


def test_a_damaged_delta_is_answered_with_an_error_each_time(
    caplog: pytest.LogCaptureFixture, temporary: Path
) -> None:
    caplog.set_level(logging.CRITICAL)
    delta = delta_of(V2, (V1,))
    wrong = payload_with_deltas(
        {"app:2": release(2)},
        {V2: [V1]},
        {"app:1": release(1)},
        contents_of_deltas={V2: delta[:-40] + bytes([delta[-40] ^ 1]) + delta[-39:]},
    )
    with serve([*stack(), io.BytesIO(wrong)]) as server:
        for _ in range(2):
            answer = Api(server.address)("GET", f"app/blobs/{digest_of(V2)}")
            assert answer.status_code == 500
            assert digest_of(V2) in answer.text
        assert images.read(server.address, "app:1") == release(1).contents()
        [folder] = temporary.iterdir()
        base = digest_of(V1).partition(":")[2]
        assert {file.name for file in folder.iterdir()} <= {"lock", base}


def test_a_disk_without_room_is_answered_with_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with serve(stack(2)) as server:
        answer = Api(server.address)("GET", f"app/blobs/{digest_of(V2)}")
        assert (answer.status_code, "needs room for" in answer.text) == (500, True)


def test_the_end_of_the_server_does_not_wait_for_what_is_being_rebuilt(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    started = threading.Event()

    def never(
        delta: Path, olds: dict[str, Path], target: Path, folder: Path, check: Callable[[], None]
    ) -> None:
        started.set()
        while True:
            check()

    monkeypatch.setattr(
        "docker_charon.payload.layer_deltas.rebuilt_blobs.apply_delta_in_process", never
    )
    with ThreadPoolExecutor(1) as pool:
        with serve(stack(2)) as server:
            asked = pool.submit(images.read_blob, server.address, "app", digest_of(V2))
            assert started.wait(20)
        assert asked.exception(20) is not None
    assert [*temporary.iterdir()] == []


def test_a_stack_with_updates_is_a_source_of_payloads(tmp_path: Path) -> None:
    with serve(stack(2)) as server:
        make_payload(server.address, tmp_path / "whole.zip", ["app:2"], secure=False)
    with serve([tmp_path / "whole.zip"]) as server:
        assert images.read(server.address, "app:2") == release(2).contents()
