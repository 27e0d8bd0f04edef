"""Layers that travel as their difference to older ones, and payloads that are made of them."""

from __future__ import annotations

import gzip
import logging
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import images
from command_line import charon
from conftest import require
from deltas.layers import noise, tar
from docker_charon import (
    DockerCharonError,
    PayloadError,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from docker_charon.deltas import extra, process
from docker_charon.transfer import make_steps
from docker_charon.transfer.layer_deltas import candidates
from docker_charon.transfer.layer_deltas import making as delta_making
from docker_charon.transfer.layer_deltas.directory import delta_directory
from images import TestImage, digest_of
from layered_images import SIZE, app_layer, deltas_in, image_of, rebuilt, release
from payloads import carried, described
from proxy import Answer, Proxy, Rule
from signers import allow, make_key

WITH_BOTH_REGISTRIES = True

OLD, NEW = app_layer(1), app_layer(2)


@pytest.fixture(autouse=True)
def _small_layers_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "LEAST_SIZE", SIZE // 2)


@pytest.fixture
def app(source: str) -> TestImage:
    """Put two versions of an image into the registry; return the new one."""
    images.put(source, "app:1", release(1))
    return images.put(source, "app:2", release(2))


def make(source: str, payload: Path, *names: str, **options: Any) -> Path:
    make_payload(source, payload, names, secure=False, **{"layer_deltas": True, **options})
    return payload


def update(source: str, payload: Path, **options: Any) -> Path:
    """Make the payload that brings the new version to where the old one is."""
    return make(source, payload, "app:2", docker_images_already_transferred=["app:1"], **options)


def blob_requests(proxy: Proxy) -> Counter[str]:
    """Return how often each blob was fetched."""
    paths = [request.path for request in proxy.matching("GET", "/blobs/sha256")]
    return Counter("sha256:" + path.replace("%3A", ":").rpartition(":")[2] for path in paths)


def beside(payload: Path) -> list[str]:
    """Return the names of the files with which a payload begins."""
    return sorted(path.name for path in payload.parent.glob(f"{payload.name}*"))


def test_a_changed_layer_travels_as_its_difference_to_the_old_one(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    payload = update(source, tmp_path / "p.zip")
    assert payload.stat().st_size < SIZE / 3
    assert carried(payload).keys() == {app.digest, digest_of(app.blobs[0])}
    assert rebuilt(payload, [OLD], tmp_path) == {digest_of(NEW): NEW}
    document: Any = described(payload)
    assert document["format_version"] == 2
    assert document["layer_deltas"] == {
        digest_of(NEW): {
            "size": len(deltas_in(payload)[digest_of(NEW)]),
            "bases": {digest_of(OLD): {"size": len(OLD), "repositories": ["app"]}},
        }
    }
    assert beside(payload) == ["p.zip"]


def test_without_old_layers_the_bytes_are_those_of_a_payload_without_deltas(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    payload = make(source, tmp_path / "p.zip", "app:1", "app:2")
    plain = make(source, tmp_path / "plain.zip", "app:1", "app:2", layer_deltas=False)
    assert payload.read_bytes() == plain.read_bytes()


def test_the_bytes_do_not_depend_on_jobs(source: str, app: TestImage, tmp_path: Path) -> None:
    images.put(source, "more:1", image_of(app_layer(1, "base"), app_layer(1, "more")))
    images.put(source, "more:2", image_of(app_layer(2, "base"), app_layer(2, "more")))
    olds = ["app:1", "more:1"]
    options: Any = {"docker_images_already_transferred": olds}
    payloads = [
        make(source, tmp_path / f"{jobs}.zip", "app:2", "more:2", jobs=jobs, **options)
        for jobs in (1, 3)
    ]
    assert len(deltas_in(payloads[0])) == 3
    assert payloads[0].read_bytes() == payloads[1].read_bytes()


def test_a_stream_gets_the_same_deltas(
    source: str, app: TestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    expected = deltas_in(update(source, tmp_path / "p.zip"))
    target = Pipe()
    update(source, target)  # type: ignore[arg-type]  # a file object is as good as a path
    (tmp_path / "stream.zip").write_bytes(target.content)
    assert deltas_in(tmp_path / "stream.zip") == expected
    assert list((tmp_path / "temporary").iterdir()) == []


class Pipe:
    """What cannot seek."""

    content = b""

    def write(self, data: bytes) -> None:
        self.content += bytes(data)


def test_each_layer_is_fetched_once_even_if_it_travels_whole_after_all(
    source: str, tmp_path: Path
) -> None:
    unlike = gzip.compress(tar({"x": noise(SIZE, 99)}), mtime=0)
    images.put(source, "app:1", image_of(OLD, app_layer(1, "base")))
    images.put(source, "app:2", image_of(unlike, app_layer(2, "base")))
    with Proxy(source) as proxy:
        payload = update(proxy.address, tmp_path / "p.zip")
        counts = blob_requests(proxy)
    assert deltas_in(payload).keys() == {digest_of(app_layer(2, "base"))}
    assert carried(payload)[digest_of(unlike)] == unlike
    layers = [unlike, OLD, app_layer(1, "base"), app_layer(2, "base")]
    assert [counts[digest_of(layer)] for layer in layers] == [1, 1, 1, 1]


def test_an_old_layer_comes_from_an_earlier_payload(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    first = make(source, tmp_path / "1.zip", "app:1")
    with Proxy(source) as proxy:
        second = make(
            proxy.address, tmp_path / "2.zip", "app:2", payloads_already_transferred=[first]
        )
        assert digest_of(OLD) not in blob_requests(proxy)
    assert rebuilt(second, [OLD], tmp_path) == {digest_of(NEW): NEW}


def test_an_old_layer_comes_from_an_earlier_payload_that_has_it_as_a_delta(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    images.put(source, "app:3", release(3))
    images.put(source, "app:4", release(4))
    payloads = [make(source, tmp_path / "1.zip", "app:1")]
    for week in (2, 3, 4):
        with Proxy(source) as proxy:
            payload = make(
                *(proxy.address, tmp_path / f"{week}.zip", f"app:{week}"),
                payloads_already_transferred=payloads,
            )
            older = {digest_of(app_layer(n)) for n in (1, 2, 3)} - {digest_of(app_layer(week))}
            assert blob_requests(proxy).keys().isdisjoint(older)
        payloads.append(payload)
        olds = [app_layer(n) for n in range(1, week)]
        assert rebuilt(payload, olds, tmp_path) == {digest_of(app_layer(week)): app_layer(week)}


def test_an_old_layer_may_be_one_of_another_registry(
    source: str, destination: str, tmp_path: Path
) -> None:
    images.put(source, "app:2", release(2))
    old_base = app_layer(5, "base")
    images.put(destination, "older:1", image_of(old_base, OLD))
    payload = tmp_path / "p.zip"
    make_payload(
        *(None, payload, [f"{source}/app:2"], [f"{destination}/older:1"]),
        secure=False,
        layer_deltas=True,
    )
    assert rebuilt(payload, [OLD, old_base], tmp_path)[digest_of(NEW)] == NEW
    document: Any = described(payload)
    assert document["registries"] == sorted([source, destination])
    assert inspect_payload(payload).images[0].name == f"{source}/app:2"


def test_a_layer_whose_old_content_is_gone_travels_whole(
    source: str, app: TestImage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inventory = tmp_path / "inventory.zip"
    make_inventory(source, inventory, ["app:1"], secure=False)
    gone = Rule("GET", digest_of(OLD), Answer(404), times=None)
    caplog.set_level(logging.INFO, "docker_charon")
    with Proxy(source, [gone]) as proxy:
        payload = make(
            proxy.address, tmp_path / "p.zip", "app:2", payloads_already_transferred=[inventory]
        )
    plain = make(
        *(source, tmp_path / "plain.zip", "app:2"),
        payloads_already_transferred=[inventory],
        layer_deltas=False,
    )
    assert payload.read_bytes() == plain.read_bytes()
    line = f"the old layer {digest_of(OLD)} cannot be used for a delta"
    assert any(line in record.getMessage() for record in caplog.records)


def test_a_dry_run_says_which_layers_are_candidates_and_fetches_none(
    source: str, app: TestImage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    with Proxy(source) as proxy:
        update(proxy.address, tmp_path / "p.zip", dry_run=True)
        assert blob_requests(proxy).keys().isdisjoint({digest_of(OLD), digest_of(NEW)})
    line = f"{digest_of(NEW)}, {len(NEW):,} bytes, may be carried as its difference to"
    assert f"{line} {digest_of(OLD)}" in [r.getMessage()[: len(line) + 72] for r in caplog.records]
    assert beside(tmp_path / "p.zip") == []


def test_without_the_extra_nothing_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "_NEEDED", ("numpy", "no_such_package"))
    with pytest.raises(DockerCharonError) as caught:
        make("no.such.registry.invalid", tmp_path / "p.zip", "app:2")
    assert str(caught.value).startswith(
        "no_such_package must be installed for differences inside layers; "
        "pip install 'docker-charon[deltas]'"
    )


def test_a_process_that_fails_only_costs_the_delta(
    source: str, app: TestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "raise MemoryError")
    with Proxy(source) as proxy:
        payload = update(proxy.address, tmp_path / "p.zip")
        assert blob_requests(proxy)[digest_of(NEW)] == 1
    assert deltas_in(payload) == {}
    assert carried(payload)[digest_of(NEW)] == NEW


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    source: str, app: TestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with Proxy(source) as proxy:
        with pytest.raises(PayloadError, match=r"need about .* and its disk has 1.0 kB free; free"):
            update(proxy.address, tmp_path / "p.zip")
        assert digest_of(NEW) not in blob_requests(proxy)
    assert beside(tmp_path / "p.zip") == []


def test_two_runs_for_one_payload_do_not_meet(source: str, app: TestImage, tmp_path: Path) -> None:
    with (
        delta_directory(tmp_path / "p.zip", lambda: None),
        pytest.raises(PayloadError, match="another docker-charon is writing"),
    ):
        update(source, tmp_path / "p.zip")


def test_an_interrupted_run_leaves_its_work_for_the_next_one(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.put(source, "app:1", image_of(OLD, app_layer(1, "base")))
    images.put(source, "app:2", image_of(NEW, app_layer(2, "base")))
    expected = update(source, tmp_path / "whole.zip").read_bytes()
    payload = tmp_path / "p.zip"
    make_delta = process.make_delta_in_process

    def interrupted(new: Path, *arguments: Any) -> bool:
        if new.name == digest_of(app_layer(2, "base")).partition(":")[2]:
            raise KeyboardInterrupt
        return make_delta(new, *arguments)

    monkeypatch.setattr(delta_making, "make_delta_in_process", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        update(source, payload, jobs=1)
    assert vars(caught.value)["partial"] == tmp_path / "p.zip.partial.deltas"
    monkeypatch.setattr(delta_making, "make_delta_in_process", make_delta)
    with Proxy(source) as proxy:
        update(proxy.address, payload)
        counts = blob_requests(proxy)
    assert payload.read_bytes() == expected
    assert counts.keys().isdisjoint({digest_of(NEW), digest_of(app_layer(2, "base"))})
    assert beside(payload) == ["p.zip"]


def test_a_delta_of_an_interrupted_run_that_was_damaged_is_made_again(
    source: str, app: TestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = update(source, tmp_path / "whole.zip").read_bytes()
    payload = tmp_path / "p.zip"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(make_steps, "write_payload", interrupt)
        update(source, payload)
    folder = tmp_path / "p.zip.partial.deltas"
    delta = folder / f"{digest_of(NEW).partition(':')[2]}.delta"
    delta.write_bytes(delta.read_bytes()[:-1])
    update(source, payload)
    assert payload.read_bytes() == expected


def test_a_run_for_other_images_uses_the_blobs_behind_the_deltas(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    first, last = app_layer(1, "first", 4 * SIZE), app_layer(1, "last", 3 * SIZE)
    images.put(source, "more:1", image_of(first, last))
    images.put(source, "other:1", image_of(app_layer(1, "other")))
    payload = tmp_path / "p.zip"
    options: Any = {"docker_images_already_transferred": ["app:1"], "jobs": 1}
    broken = Rule("GET", digest_of(last), Answer(403), times=None)
    with Proxy(source, [broken]) as proxy, pytest.raises(DockerCharonError):
        make(proxy.address, payload, "app:2", "more:1", **options)
    assert beside(payload) == ["p.zip.partial", "p.zip.partial.deltas"]
    with Proxy(source) as proxy:
        make(proxy.address, payload, "other:1", "app:2", "more:1", **options)
        assert digest_of(first) not in blob_requests(proxy)
    assert carried(payload)[digest_of(first)] == first
    assert beside(payload) == ["p.zip"]


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_volumes_and_signatures_go_together_with_deltas(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    key = make_key(tmp_path, "maker")
    signed = update(source, tmp_path / "signed.zip", sign=key)
    update(source, tmp_path / "v.zip", sign=key, volume_size=5000)
    volumes = sorted(tmp_path.glob("v.zip.0*"))
    assert b"".join(volume.read_bytes() for volume in volumes) == signed.read_bytes()
    assert deltas_in(signed).keys() == {digest_of(NEW)}


@pytest.mark.parametrize("volume_size", [None, 5000])
def test_a_signed_payload_with_deltas_is_accepted_wherever_signers_are_given(
    source: str, destination: str, app: TestImage, tmp_path: Path, volume_size: int | None
) -> None:
    require(shutil.which("ssh-keygen") is not None, "ssh-keygen")
    key = make_key(tmp_path, "maker")
    signers = allow(tmp_path / "signers", key)
    signed: dict[str, Any] = {"sign": key, "volume_size": volume_size}
    old = make(source, tmp_path / "1.zip", "app:1", **signed)
    new = update(source, tmp_path / "2.zip", **signed)
    assert verify_payload(new, payloads_already_transferred=[old], allowed_signers=signers) == []
    assert inspect_payload(new, allowed_signers=signers).signer == "maker@example.com"
    for payload in (old, new):
        push_payload_to_registry(destination, payload, secure=False, allowed_signers=signers)
    assert images.read(destination, "app:2") == app.contents()
    later: dict[str, Any] = {"payloads_already_transferred": [old, new], "layer_deltas": True}
    images.put(source, "app:3", release(3))
    make(source, tmp_path / "3.zip", "app:3", allowed_signers=signers, **later)
    assert deltas_in(tmp_path / "3.zip").keys() == {digest_of(app_layer(3))}


def test_what_a_ledger_says_is_enough_and_a_delta_counts_as_brought(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.zip"
    make(source, tmp_path / "1.zip", "app:1", ledger=ledger)
    second = make(source, tmp_path / "2.zip", "app:2", ledger=ledger)
    assert rebuilt(second, [OLD], tmp_path) == {digest_of(NEW): NEW}
    document: Any = described(second)
    assert sorted(document["ledger"]["brought"]["1"]) == sorted(
        [digest_of(OLD), digest_of(app_layer(0, "base"))]
    )
    after: Any = described(ledger)
    assert digest_of(NEW) in after["ledger"]["brought"]["2"]
    assert {digest_of(OLD), digest_of(NEW)} <= after["blobs_paths"].keys()


def test_what_could_not_be_rebuilt_at_an_emptied_registry_travels_whole_the_next_time(
    source: str, destination: str, tmp_path: Path
) -> None:
    ledger, receipt = tmp_path / "ledger.zip", tmp_path / "receipt.zip"
    for week in (1, 2, 3):
        newest = images.put(source, f"app:{week}", image_of(app_layer(week), steps=["COPY app"]))
        payload = make(source, tmp_path / f"{week}.zip", f"app:{week}", ledger=ledger)
    assert [*deltas_in(payload)] == [digest_of(app_layer(3))]
    with pytest.warns(UserWarning, match="left out: app:3 needs"):
        push_payload_to_registry(destination, payload, secure=False, receipt=receipt)
    payload = make(source, tmp_path / "4.zip", "app:3", ledger=ledger, receipts=[receipt])
    assert deltas_in(payload) == {}
    assert push_payload_to_registry(destination, payload, secure=False) == ["app:3"]
    assert images.read(destination, "app:3") == newest.contents()


@pytest.mark.slow
def test_ten_weeks_by_ledger_alone_weigh_what_changed_and_arrive_as_they_are(
    source: str, destination: str, tmp_path: Path
) -> None:
    sizes = {True: 0, False: 0}
    for week in range(1, 11):
        wanted = images.put(source, f"app:{week}", release(week, week // 4))
        for layer_deltas in (True, False):
            payload = make(
                *(source, tmp_path / f"{week}-{layer_deltas}.zip", f"app:{week}"),
                ledger=tmp_path / f"ledger-{layer_deltas}.zip",
                layer_deltas=layer_deltas,
            )
            if week > 1:
                sizes[layer_deltas] += payload.stat().st_size
        push_payload_to_registry(destination, tmp_path / f"{week}-True.zip", secure=False)
        assert images.read(destination, f"app:{week}") == wanted.contents()
    assert sizes[True] < 0.15 * sizes[False]


def test_a_delta_of_a_delta_arrives_as_it_is(
    source: str, destination: str, app: TestImage, tmp_path: Path
) -> None:
    last = images.put(source, "app:3", release(3))
    ledger = tmp_path / "ledger.zip"
    for week in (1, 2, 3):
        payload = make(source, tmp_path / f"{week}.zip", f"app:{week}", ledger=ledger)
        push_payload_to_registry(destination, payload, secure=False, strict=True)
    assert deltas_in(payload).keys() == {digest_of(app_layer(3))}
    assert images.read(destination, "app:3") == last.contents()


def test_the_command_makes_deltas_and_says_how_many(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    done = charon(
        *("make-payload", "-i", "-r", source, "-f", payload, "-a", "app:1", "--layer-deltas"),
        "app:2",
    )
    assert done.status == 0, done.stderr
    assert "1 layer carried as the difference to older ones: " in done.stderr
    assert ", 1 layer as deltas" in done.stderr
    assert deltas_in(payload).keys() == {digest_of(NEW)}
