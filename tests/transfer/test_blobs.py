"""The blobs of a push where the registry refuses mounts: uploads that are counted and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pytest

import images
from docker_charon import (
    ConnectionFailed,
    ProgressEvent,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.oci.descriptor import Body, Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, SkippedImage
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.layer_delta import LayerDelta
from docker_charon.payload.reader import Payload
from docker_charon.progress import Progress
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.blobs import BlobSender
from docker_charon.transfer.layer_deltas.rebuilding import Rebuilding
from docker_charon.transfer.outcome import Outcome, Part
from docker_charon.transfer.plan import Mount, PushPlan, RepositoryBlob
from docker_charon.workers import Stopped, Workers
from images import image, layer
from odd_registry import Answer as RegistryAnswer
from odd_registry import Call, OddRegistry
from payloads import payload_of
from proxy import Answer, Proxy, Rule

WITH_BOTH_REGISTRIES = True
MEGABYTE = 1_000_000
SHARED = layer(1, 5 * MEGABYTE)


def refusing_mounts(destination: str) -> Proxy:
    return Proxy(destination, [Rule("POST", "mount=", Answer(403), times=None)])


def last_line(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err.splitlines()[-1]


def test_an_upload_after_a_refused_mount_is_in_the_sum(
    source: str, destination: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = {name: images.put(source, name, image(SHARED)) for name in ("a:1", "b:1")}
    make_payload(source, tmp_path / "p.zip", list(wanted), secure=False)
    with refusing_mounts(destination) as proxy:
        push_payload_to_registry(proxy.address, tmp_path / "p.zip", secure=False, progress=True)
    assert "2 images: 10.0 MB uploaded, 0 B there already" in last_line(capfd)
    for name, content in wanted.items():
        assert images.read(destination, name) == content.contents()


@pytest.mark.parametrize("status", [413, 503])
def test_a_blob_that_is_sent_again_is_counted_once(tmp_path: Path, status: int) -> None:
    app = image(layer(1, 200_000))
    refused: set[str] = set()

    def refuse_once(call: Call) -> RegistryAnswer | None:
        """Refuse each blob after all of it has arrived."""
        digest = call.query.get("digest", "")
        if call.method != "PUT" or call.kind != "uploads" or digest in refused:
            return None
        refused.add(digest)
        return RegistryAnswer(status)

    payload = tmp_path / "p.zip"
    payload.write_bytes(payload_of({"app:1": app}))
    events: list[ProgressEvent] = []
    with OddRegistry(refuse_once) as registry:
        push_payload_to_registry(registry.address, payload, secure=False, progress=events.append)
    assert len(refused) == 2
    assert all(event.bytes_done <= event.bytes_total for event in events)
    assert events[-1].bytes_done == sum(map(len, app.blobs))


def test_a_blob_that_only_the_registry_has_counts_as_uploaded_when_its_mount_is_refused(
    source: str, destination: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = images.put(source, "base:1", image(SHARED))
    images.put(destination, "base:1", base)
    app = images.put(source, "app:1", image(SHARED, layer(2, MEGABYTE)))
    make_payload(source, tmp_path / "p.zip", ["app:1"], ["base:1"], secure=False)
    with refusing_mounts(destination) as proxy:
        push_payload_to_registry(proxy.address, tmp_path / "p.zip", secure=False, progress=True)
    assert "1 image: 6.0 MB uploaded, 0 B there already" in last_line(capfd)
    assert images.read(destination, "app:1") == app.contents()


def test_a_mount_that_is_granted_transfers_nothing(
    source: str, destination: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a:1", "b:1"):
        images.put(source, name, image(SHARED))
    make_payload(source, tmp_path / "p.zip", ["a:1", "b:1"], secure=False)
    push_payload_to_registry(destination, tmp_path / "p.zip", secure=False, progress=True)
    assert "2 images: 5.0 MB uploaded, 0 B there already" in last_line(capfd)


CONTENTS = {Digest.of(content): content for content in (b"long", b"short")}
LONG, SHORT = (Descriptor("x", digest, 1000) for digest in CONTENTS)


class OneFails:
    """A registry that refuses mounts, and that is lost in one upload while another one goes on."""

    def __init__(self) -> None:
        self.long_is_read = threading.Event()
        self.long_is_stopped = threading.Event()

    def mount_blob(self, repository: str, digest: Digest, *, source: str) -> bool:
        return False

    def get_blob(self, repository: str, blob: Descriptor) -> RegistryStream:
        return RegistryStream()

    def upload_blob(self, repository: str, blob: Descriptor, body: Body) -> None:
        if blob == SHORT:
            self.long_is_read.wait(60)
            raise ConnectionFailed("the connection broke")
        try:
            for _ in body:
                self.long_is_read.set()
                time.sleep(0.01)
        except Stopped:
            self.long_is_stopped.set()
            raise


class Graph:
    """An image of both blobs."""

    blobs = (LONG, SHORT)


class RegistryStream:
    """A blob that a registry sends slowly."""

    def __enter__(self) -> Iterator[bytes]:
        return iter([b"."] * 1000)

    def __exit__(self, *_: object) -> None:
        pass


class SlowPayload:
    """A payload that carries some digests."""

    deltas: Mapping[Digest, LayerDelta] = MappingProxyType({})

    def __init__(self, *carried: Digest) -> None:
        self.carried = frozenset(carried)

    def batches(self, digests: Iterable[Digest]) -> list[list[Digest]]:
        return [list(digests)]

    def body(self, blob: Descriptor) -> Body:
        return SlowBody()


class SlowBody:
    """A carried blob of a thousand pieces."""

    def __len__(self) -> int:
        return 1000

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"."] * 1000)


@pytest.mark.parametrize("carried", [(), tuple(CONTENTS)], ids=["at the registry", "carried"])
def test_an_upload_after_a_refused_mount_ends_when_the_connection_is_lost(
    carried: tuple[Digest, ...],
) -> None:
    registry = OneFails()
    targets = [RepositoryBlob("app", blob) for blob in (LONG, SHORT)]
    mounts = tuple(Mount(target, "base") for target in targets)
    plan = PushPlan((), mounts, {}, {digest: ["base"] for digest in CONTENTS})
    reference = Reference.parse("app:1")
    part = Part(SkippedImage("app:1", reference, None), None, reference, cast(Image, Graph()))
    client, payload = cast(RegistryClient, registry), cast(Payload, SlowPayload(*carried))
    with Progress("Pushing", dict.fromkeys(targets, 0), {}, False) as watch:
        sender = BlobSender(
            client,
            payload,
            Rebuilding(client, payload, lambda digests: {}),
            Workers(2),
            watch,
            Outcome(client, [part]),
        )
        with pytest.raises(ConnectionFailed, match="the connection broke"):
            sender.send(plan)
    assert registry.long_is_stopped.wait(60)
