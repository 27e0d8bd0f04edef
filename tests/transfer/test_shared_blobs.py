"""Blobs that several repositories list: fetched from one of them, and from the next if it fails."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import images
from docker_charon import BlobNotFound, DigestMismatch, make_payload, serve
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.reference import Reference
from docker_charon.registry.access import Access
from docker_charon.transfer.resolve import Resolver
from docker_charon.transfer.shared_blobs import SharedBlobs
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers
from images import digest_of, image, layer
from loose_registry import LooseRegistry, Reply
from proxy import Proxy, Reset, Rule

BASE = layer(1, 20_000)
ONE = image(BASE, layer(2))
TWO = image(BASE, layer(3))


@pytest.fixture(autouse=True)
def _in_the_order_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no registry be faster than another."""
    monkeypatch.setattr(Sources, "fastest_first", lambda _, repositories: list(repositories))


def has_base(payload: Path) -> bool:
    """Whether a payload carries the layer that both images share."""
    with zipfile.ZipFile(payload) as archive:
        return archive.read(f"blobs/sha256/{digest_of(BASE).partition(':')[2]}") == BASE


def lose_base(registry: LooseRegistry) -> None:
    registry.answer("GET", f"blobs/{digest_of(BASE)}", Reply(404))


def spoil_base(registry: LooseRegistry) -> None:
    content = BASE[:-1] + bytes([BASE[-1] ^ 1])
    registry.answer("GET", f"blobs/{digest_of(BASE)}", Reply(body=content))


def shorten_base(registry: LooseRegistry) -> None:
    registry.answer("GET", f"blobs/{digest_of(BASE)}", Reply(body=BASE[:-1]))


def refuse_base(registry: LooseRegistry) -> None:
    registry.answer("GET", f"blobs/{digest_of(BASE)}", Reply(500))


@pytest.mark.parametrize("spoil", [lose_base, spoil_base, shorten_base, refuse_base])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_blob_that_one_registry_cannot_deliver_comes_from_another(
    quay: LooseRegistry,
    ghcr: LooseRegistry,
    tmp_path: Path,
    spoil: Callable[[LooseRegistry], None],
    turn: int,
) -> None:
    spoil(quay)
    quay.put("app:1", ONE)
    ghcr.put("app:2", TWO)
    payload = tmp_path / "p.zip"
    wanted = [f"{quay.address}/app:1", f"{ghcr.address}/app:2"][::turn]
    make_payload(None, payload, wanted, secure=False)
    with serve([payload]) as server:
        assert images.read(server.address, "app:1") == ONE.contents()
        assert images.read(server.address, "app:2") == TWO.contents()


def test_a_connection_that_breaks_for_good_goes_on_at_another_registry(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Proxy(
        quay.address, [Rule("GET", digest_of(BASE), Reset(after=3_000), times=None)]
    ) as proxy:
        quay.put("app:1", ONE)
        ghcr.put("app:2", TWO)
        payload = tmp_path / "p.zip"
        names = [f"{proxy.address}/app:1", f"{ghcr.address}/app:2"]
        make_payload(None, payload, names, secure=False, jobs=1)
    assert has_base(payload)
    assert f"going on with {ghcr.address}/app" in caplog.text


def test_a_blob_that_one_repository_has_lost_comes_from_another_of_the_same_registry(
    quay: LooseRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quay.put("first:1", ONE)
    quay.put("second:1", TWO)
    quay.answer("GET", f"/v2/first/blobs/{digest_of(BASE)}", Reply(404))
    payload = tmp_path / "p.zip"
    make_payload(quay.address, payload, ["first:1", "second:1"], secure=False)
    assert has_base(payload)
    assert "going on with second" in caplog.text


def test_a_blob_that_nobody_can_deliver_ends_the_run_with_the_last_error(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    for registry, name in ((quay, "app:1"), (ghcr, "app:2")):
        registry.put(name, ONE)
        lose_base(registry)
    names = [f"{quay.address}/app:1", f"{ghcr.address}/app:2"]
    with pytest.raises(BlobNotFound, match="has no blob"):
        make_payload(None, tmp_path / "p.zip", names, secure=False)


def test_a_blob_that_is_damaged_everywhere_is_named_with_its_registry(tmp_path: Path) -> None:
    with LooseRegistry() as registry:
        registry.put("app:1", ONE)
        spoil_base(registry)
        message = (
            rf"^{registry.address} has a damaged blob in app, .*{digest_of(BASE)}.* again there"
        )
        with pytest.raises(DigestMismatch, match=message):
            make_payload(registry.address, tmp_path / "p.zip", ["app:1"], secure=False)


def test_a_registry_that_does_not_answer_is_asked_last_for_the_next_blobs(tmp_path: Path) -> None:
    shared = [layer(n, 9_000) for n in range(20, 26)]
    with (
        LooseRegistry() as away,
        LooseRegistry() as other,
        Proxy(away.address, [Rule("GET", "/blobs/", Reset(), times=None)]) as proxy,
    ):
        away.put("app:1", image(*shared))
        other.put("app:2", image(*shared))
        names = [f"{proxy.address}/app:1", f"{other.address}/app:2"]
        sources = Sources(
            "unused.example", Access(secure=False), 1, hosts={proxy.address, other.address}
        )
        with sources:
            resolver = Resolver(sources, Workers(1))
            references = {name: Reference.parse_full(name) for name in names}
            blobs = SharedBlobs(sources, resolver.images(references))
            for content in shared:
                digest = Digest(digest_of(content))
                blob = Descriptor("", digest, len(content))
                with blobs.open(blob, f"{proxy.address}/app", 0) as stream:
                    buffer = memoryview(bytearray(100_000))
                    assert stream.readinto(buffer) > 0
        asked = {request.path for request in proxy.requests if "/blobs/" in request.path}
    assert len(asked) == 1
