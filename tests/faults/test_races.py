"""Others at work at the same time: a second push, and whoever moves a tag."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

import images
from docker_charon import make_payload
from faults import processes
from faults.cells import Sides, payload_of
from images import TestImage, image, index, layer
from proxy import Action, Head, Proxy, Rule
from repetition import repeated

OLD: TestImage = index(image(layer(30), layer(31)), image(layer(32)))
NEW: TestImage = index(image(layer(30), layer(33)), image(layer(34)))


class Meet(Action):
    """Hold the first of two requests until the second one is there."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=120)

    def request(self, head: Head) -> None:
        self._barrier.wait()


@pytest.mark.parametrize("turn", repeated(range(3)))
def test_two_pushes_of_one_payload_both_succeed(sides: Sides, tmp_path: Path, turn: int) -> None:
    app = index(*(image(layer(n, 100_000), layer(n + 1, 100_000)) for n in (40, 41, 42)))
    name, payload = f"raced{turn}:1", tmp_path / "p.zip"
    payload.write_bytes(payload_of({name: app, f"other-{name}": app}).getvalue())
    meet = Rule("GET", "^/v2/$", Meet(), times=2)
    with Proxy(sides.destination, [meet], bytes_per_second=300_000) as proxy:
        racers = [processes.push(proxy.address, payload) for _ in range(2)]
        for pushed in processes.end_well(*racers):
            assert pushed.split() == [name, f"other-{name}"]
        assert len(proxy.matching("PUT", "/uploads/")) > 7, "one was over before the other began"
    for pushed in (name, f"other-{name}"):
        assert images.read(sides.destination, pushed) == app.contents()


@dataclass(frozen=True)
class MoveTag(Action):
    """Have the tag name another image as soon as it has been asked for."""

    registry: str
    name: str
    image: TestImage

    def answer(self, head: Head) -> None:
        images.put(self.registry, self.name, self.image)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_tag_that_moves_is_what_it_was_when_it_was_resolved(
    sides: Sides, tmp_path: Path, jobs: int
) -> None:
    images.put(sides.source, "moving:1", OLD)
    make_payload(sides.source, tmp_path / "old.zip", ["moving:1"], secure=False)
    move = Rule("GET", "/moving/manifests/1$", MoveTag(sides.source, "moving:1", NEW))
    with Proxy(sides.source, [move]) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["moving:1"], secure=False, jobs=jobs)
        assert len(proxy.matching("GET", "/moving/manifests/1$")) == 1
    assert images.read(sides.source, "moving:1") == NEW.contents()
    assert (tmp_path / "p.zip").read_bytes() == (tmp_path / "old.zip").read_bytes()


def test_a_tag_that_moves_once_declared_is_what_it_was_when_it_was_resolved(
    sides: Sides, tmp_path: Path
) -> None:
    images.put(sides.source, "moved-base:1", OLD)
    images.put(sides.source, "moved-app:1", index(image(layer(30), layer(35))))

    def make(registry: str, payload: Path) -> bytes:
        make_payload(registry, payload, ["moved-app:1"], ["moved-base:1"], secure=False)
        return payload.read_bytes()

    still = make(sides.source, tmp_path / "still.zip")
    move = Rule("GET", "base/manifests/1$", MoveTag(sides.source, "moved-base:1", NEW))
    with Proxy(sides.source, [move]) as proxy:
        assert make(proxy.address, tmp_path / "moving.zip") == still
