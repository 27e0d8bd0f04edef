"""Questions: no registry is asked anything twice, except for a reason that stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import images
from conftest import Sent
from docker_charon import (
    RegistryError,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    serve,
)
from images import OCI, artifact, digest_of, image, index_of, layer
from proxy import Answer, Proxy, Rule

WITH_BOTH_REGISTRIES = True

JOBS = 8
"""Threads, which would ask for the same thing at the same time."""

AMD64 = image(layer(1), layer(2), media_type=OCI)
ARM64 = image(layer(1), layer(3), media_type=OCI, platform="linux/arm64")
S390X = image(layer(1), layer(4), media_type=OCI, platform="linux/s390x")
MULTI = index_of({"linux/amd64": AMD64, "linux/arm64": ARM64}, "linux/amd64")
OTHER = index_of({"linux/arm64": ARM64, "linux/s390x": S390X})
SBOM = artifact(layer(5), subject=MULTI.descriptor)
PLAIN = image(layer(1), layer(6))
FAMILY = [image(layer(1), layer(7), layer(10 + number)) for number in range(8)]
IMAGES = {
    "app:multi": MULTI,
    "app:same": MULTI,
    "app:other": OTHER,
    "app:plain": PLAIN,
    "app:plain-too": PLAIN,
    "app:amd64": AMD64,
    "copy:multi": MULTI,
    "copy:plain": PLAIN,
    **{f"family-{number % 2}:{number}": member for number, member in enumerate(FAMILY)},
}
NAMES = [
    *IMAGES,
    f"app:plain@{PLAIN.digest}",
    f"app:plain-too@{PLAIN.digest}",
    f"app@{MULTI.digest}",
]
ATTESTED = ["app:multi", "app:same", "copy:multi"]

Reason = Callable[[Sent, Sequence[Sent], Sent], bool]


def has_failed(before: Sent, _between: Sequence[Sent], _again: Sent) -> bool:
    """There was no answer, or a refusal: distribution reads half of what it writes just then."""
    return before.status is None or before.status in (400, 429) or before.status >= 500


def is_another_upload(_before: Sent, _between: Sequence[Sent], again: Sent) -> bool:
    """The request opens an upload session, and each blob has its own."""
    return again.method == "POST" and again.url.endswith("/blobs/uploads/")


def was_put(_before: Sent, between: Sequence[Sent], again: Sent) -> bool:
    """The manifest was put in between: what is done is looked at."""
    return again.method == "GET" and any(x.is_for("PUT", again.url) for x in between)


def was_mounted(_before: Sent, between: Sequence[Sent], again: Sent) -> bool:
    """The blob was mounted in between, and a registry can say so of a mount that it did not do."""
    repository, _, digest = again.url.partition("/blobs/")
    mount = f"{repository}/blobs/uploads/?mount={digest}&"
    return again.method == "GET" and any(x.is_for("POST", mount) for x in map(unquoted, between))


def unquoted(request: Sent) -> Sent:
    return Sent(request.method, unquote(request.url), request.headers)


REASONS: list[Reason] = [has_failed, is_another_upload, was_put, was_mounted]


def needless(sent: Sequence[Sent]) -> list[str]:
    """Return the requests that were sent twice without a reason."""
    last: dict[tuple[str, str], int] = {}
    repeated = []
    for number, request in enumerate(sent):
        key = request.method, request.url
        if key in last:
            before, between = sent[last[key]], sent[last[key] + 1 : number]
            if not any(reason(before, between, request) for reason in REASONS):
                repeated.append(f"{request.method} {request.url}: {before.status}")
        last[key] = number
    return repeated


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a registry with images that share manifests, layers and referrers."""
    with serve(storage=tmp_path_factory.mktemp("source")) as server:
        for name, wanted in IMAGES.items():
            images.put(server.address, name, wanted)
        for repository in ("app", "copy"):
            images.refer(server.address, repository, MULTI, SBOM)
        yield server.address


@pytest.fixture(scope="module")
def made(filled: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a payload of all these images and their referrers."""
    file = tmp_path_factory.mktemp("made") / "made.zip"
    make_payload(filled, file, NAMES, secure=False, include_referrers=True)
    return file


def push(registry: str, file: Path, **options: Any) -> list[str]:
    return push_payload_to_registry(registry, file, secure=False, jobs=JOBS, **options)


def test_an_inventory_asks_for_nothing_twice(filled: str, tmp_path: Path, sent: list[Sent]) -> None:
    for names in ([], NAMES):
        sent.clear()
        make_inventory(filled, tmp_path / "inventory.zip", names, secure=False, jobs=JOBS)
        assert len(sent) > len(names)
        assert not needless(sent)


def test_a_payload_asks_for_nothing_twice(filled: str, tmp_path: Path, sent: list[Sent]) -> None:
    ledger, receipt = tmp_path / "ledger.zip", tmp_path / "inventory.zip"
    make_inventory(filled, receipt, ["app:plain", "family-0:0"], secure=False)
    options: list[dict[str, Any]] = [
        {},
        {"docker_images_already_transferred": ["app:other", "copy:plain", "family-0:2"]},
        {"payloads_already_transferred": [receipt]},
        {"include_referrers": True},
        {"platforms": ["linux/arm64", "linux/amd64"], "docker_images_to_transfer": ATTESTED},
        {"ledger": ledger, "docker_images_to_transfer": ["app:multi", "family-0:0"]},
        {"ledger": ledger, "docker_images_to_transfer": ["app:same", "app:other", "family-0:2"]},
    ]
    for number, chosen in enumerate(options):
        sent.clear()
        arguments = {"docker_images_to_transfer": NAMES, **chosen}
        file = tmp_path / f"{number}.zip"
        make_payload(filled, file, secure=False, jobs=JOBS, **arguments)
        assert len(sent) > 1
        assert not needless(sent)


def test_only_a_config_that_tells_the_platform_is_read_before_it_is_carried(
    filled: str, tmp_path: Path, sent: list[Sent]
) -> None:
    """It is carried as all blobs are, and so read again."""
    sent.clear()
    names, platforms = ["app:plain", "app:plain-too", "family-0:0"], ["linux/amd64"]
    make_payload(filled, tmp_path / "p.zip", names, secure=False, jobs=JOBS, platforms=platforms)
    configs = [digest_of(each.blobs[0]) for each in (PLAIN, FAMILY[0])]
    repeated = [request.partition("/blobs/")[2].partition(": ")[0] for request in needless(sent)]
    assert sorted(repeated) == sorted(configs)


def test_a_push_asks_for_nothing_twice(destination: str, made: Path, sent: list[Sent]) -> None:
    runs: list[dict[str, Any]] = [
        {"dry_run": True},
        {},
        {},
        {"repository_prefix": "mirror"},
        {"repository_map": {"family-0": "family", "family-1": "family"}},
    ]
    for options in runs:
        sent.clear()
        assert push(destination, made, **options) == NAMES
        assert len(sent) > len(NAMES)
        assert not needless(sent)


def test_every_image_is_looked_at_after_it_was_put(
    destination: str, made: Path, sent: list[Sent]
) -> None:
    sent.clear()
    push(destination, made)
    for name in NAMES:
        repository, _, digest = name.partition("@")
        repository, _, tag = repository.partition(":")
        part = f"/v2/{repository}/manifests/{tag or digest}"
        requests = [request.method for request in sent if request.url.endswith(part)]
        assert requests.index("PUT") < len(requests) - 1
        assert requests[-1] == "GET"


def test_a_second_push_sends_nothing(destination: str, made: Path, sent: list[Sent]) -> None:
    push(destination, made)
    sent.clear()
    push(destination, made)
    assert {request.method for request in sent} <= {"GET", "HEAD"}


def test_a_push_after_a_failure_asks_for_nothing_twice_and_sends_no_blob_again(
    destination: str, made: Path, sent: list[Sent]
) -> None:
    refusing = [Rule("PUT", "/manifests/", Answer(403))]
    with Proxy(destination, refusing) as proxy, pytest.raises(RegistryError):
        push(proxy.address, made)
    sent.clear()
    assert push(destination, made) == NAMES
    assert not [request for request in sent if "/uploads/" in request.url]
    assert not needless(sent)
