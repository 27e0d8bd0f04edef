"""Deltas that are based on earlier payloads and on inventories."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import images
from command_line import charon
from conftest import Sent
from docker_charon import (
    BlobNotFound,
    PayloadError,
    make_inventory,
    make_payload,
    push_payload_to_registry,
)
from images import TestImage, image, index, layer
from payloads import carried

WITH_BOTH_REGISTRIES = True

Payloads = list[Path]


def make(
    registry: str, payload: Path, names: list[str], after: Payloads, already: tuple[str, ...] = ()
) -> Path:
    make_payload(
        registry, payload, names, already, secure=False, payloads_already_transferred=after
    )
    return payload


def push(registry: str, payload: Path) -> list[str]:
    return push_payload_to_registry(registry, payload, strict=True, secure=False)


def version(n: int) -> TestImage:
    """Return a version of an image: each version has one layer more than the version before."""
    return image(*(layer(seed) for seed in range(n)))


def test_five_versions_each_from_the_delta_before_carry_one_new_layer_each(
    source: str, destination: str, tmp_path: Path
) -> None:
    payloads: Payloads = []
    for n in range(1, 6):
        images.put(source, f"app:{n}", version(n))
        payloads.append(make(source, tmp_path / f"{n}.zip", [f"app:{n}"], payloads[-1:]))
    for n, payload in enumerate(payloads, 1):
        new = carried(payload)
        layers = [seed for seed in range(5) if images.digest_of(layer(seed)) in new]
        assert layers == [n - 1]
        assert len(new) == 3
        assert push(destination, payload) == [f"app:{n}"]
    for n in range(1, 6):
        assert images.read(destination, f"app:{n}") == version(n).contents()


def test_a_tag_that_moved_since_misleads_a_tag_and_no_payload(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", version(2))
    first = make(source, tmp_path / "first.zip", ["app:1"], [])
    push(destination, first)
    images.put(source, "app:1", version(3))  # it was built again under the same tag
    images.put(source, "app:2", version(4))
    by_tag = make(source, tmp_path / "tag.zip", ["app:2"], [], ("app:1",))
    assert images.digest_of(layer(2)) not in carried(by_tag)
    with pytest.raises(BlobNotFound, match=images.digest_of(layer(2))):
        push(destination, by_tag)
    assert images.read(destination, "app:2") is None
    by_payload = make(source, tmp_path / "payload.zip", ["app:2"], [first])
    new = carried(by_payload)
    assert {images.digest_of(layer(2)), images.digest_of(layer(3))} <= new.keys()
    assert images.digest_of(layer(0)) not in new
    assert push(destination, by_payload) == ["app:2"]
    assert images.read(destination, "app:2") == version(4).contents()


def test_what_was_carried_is_not_asked_for_at_the_source(
    source: str, tmp_path: Path, sent: list[Sent]
) -> None:
    images.put(source, "old:1", version(2))
    images.put(source, "app:2", version(3))
    first = make(source, tmp_path / "first.zip", ["old:1"], [])
    sent.clear()
    make(source, tmp_path / "second.zip", ["app:2"], [first])
    assert not [request for request in sent if "/old/" in request.url]


def test_payloads_and_tags_add_up(source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "base:1", image(layer(1)))
    images.put(source, "other:1", image(layer(2)))
    app = images.put(source, "app:1", image(layer(1), layer(2), layer(3)))
    base = make(source, tmp_path / "base.zip", ["base:1"], [])
    other = make(source, tmp_path / "other.zip", ["other:1"], [])
    delta = make(source, tmp_path / "delta.zip", ["app:1"], [base], ("other:1",))
    assert len(carried(delta)) == 3
    for payload in (base, other, delta):
        push(destination, payload)
    assert images.read(destination, "app:1") == app.contents()


def test_an_image_that_was_carried_once_is_put_again_if_it_is_gone(
    source: str, destination: str, tmp_path: Path
) -> None:
    app = images.put(source, "app:1", version(2))
    first = make(source, tmp_path / "first.zip", ["app:1"], [])
    push(destination, first)
    again = make(source, tmp_path / "again.zip", ["app:1"], [first])
    assert carried(again).keys() == {app.digest}
    images.put(destination, "app:1", version(1))  # somebody set the tag to something else
    assert push(destination, again) == ["app:1"]
    assert images.read(destination, "app:1") == app.contents()


def test_what_never_arrived_is_missed_at_the_push(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", version(1))
    images.put(source, "app:2", version(2))
    lost = make(source, tmp_path / "lost.zip", ["app:1"], [])
    delta = make(source, tmp_path / "delta.zip", ["app:2"], [lost])
    with pytest.raises(BlobNotFound, match="the payload was made as if"):
        push(destination, delta)


def test_a_payload_from_standard_input_can_be_the_base(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", version(1))
    images.put(source, "app:2", version(2))
    first = make(source, tmp_path / "first.zip", ["app:1"], [])
    file = io.BytesIO()
    earlier = io.BytesIO(first.read_bytes())
    make_payload(source, file, ["app:2"], secure=False, payloads_already_transferred=[earlier])
    assert len(carried(file)) == 3
    assert not earlier.closed


@pytest.mark.parametrize("payloads", ["p.zip", Path("p.zip"), io.BytesIO()])
def test_a_single_payload_is_no_list(source: str, payloads: object) -> None:
    with pytest.raises(TypeError, match="list of files"):
        make_payload(
            source,
            io.BytesIO(),
            ["app:1"],
            secure=False,
            payloads_already_transferred=payloads,  # type: ignore[arg-type]
        )


def test_a_base_that_is_no_payload_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"no zip")
    with pytest.raises(PayloadError, match=r"p\.zip is not a payload"):
        make("nowhere.invalid", tmp_path / "q.zip", ["app:1"], [tmp_path / "p.zip"])


# --- Inventories ----------------------------------------------------------------------------------


def inventory(registry: str, path: Path, *names: str) -> list[str]:
    return make_inventory(registry, path, names, secure=False)


def test_a_delta_from_an_inventory_carries_what_one_from_the_payloads_does(
    source: str, destination: str, tmp_path: Path
) -> None:
    payloads: Payloads = []
    for n in range(1, 4):
        images.put(source, f"app:{n}", version(n))
        images.put(source, f"team/multi:{n}", index(version(n), image(layer(20 + n))))
        names = [f"app:{n}", f"team/multi:{n}"]
        payloads.append(make(source, tmp_path / f"{n}.zip", names, payloads))
        push(destination, payloads[-1])
    names = inventory(destination, tmp_path / "inventory.zip")
    assert sorted(names) == sorted(
        f"{name}:{n}" for name in ("app", "team/multi") for n in (1, 2, 3)
    )
    wanted = ["app:4", "team/multi:4"]
    images.put(source, "app:4", version(5))
    images.put(source, "team/multi:4", index(version(3), image(layer(24))))
    by_payloads = make(source, tmp_path / "a.zip", wanted, payloads)
    by_inventory = make(source, tmp_path / "b.zip", wanted, [tmp_path / "inventory.zip"])
    assert carried(by_inventory) == carried(by_payloads)
    push(destination, by_inventory)
    assert images.read(destination, "app:4") == version(5).contents()


def test_a_base_under_another_prefix_leads_to_the_prefix(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", version(2))
    images.put(source, "app:2", version(3))
    first = make(source, tmp_path / "first.zip", ["app:1"], [])
    delta = make(source, tmp_path / "delta.zip", ["app:2"], [first])
    push_payload_to_registry(destination, first, secure=False, repository_prefix="site")
    with pytest.raises(BlobNotFound) as caught:
        push(destination, delta)
    assert f"app:2 needs 2 blobs that {destination} lacks" in caught.value.message
    assert f"made as if {destination} had them" in caught.value.message
    assert "push the earlier payload first" in caught.value.hint
    assert "the same repository_prefix" in caught.value.hint
    assert "inventory" in caught.value.hint
    names = push_payload_to_registry(destination, delta, secure=False, repository_prefix="site")
    assert names == ["app:2"]


def test_the_command_line_does_the_same(source: str, destination: str, tmp_path: Path) -> None:
    images.put(source, "app:1", version(1))
    images.put(source, "app:2", version(2))
    first, delta, seen = (tmp_path / name for name in ("first.zip", "delta.zip", "inventory.zip"))
    charon("make-payload", "-r", source, "-i", "-f", first, "app:1")
    charon("push-payload", "-r", destination, "-i", "-f", first)
    done = charon("make-inventory", "-r", destination, "-i", "-f", seen)
    assert (done.status, done.stdout) == (0, "app:1\n")
    assert done.stderr == "docker-charon: 1 image in the inventory\n"
    for base in (first, seen):
        delta.unlink(missing_ok=True)
        options = ["--already-transferred-payload", base, "app:2"]
        assert charon("make-payload", "-r", source, "-i", "-f", delta, *options).status == 0
        assert len(carried(delta)) == 3
    assert charon("push-payload", "-r", destination, "-i", "-s", "-f", delta).stdout == "app:2\n"
