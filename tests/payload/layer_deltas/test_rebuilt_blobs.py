"""Blobs as files: made once, kept while they are needed, and removed afterwards."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from delta_payloads import payload_with_deltas, release, update, version
from docker_charon.errors import DeltaError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.layer_deltas.rebuilt_blobs import BlobFiles
from docker_charon.payload.layer_deltas.recipe import Recipes
from docker_charon.payload.reader import open_payload
from images import image
from payloads import payload_of

V1, V2, V3, V4 = (version(n) for n in (1, 2, 3, 4))
APPLY = "docker_charon.payload.layer_deltas.rebuilt_blobs.apply_delta_in_process"


@pytest.fixture
def recipes() -> Iterator[Callable[..., Recipes]]:
    with ExitStack() as stack:

        def of(*payloads: bytes, others: tuple[bytes, ...] = ()) -> Recipes:
            opened = [
                stack.enter_context(open_payload(io.BytesIO(content))) for content in payloads
            ]
            return Recipes(opened, {Digest.of(content) for content in others})

        yield of


def first() -> bytes:
    return payload_of({"app:1": release(1)})


def blob(content: bytes) -> tuple[Digest, int]:
    return Digest.of(content), len(content)


def test_a_chain_is_rebuilt_with_no_more_files_than_each_step_needs(
    recipes: Callable[..., Recipes], tmp_path: Path, rebuilt: list[str]
) -> None:
    files = BlobFiles(recipes(first(), *(update(n) for n in (2, 3, 4))), tmp_path)
    with files.file(*blob(V4)) as path:
        assert path.read_bytes() == V4
        assert [*tmp_path.iterdir()] == [path]
    assert rebuilt == [Digest.of(v) for v in (V2, V3, V4)]
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_held_is_made_once(
    recipes: Callable[..., Recipes], tmp_path: Path, rebuilt: list[str]
) -> None:
    files = BlobFiles(recipes(first(), update(2)), tmp_path)
    files.hold(*blob(V2))
    for _ in range(3):
        with files.file(*blob(V2)) as path:
            assert path.read_bytes() == V2
    assert rebuilt == [Digest.of(V2)]
    files.release(Digest.of(V2))
    assert [*tmp_path.iterdir()] == []


def test_what_was_used_last_is_kept_up_to_a_size(
    recipes: Callable[..., Recipes], tmp_path: Path
) -> None:
    wanted = {f"app:{n}": image(version(n)) for n in range(1, 5)}
    files = BlobFiles(recipes(payload_of(wanted)), tmp_path, most_unused=len(V1) + len(V2) + 100)
    for content in (V1, V2, V3, V4):
        with files.file(*blob(content)):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {Digest.of(v).encoded for v in (V3, V4)}


def test_threads_that_need_the_same_layers_share_them(
    recipes: Callable[..., Recipes], tmp_path: Path, rebuilt: list[str]
) -> None:
    files = BlobFiles(recipes(first(), *(update(n) for n in (2, 3, 4))), tmp_path)
    for content in (V2, V3, V4):
        files.hold(*blob(content))

    def read(content: bytes) -> bytes:
        with files.file(*blob(content)) as path:
            return path.read_bytes()

    wanted = [V4, V2, V3, V4, V3, V2]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(read, wanted)) == wanted
    assert sorted(rebuilt) == sorted(Digest.of(v) for v in (V2, V3, V4))


def test_blobs_that_no_payload_has_are_fetched_once(
    recipes: Callable[..., Recipes], tmp_path: Path
) -> None:
    fetched: list[tuple[str, int]] = []

    def fetch(digest: Digest, size: int) -> list[bytes]:
        fetched.append((digest, size))
        return [V1]

    wanted = {f"app:{n}": image(version(n)) for n in (2, 3)}
    payload = payload_with_deltas(wanted, {V2: [V1], V3: [V1]})
    files = BlobFiles(recipes(payload, others=(V1,)), tmp_path, fetch=fetch)
    with files.file(*blob(V2)), files.file(*blob(V3)) as path:
        assert path.read_bytes() == V3
    assert fetched in ([blob(V1)], [blob(V1)] * 2)
    fetched.clear()
    files.hold(*blob(V1))
    for content in (V2, V3):
        with files.file(*blob(content)):
            pass
    assert fetched == [blob(V1)]


def test_a_failure_reaches_all_who_wait_and_is_not_remembered(
    recipes: Callable[..., Recipes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = BlobFiles(recipes(first(), update(2), update(3)), tmp_path)
    started, may_fail = threading.Event(), threading.Event()

    def fail(*_: object) -> None:
        started.set()
        assert may_fail.wait(20)
        raise DeltaError("the disk is full")

    def problem(content: bytes) -> str:
        with pytest.raises(DeltaError) as caught, files.file(*blob(content)):
            pass
        return str(caught.value)

    with monkeypatch.context() as patched, ThreadPoolExecutor(2) as pool:
        patched.setattr(APPLY, fail)
        problems = [pool.submit(problem, V3)]
        assert started.wait(20)
        problems.append(pool.submit(problem, V2))
        may_fail.set()
        assert all("the disk is full" in found.result() for found in problems)
    assert [*tmp_path.iterdir()] == []
    with files.file(*blob(V3)) as path:
        assert path.read_bytes() == V3


def test_a_check_that_raises_stops_the_work_and_leaves_nothing(
    recipes: Callable[..., Recipes], tmp_path: Path
) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += any(tmp_path.rglob("*.delta"))
        if calls > 1:  # the delta is written, and the process has been started
            raise KeyboardInterrupt

    files = BlobFiles(recipes(first(), update(2)), tmp_path, check=check)
    with pytest.raises(KeyboardInterrupt), files.file(*blob(V2)):
        pass
    assert [*tmp_path.iterdir()] == []


def test_the_space_is_that_of_the_largest_step_and_of_shared_bases(
    recipes: Callable[..., Recipes], tmp_path: Path
) -> None:
    wanted = {f"app:{n}": image(version(n)) for n in (2, 3)}
    found = recipes(payload_with_deltas(wanted, {V2: [V1], V3: [V1]}), first())
    files = BlobFiles(found, tmp_path)
    blobs = [Descriptor("", *blob(content)) for content in (V2, V3)]
    steps = [
        len(V1) + len(content) + found.by_digest[Digest.of(content)].temporary_size
        for content in (V2, V3)
    ]
    assert files.space(blobs[:1], 1) == steps[0]
    assert files.space(blobs, 1) == len(V1) + max(steps)
    assert files.space(blobs, 2) == len(V1) + sum(steps)
