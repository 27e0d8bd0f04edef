"""Pushing payloads whose layers come as their difference to layers that the registry has."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import tempfile
import warnings
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import images
from conftest import Sent
from delta_payloads import delta_of, payload_with_deltas, release, update, version
from docker_charon import (
    BlobNotFound,
    PayloadError,
    PushIncomplete,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.deltas import extra
from docker_charon.deltas.header import MOST_BASES
from docker_charon.errors import DeltaError
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.paths import delta_path
from docker_charon.payload.volumes.joined_volumes import VolumePath
from images import digest_of, image, layer
from odd_registry import Answer, Call, OddRegistry
from payloads import carried, changed, described, payload_of
from volumes import Drive, cut

WITH_BOTH_REGISTRIES = True

V1, V2 = version(1), version(2)
OTHER = image(layer(77))


pytestmark = pytest.mark.usefixtures("temporary")


def push(registry: str, payload: bytes, **options: Any) -> list[str]:
    pushed = push_payload_to_registry(registry, io.BytesIO(payload), secure=False, **options)
    assert [*Path(tempfile.gettempdir()).iterdir()] == []
    return pushed


def fetched(sent: list[Sent], content: bytes) -> int:
    """Return how often a blob was fetched from a registry, not only looked at."""
    path = f"/blobs/{digest_of(content)}"
    return sum(r.is_for("GET", path) and "Range" not in r.headers for r in sent)


def has_written(sent: list[Sent]) -> bool:
    ours = [r for r in sent if r.headers["User-Agent"].startswith("docker-charon")]
    return bool(ours) and not {request.method for request in ours} <= {"GET", "HEAD"}


def asked(sent: list[Sent], content: bytes) -> bool:
    return any(digest_of(content) in request.url for request in sent)


def with_other(*names: str) -> bytes:
    """Return a payload with ``app:2`` as a delta, and ``other:1``, which needs no delta."""
    wanted = {"app:2": release(2), "other:1": OTHER}
    return payload_with_deltas(wanted, {V2: [V1]}, {"app:1": release(1)}, names or ["app"])


def test_a_layer_is_rebuilt_from_one_that_the_registry_has(
    destination: str, sent: list[Sent]
) -> None:
    images.put(destination, "app:1", release(1))
    assert push(destination, update(2)) == ["app:2"]
    assert images.read(destination, "app:2") == release(2).contents()
    assert fetched(sent, V1) == 1


def test_updates_of_updates_arrive_one_after_another(destination: str) -> None:
    push(destination, payload_of({"app:1": release(1)}))
    for number in (2, 3, 4):
        push(destination, update(number), strict=True)
        assert images.read(destination, f"app:{number}") == release(number).contents()


def test_a_layer_that_is_there_is_neither_rebuilt_nor_are_its_bases_asked_for(
    destination: str, sent: list[Sent]
) -> None:
    images.put(destination, "app:2", release(2))
    assert push(destination, update(2)) == ["app:2"]
    assert not asked(sent, V1)


def test_what_a_killed_push_has_left_is_removed_even_if_nothing_is_left_to_rebuild(
    destination: str, temporary: Path
) -> None:
    images.put(destination, "app:2", release(2))
    (temporary / "docker-charon-layers-old").mkdir()
    (temporary / "docker-charon-layers-old/lock").touch()
    assert push(destination, update(2)) == ["app:2"]  # and there are no temporary files then


def test_a_layer_that_another_repository_of_the_payload_has_is_mounted(
    destination: str, sent: list[Sent]
) -> None:
    images.put(destination, "old:1", release(2))
    wanted = {"app:2": release(2), "old:1": release(2)}
    push(
        destination, payload_with_deltas(wanted, {V2: [V1]}, {"base:1": image(version(0, "base"))})
    )
    assert images.read(destination, "app:2") == release(2).contents()
    assert not asked(sent, V1)


def test_a_base_of_several_layers_is_fetched_once(destination: str, sent: list[Sent]) -> None:
    images.put(destination, "app:1", release(1))
    wanted = {f"app:{n}": release(n) for n in (2, 3, 4)}
    deltas = {version(n): [V1] for n in (2, 3, 4)}
    payload = payload_with_deltas(wanted, deltas, {"app:1": release(1)})
    assert push(destination, payload, jobs=3) == list(wanted)
    for name, content in wanted.items():
        assert images.read(destination, name) == content.contents()
    assert fetched(sent, V1) == 1


def test_a_base_that_the_payload_carries_is_not_asked_for(
    destination: str, sent: list[Sent]
) -> None:
    wanted = {"other:1": image(V1), "app:2": image(V2)}
    push(destination, payload_with_deltas(wanted, {V2: [V1]}))
    assert images.read(destination, "app:2") == image(V2).contents()
    assert fetched(sent, V1) == 0


def test_a_base_may_come_as_a_delta_in_the_same_payload(destination: str) -> None:
    images.put(destination, "app:1", image(V1))
    wanted = {"app:3": image(version(3)), "app:2": image(V2)}
    push(destination, payload_with_deltas(wanted, {version(3): [V2], V2: [V1]}), jobs=2)
    assert images.read(destination, "app:3") == image(version(3)).contents()
    assert images.read(destination, "app:2") == image(V2).contents()


@pytest.mark.parametrize("name", ["app", "mirror/app"])
def test_bases_are_found_under_the_prefix_and_under_their_own_name(
    destination: str, name: str
) -> None:
    """An inventory has the registry's own names."""
    images.put(destination, "mirror/app:1", release(1))
    payload = payload_with_deltas({"app:2": image(V2)}, {V2: [V1]}, {}, [name])
    push(destination, payload, repository_prefix="mirror", strict=True)
    assert images.read(destination, "mirror/app:2") == image(V2).contents()


def test_an_image_whose_base_is_missing_is_left_out_and_says_what_to_do(destination: str) -> None:
    images.put(destination, "app:0", image(version(0, "base")))
    with pytest.warns(UserWarning, match="app:2") as warned:
        assert push(destination, with_other()) == ["other:1"]
    said = str(warned[0].message)
    assert digest_of(V1) in said
    assert digest_of(V2) in said
    assert "push the earlier payload first" in said
    assert images.read(destination, "app:2") is None
    assert images.read(destination, "other:1") == OTHER.contents()


def test_strict_refuses_a_missing_base_before_anything_is_written(
    destination: str, sent: list[Sent]
) -> None:
    images.put(destination, "app:0", image(version(0, "base")))
    with pytest.raises(BlobNotFound, match=digest_of(V1)):
        push(destination, with_other(), strict=True)
    assert not has_written(sent)


def damage_stored(folder: Path, content: bytes) -> None:
    """Damage a byte in the middle of a blob in the storage of a registry."""
    name = digest_of(content).partition(":")[2]
    [file] = [
        f for f in folder.rglob("*") if f.is_file() and name in str(f) and f.stat().st_size > 99
    ]
    wrong = bytearray(content)
    wrong[len(wrong) // 2] ^= 1
    file.write_bytes(wrong)


def test_a_base_that_is_damaged_at_the_registry_fails_only_its_images(
    destination: str, tmp_path: Path
) -> None:
    images.put(destination, "app:1", release(1))
    damage_stored(tmp_path / "destination", V1)
    with pytest.raises(PushIncomplete, match=f"damaged copy of {digest_of(V1)} in app") as caught:
        push(destination, with_other())
    assert caught.value.pushed == ["other:1"]
    assert images.read(destination, "app:2") is None
    assert images.read_blob(destination, "app", digest_of(V2)) is None


def shorten(delta: bytes) -> bytes:
    return delta[:-10]


def flip(delta: bytes) -> bytes:
    return delta[:-40] + bytes([delta[-40] ^ 1]) + delta[-39:]


def of_another(_: bytes) -> bytes:
    return delta_of(version(3), (V1,))


def with_another_base(_: bytes) -> bytes:
    return delta_of(V2, (version(3),))


def with_large_size(delta: bytes) -> bytes:
    return delta[:49] + (2**40).to_bytes(8, "little") + delta[57:]


@pytest.mark.parametrize(
    "change",
    [
        shorten,
        flip,
        of_another,
        with_another_base,
        with_large_size,
        lambda delta: b"",
        lambda delta: b"x",
    ],
)
def test_a_delta_that_does_not_give_its_layer_fails_only_its_images(
    destination: str, change: Callable[[bytes], bytes]
) -> None:
    images.put(destination, "app:1", release(1))
    wrong = change(delta_of(V2, (V1,)))
    payload = payload_with_deltas(
        {"app:2": release(2), "other:1": OTHER},
        {V2: [V1]},
        {"app:1": release(1)},
        contents_of_deltas={V2: wrong},
    )
    with pytest.raises(PushIncomplete, match=digest_of(V2)) as caught:
        push(destination, payload)
    assert caught.value.pushed == ["other:1"]
    assert images.read(destination, "app:2") is None
    assert images.read_blob(destination, "app", digest_of(V2)) is None


def test_bytes_of_a_delta_that_changed_on_the_way_are_named(destination: str) -> None:
    images.put(destination, "app:1", release(1))
    payload = bytearray(update(2))
    payload[payload.index(delta_of(V2, (V1,))) + 200] ^= 1
    with pytest.raises(PayloadError, match=delta_path(Digest.of(V2))):
        push(destination, bytes(payload))


def test_the_packages_for_deltas_are_asked_for_before_the_first_write_and_only_if_needed(
    destination: str, monkeypatch: pytest.MonkeyPatch, sent: list[Sent]
) -> None:
    monkeypatch.setattr(extra, "_NEEDED", ("numpy", "nobody.has_this"))
    images.put(destination, "app:1", release(1))
    with pytest.raises(DeltaError, match=r"nobody.has_this .*docker-charon\[deltas\]"):
        push(destination, with_other())
    assert not has_written(sent)
    images.put(destination, "app:2", release(2))
    assert push(destination, with_other()) == ["app:2", "other:1"]


def test_a_disk_that_is_too_small_is_told_before_the_first_write(
    destination: str, monkeypatch: pytest.MonkeyPatch, sent: list[Sent], temporary: Path
) -> None:
    images.put(destination, "app:1", release(1))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(200_000))
    with pytest.raises(DeltaError, match=rf"{temporary} needs room for .* set TMPDIR"):
        push(destination, with_other())
    assert not has_written(sent)


def test_fewer_layers_are_rebuilt_at_once_on_a_small_disk(
    destination: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images.put(destination, "app:1", release(1))
    wanted = {f"app:{n}": release(n) for n in (2, 3)}
    payload = payload_with_deltas(wanted, {version(n): [V1] for n in (2, 3)}, {"app:1": release(1)})
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(400_000))
    caplog.set_level(logging.INFO)
    assert push(destination, payload, jobs=2) == list(wanted)
    assert "1 at a time" in caplog.text


def test_a_dry_run_says_what_would_be_rebuilt(
    destination: str, sent: list[Sent], caplog: pytest.LogCaptureFixture
) -> None:
    images.put(destination, "app:1", release(1))
    caplog.set_level(logging.INFO)
    push(destination, update(2), dry_run=True)
    [line] = [record.message for record in caplog.records if "rebuild" in record.message]
    assert line.startswith(f"rebuild {digest_of(V2)}, {len(V2):,} bytes, from a delta of ")
    assert line.endswith(digest_of(V1))
    assert not has_written(sent)


def test_a_refused_mount_of_a_rebuilt_layer_becomes_an_upload(
    destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker_charon.registry.client import RegistryClient

    monkeypatch.setattr(RegistryClient, "mount_blob", lambda *_, **__: False)
    images.put(destination, "app:1", release(1))
    wanted = {"app:2": release(2), "other:2": release(2)}
    push(destination, payload_with_deltas(wanted, {V2: [V1]}, {"app:1": release(1)}), strict=True)
    for name in wanted:
        assert images.read(destination, name) == release(2).contents()


def test_a_base_about_which_there_is_no_answer_is_fetched_all_the_same() -> None:
    def silent(call: Call) -> Answer | None:
        is_question = call.method == "HEAD" or "Range" in call.headers
        return Answer(500) if is_question and call.reference == digest_of(V1) else None

    with OddRegistry(silent) as registry:
        images.put(registry.address, "app:1", release(1))
        assert push(registry.address, update(2), strict=True) == ["app:2"]
        assert "app:2" in registry.names


@pytest.mark.parametrize("others", [(), ("other:1",)])
def test_a_layer_that_is_only_said_to_be_there_is_rebuilt_when_the_manifest_is_refused(
    others: tuple[str, ...],
) -> None:
    """The temporary files are prepared only then, if nothing else had to be rebuilt."""
    last = len(V2) - 1
    present = Answer(206, b"x", {"Content-Range": f"bytes {last}-{last}/{len(V2)}"})

    with OddRegistry() as registry:

        def forgetful(call: Call) -> Answer | None:
            is_read = call.method == "GET" and call.reference == digest_of(V2)
            return present if is_read and ("app", call.reference) not in registry.blobs else None

        registry.rules.append(forgetful)
        images.put(registry.address, "app:1", release(1))
        wanted = {"app:2": release(2), **{name: image(version(3)) for name in others}}
        deltas = {V2: [V1], **({version(3): [V1]} if others else {})}
        payload = payload_with_deltas(wanted, deltas, {"app:1": release(1)})
        assert push(registry.address, payload, strict=True) == [*wanted]
        assert registry.names == {"app:1", *wanted}


def circle(document: Any) -> None:
    """Let two deltas be the bases of each other."""
    deltas = document["layer_deltas"]
    two, three = digest_of(V2), digest_of(version(3))
    deltas[two]["bases"] = {three: {"size": len(version(3)), "repositories": ["app"]}}
    deltas[three]["bases"] = {two: {"size": len(V2), "repositories": ["app"]}}


def test_deltas_in_a_circle_are_left_out(destination: str) -> None:
    wanted = {"app:2": image(V2), "app:3": image(version(3)), "other:1": OTHER}
    payload = payload_with_deltas(wanted, {V2: [V1], version(3): [V1]})
    payload = changed(io.BytesIO(payload), circle).getvalue()
    with pytest.warns(UserWarning, match="left out"):
        assert push(destination, payload) == ["other:1"]


def own_base(document: Any) -> None:
    bases = document["layer_deltas"][digest_of(V2)]["bases"]
    bases[digest_of(V2)] = bases.pop(digest_of(V1))


def many_bases(document: Any) -> None:
    document["layer_deltas"][digest_of(V2)]["bases"] = {
        digest_of(b"%d" % n): {"size": 1, "repositories": ["app"]} for n in range(MOST_BASES + 1)
    }


def very_many_bases(document: Any) -> None:
    """Let 100,000 bases stand in deltas of blobs that no image has."""
    for n in range(100_000 // MOST_BASES):
        document["layer_deltas"][digest_of(b"delta %d" % n)] = {
            "size": 1,
            "bases": {
                digest_of(b"%d %d" % (n, k)): {"size": 1, "repositories": ["app"]}
                for k in range(MOST_BASES)
            },
        }


def wrong_size(document: Any) -> None:
    document["layer_deltas"][digest_of(V2)]["size"] += 1


def path_as_digest(document: Any) -> None:
    deltas = document["layer_deltas"]
    deltas["sha256:../../etc/passwd"] = deltas[digest_of(V2)]


def path_as_repository(document: Any) -> None:
    document["layer_deltas"][digest_of(V2)]["bases"][digest_of(V1)]["repositories"] = ["../x"]


@pytest.mark.parametrize(
    "change",
    [own_base, many_bases, very_many_bases, wrong_size, path_as_digest, path_as_repository],
)
def test_fields_that_cannot_be_right_are_refused_before_the_registry_is_asked(
    change: Callable[[Any], object],
) -> None:
    payload = changed(io.BytesIO(update(2)), change).getvalue()
    with pytest.raises(PayloadError):
        push("127.0.0.1:1", payload)


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_receipt_tells_of_a_base_so_that_the_next_payload_does_not_count_on_it(
    source: str, destination: str, tmp_path: Path, how: str
) -> None:
    images.put(source, "app:1", release(1))
    ledger, receipt = tmp_path / "ledger.zip", tmp_path / "receipt.zip"
    make_payload(source, tmp_path / "1.zip", ["app:1"], secure=False, ledger=ledger)
    if how == "damaged":
        push_payload_to_registry(destination, tmp_path / "1.zip", secure=False)
        damage_stored(tmp_path / "destination", V1)
    else:
        images.put(destination, "app:0", image(version(0, "base")))
    with contextlib.suppress(PushIncomplete), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        push(destination, with_other(), receipt=receipt)
    missing = described(receipt)["receipt"]["missing_blobs"]
    assert isinstance(missing, dict)
    assert missing[digest_of(V1)] == ["app"]
    assert missing[digest_of(V2)] == ["app"]
    again = tmp_path / "2.zip"
    make_payload(source, again, ["app:1"], secure=False, ledger=ledger, receipts=[receipt])
    assert digest_of(V1) in carried(again)


def test_a_receipt_of_a_rebuilt_layer_says_that_it_has_arrived(
    destination: str, tmp_path: Path
) -> None:
    images.put(destination, "app:1", release(1))
    receipt = tmp_path / "receipt.zip"
    push(destination, update(2), receipt=receipt, report=tmp_path / "report.json")
    assert described(receipt)["receipt"]["missing_blobs"] == {}
    assert digest_of(V2) in described(receipt)["blobs_paths"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["bytes"]["transferred"] >= len(V2)
    assert [image["state"] for image in report["images"]] == ["new"]


def test_the_next_payload_counts_on_a_layer_that_came_as_a_delta_and_on_its_base(
    source: str, tmp_path: Path
) -> None:
    for number in (1, 2):
        images.put(source, f"app:{number}", release(number))
    payload = tmp_path / "p.zip"
    earlier = [io.BytesIO(update(2))]
    wanted = ["app:1", "app:2"]
    make_payload(source, payload, wanted, secure=False, payloads_already_transferred=earlier)
    assert not {digest_of(V1), digest_of(V2)} & carried(payload).keys()


@pytest.mark.parametrize("form", ["directory", "volumes", "one medium after another"])
def test_a_payload_in_another_form_is_rebuilt_from_too(
    destination: str, tmp_path: Path, form: str
) -> None:
    images.put(destination, "app:1", release(1))
    wanted = {f"app:{n}": release(n) for n in (2, 3)}
    deltas = {version(n): [V1] for n in (2, 3)}
    payload = payload_with_deltas(wanted, deltas, {"app:1": release(1)})
    base = tmp_path / "p" / "p.zip"
    base.parent.mkdir()
    source: Path | VolumePath = base
    if form == "directory":
        zipfile.ZipFile(io.BytesIO(payload)).extractall(base)
    else:
        cut(payload, base, len(payload) // 3)
    if form == "one medium after another":
        drive = Drive(base, tmp_path / "drive")
        listing = Path(shutil.copy(base.with_name("p.zip.volumes.json"), tmp_path))
        source = VolumePath(listing, (drive.folder,), drive.ask)
    assert push_payload_to_registry(destination, source, secure=False) == [*wanted]
    for name, content in wanted.items():
        assert images.read(destination, name) == content.contents()
