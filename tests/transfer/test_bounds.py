"""Work without bound: what a small payload or a hostile registry causes has a limit."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import images
from docker_charon import PayloadError, RegistryError, push_payload_to_registry
from docker_charon.errors import InvalidManifest, ManifestNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, PayloadImage
from docker_charon.oci.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from docker_charon.oci.platform import Platform
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.paths import DESCRIPTOR_PATH
from docker_charon.registry.blobs import BlobState
from docker_charon.transfer import push
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.transfer.platforms import DEEPEST, filter_index, offers
from docker_charon.transfer.present_blobs import PresentBlobs
from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.transfer.resolve import Resolver
from docker_charon.transfer.survey import Survey
from docker_charon.workers import Workers
from fuzz.destination import Destination
from payloads import zipped


def manifest_of(number: int, subject: Descriptor | None = None, padding: int = 0) -> Manifest:
    config = {"mediaType": "a/b", "digest": f"sha256:{number:064x}", "size": 2}
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [],
        "annotations": {"padding": "x" * padding},
    }
    if subject is not None:
        document["subject"] = subject.as_json()
    return Manifest.parse(json.dumps(document).encode())


def index_of(children: list[Manifest], platform: str = "") -> Manifest:
    entries = [child.descriptor.as_json() for child in children]
    if platform:
        for entry in entries:
            if entry["mediaType"] == OCI_MANIFEST:
                entry["platform"] = {"os": "linux", "architecture": platform}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Manifest.parse(json.dumps(document).encode())


class FakeRegistry:
    """Has manifests; counts what it is asked."""

    registry = "r.example"
    are_several = False

    def __init__(self) -> None:
        self.manifests: dict[str, Manifest] = {}
        self.questions = 0

    def locate(self, repository: str) -> tuple[str, str]:
        return self.registry, repository

    def add(self, *manifests: Manifest) -> None:
        self.manifests.update({manifest.digest: manifest for manifest in manifests})

    def get_manifest(self, repository: str, reference: str) -> Manifest:
        self.questions += 1
        if reference not in self.manifests:
            raise ManifestNotFound(f"no {repository} {reference}", status=404)
        return self.manifests[reference]

    def referrers(self, repository: str, digest: Digest) -> list[Descriptor]:
        self.questions += 1
        return []

    def blob_state(self, *_: object, **__: object) -> BlobState:
        self.questions += 1
        return BlobState.ABSENT


def resolver(registry: FakeRegistry) -> Resolver:
    return Resolver(registry, Workers(1))  # type: ignore[arg-type]  # what is asked of a client


def nested(depth: int) -> Iterator[Manifest]:
    """Yield indexes of which each lists the one before it twice, the innermost first."""
    inner = manifest_of(1)
    for _ in range(depth):
        yield inner
        inner = index_of([inner, inner], "amd64")
    yield inner


def test_nested_indexes_that_are_listed_twice_are_walked_once() -> None:
    *below, root = nested(DEEPEST)
    calls: list[str] = []
    manifests = {manifest.digest: manifest for manifest in below}

    def child(descriptor: Descriptor) -> Manifest:
        calls.append(descriptor.digest)
        return manifests[descriptor.digest]

    offered = offers(root, child, lambda _: Platform("linux", "amd64"))
    assert len(calls) == DEEPEST - 1
    chosen = {offer.descriptor.digest for offer in offered}
    assert [*filter_index(root, chosen, child)][-1] == root
    assert len(calls) <= 3 * DEEPEST


def test_indexes_that_are_nested_too_deeply_are_refused_without_recursion() -> None:
    *below, root = nested(1500)
    manifests = {manifest.digest: manifest for manifest in below}
    with pytest.raises(InvalidManifest, match=f"more than {DEEPEST} levels"):
        offers(root, lambda d: manifests[d.digest], lambda _: None)


class InventingRegistry(FakeRegistry):
    """Invents a referrer for every manifest, or ``each`` of them."""

    def __init__(self, each: int) -> None:
        super().__init__()
        self._each = each

    def referrers(self, repository: str, digest: Digest) -> list[Descriptor]:
        self.questions += 1
        subject = self.manifests[digest].descriptor
        invented = [manifest_of(self.questions * 1000 + n, subject) for n in range(self._each)]
        self.add(*invented)
        return [manifest.descriptor for manifest in invented]


class SigningRegistry(FakeRegistry):
    """Has a signature of every digest under cosign's tag, and so of every signature."""

    def get_manifest(self, repository: str, reference: str) -> Manifest:
        if not reference.endswith(".sig"):
            return super().get_manifest(repository, reference)
        self.questions += 1
        return manifest_of(int(reference.removeprefix("sha256-")[:12], 16))


@pytest.mark.parametrize(
    ("registry", "words"),
    [
        (InventingRegistry(1), "chains of more than 10 referrers"),
        (InventingRegistry(100), "more than 250 referrers"),
        (InventingRegistry(5000), "more than 250 referrers"),
        (SigningRegistry(), "chains of more than 10 referrers"),
    ],
)
def test_referrers_are_not_followed_for_ever(registry: FakeRegistry, words: str) -> None:
    root = manifest_of(1)
    registry.add(root)
    registry.manifests["1"] = root
    task = resolver(registry)
    images = task.images({"app:1": Reference("app", "1", None)})
    with pytest.raises(RegistryError, match=words):
        task.with_referrers(images)
    assert registry.questions < 2000


def test_manifests_are_counted_while_they_come() -> None:
    registry = FakeRegistry()
    children = [manifest_of(n, padding=4_000_000) for n in range(150)]
    root = index_of(children)
    registry.add(root, *children)
    registry.manifests["1"] = root
    tracemalloc.start()
    with pytest.raises(PayloadError, match="too large"):
        resolver(registry).images({"app:1": Reference("app", "1", None)})
    assert registry.questions < 40
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_a_payload_that_shares_its_blobs_among_many_names_is_refused_before_a_question() -> None:
    registry = FakeRegistry()
    blobs = [Descriptor("a/b", Digest(f"sha256:{n:064x}"), 2) for n in range(300)]
    needed = [RepositoryBlob(f"app{n}", blob) for n in range(1000) for blob in blobs]
    present = PresentBlobs(registry, Workers(1), 2000)  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match=r"needs 300,000 answers .* at most 2,000"):
        present.ask(needed, to_push=True)
    assert not registry.questions


@pytest.mark.parametrize("jobs", [1, 4])
def test_of_a_repository_that_does_not_exist_one_blob_is_asked_for(jobs: int) -> None:
    class NoRepositories(FakeRegistry):
        def blob_state(self, *_: object, **__: object) -> BlobState:
            super().blob_state()
            return BlobState.NO_REPOSITORY

    registry = NoRepositories()
    blobs = [Descriptor("a/b", Digest(f"sha256:{n:064x}"), 2) for n in range(100)]
    needed = [RepositoryBlob(f"app{n}", blob) for n in range(5) for blob in blobs]
    present = PresentBlobs(registry, Workers(jobs))  # type: ignore[arg-type]
    present.ask(needed, to_push=True)
    assert not any(map(present.has, needed))
    assert all(present.knows(blob) is False for blob in needed)
    assert registry.questions == 5


class CountingDestination(Destination):
    """A registry that has nothing; counts what it is asked."""

    questions = 0

    def get_manifest(self, *arguments: Any, **options: Any) -> Manifest:
        self.questions += 1
        return super().get_manifest(*arguments, **options)

    def head_manifest(self, *arguments: Any, **options: Any) -> Digest | None:
        self.questions += 1
        return super().head_manifest(*arguments, **options)

    def blob_state(self, *arguments: Any, **options: Any) -> BlobState:
        self.questions += 1
        return super().blob_state(*arguments, **options)


@pytest.mark.parametrize(
    ("names", "layers", "words"),
    [(1_000, 300, "needs 301,000 answers of"), (15_000, 15_000, "more than 128 MiB of memory")],
)
def test_a_small_payload_of_0_1_with_many_names_and_absent_layers_is_refused(
    names: int, layers: int, words: str
) -> None:
    descriptor = {"mediaType": "application/x", "size": 9}
    entries = [{**descriptor, "digest": f"sha256:{n:064x}"} for n in range(layers + 1)]
    document = {"schemaVersion": 2, "mediaType": images.DOCKER, "config": entries[0]}
    manifest = json.dumps({**document, "layers": entries[1:]}).encode()
    paths = {f"app{n}:1": "manifest" for n in range(names)}
    payload = zipped(
        {DESCRIPTOR_PATH: json.dumps(paths).encode(), "manifest": manifest}, [zipfile.ZIP_DEFLATED]
    )
    assert len(payload) < 700_000
    destination = CountingDestination({})
    with (
        mock.patch.object(push, "open_registry", destination),
        pytest.raises(PayloadError, match=words),
    ):
        push_payload_to_registry("r.example", io.BytesIO(payload), jobs=1, progress=False)
    assert not destination.questions


def test_a_blob_that_may_be_in_200_000_repositories_is_asked_for_in_a_few() -> None:
    registry = FakeRegistry()
    layer = Descriptor("a/b", Digest(f"sha256:{1:064x}"), 2)
    image = PayloadImage("app:1", Reference("app", "1", None), Image((manifest_of(1),)))
    repositories = tuple(f"team{n}/app" for n in range(200_000))
    payload = SimpleNamespace(
        all_images=[image], carried={}, deltas={}, at_destination={layer.digest: repositories}
    )
    survey = Survey(registry, payload, Destinations(), Workers(1))  # type: ignore[arg-type]
    assert survey.holders([image]) == {layer.digest: []}
    assert registry.questions <= 21


def test_a_large_payload_has_all_its_questions() -> None:
    registry = FakeRegistry()
    blobs = [Descriptor("a/b", Digest(f"sha256:{n:064x}"), 2) for n in range(2500)]
    present = PresentBlobs(registry, Workers(1), 2500)  # type: ignore[arg-type]
    present.ask([RepositoryBlob("app", blob) for blob in blobs], to_push=True)
    assert registry.questions == 2500


def test_an_image_of_many_manifests_is_collected_without_recursion() -> None:
    *below, root = nested(1500)
    manifests = {manifest.digest: manifest for manifest in below}
    assert len(Image.collect(root, lambda d: manifests[d.digest]).manifests) == 1501
