"""The descriptor of a payload: those of every release are read, and malformed ones refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from docker_charon.errors import PayloadError
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.entries import payload_entries
from docker_charon.payload.format.layer_delta import Base, LayerDelta
from docker_charon.payload.format.paths import DESCRIPTOR_PATH
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor
from docker_charon.transfer.plan import plan_make
from images import layer

L1, L2 = Digest.of(layer(1)), Digest.of(layer(2))


def parse(value: object) -> PayloadDescriptor:
    return PayloadDescriptor.parse(json.dumps(value).encode())


def test_a_descriptor_of_04_has_places_and_no_version() -> None:
    parsed = parse(
        {
            "manifests_paths": {"app:1": "manifests/app_1", "base:1": None},
            "blobs_paths": {L1: {"zip_path": f"blobs/{L1}"}, L2: {"repository": "base"}},
        }
    )
    assert parsed.manifests == {"app:1": "manifests/app_1", "base:1": None}
    assert parsed.zip_paths == {L1: f"blobs/{L1}"}
    assert parsed.at_destination == {L2: ("base",)}
    assert not parsed.has_layout


def test_a_descriptor_of_01_has_images_only() -> None:
    parsed = parse({"app:1": "manifests/app_1", "base:1": "manifests/base_1"})
    assert parsed.manifests == {"app:1": "manifests/app_1", "base:1": "manifests/base_1"}
    assert parsed.zip_paths is None
    assert parsed.at_destination is None
    assert not parsed.has_layout


@pytest.mark.parametrize("name", ["format_version", "manifests_paths", "blobs_paths"])
def test_an_image_of_01_may_be_called_as_our_keys_are(name: str) -> None:
    assert parse({name: "manifests/x"}).manifests == {name: "manifests/x"}


def ours(**members: object) -> dict[str, object]:
    return {"format_version": 1, "manifests_paths": {}, "blobs_paths": {}, **members}


def base_of(*repositories: str) -> dict[str, object]:
    return {"size": 1, "repositories": repositories}


def test_members_that_are_not_known_yet_are_passed_over() -> None:
    assert parse(ours(more=[1], manifests_paths={"app": None})).manifests == {"app": None}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "not a JSON object"),
        (None, "not a JSON object"),
        (
            ours(format_version=3),
            "has format version 3, and this docker-charon reads versions up to 2",
        ),
        (ours(manifests_paths=[]), "is malformed"),
        (ours(manifests_paths={"app": 1}), "path of a manifest is not a string"),
        (ours(blobs_paths=None), "has no blobs_paths"),
        (ours(blobs_paths=[]), "has no blobs_paths"),
        (ours(blobs_paths={"latest": {"zip_path": "x"}}), "'latest' is not a digest"),
        (ours(blobs_paths={L1: "x"}), "location of a blob is not a JSON object"),
        (ours(blobs_paths={L1: {}}), "repository of a blob is not a string"),
        (ours(blobs_paths={L1: {"zip_path": 1}}), "repository of a blob is not a string"),
        (ours(blobs_paths={L1: {"repositories": "base"}}), "repository of a blob is not a string"),
        (ours(blobs_paths={L1: {"repository": "../x"}}), "is malformed"),
        ({"app:1": ["manifests/app_1"]}, "path of a manifest is not a string"),
        (ours(registries="quay.io"), "registries is not a list"),
        (ours(registries=["team"]), "is not a registry"),
        (ours(registries=["quay.io/x"]), "is not a registry"),
        (ours(registries=['a."']), "is not a registry"),
        (ours(registries=[".."]), "is not a registry"),
        (ours(registries=["quay.io:65536"]), "is not a registry"),
        (ours(registries=["Quay.io"]), "is not a registry"),
        (ours(layer_deltas=[]), "a part of layer_deltas is not a JSON object"),
        (ours(layer_deltas={L1: {"size": 1, "bases": {}}}), "has no base"),
        (
            ours(layer_deltas={L1: {"size": 1, "bases": {L1: base_of("app")}}}),
            "is based on itself",
        ),
        (ours(layer_deltas={L1: {"size": -1, "bases": {L2: base_of("app")}}}), "number of bytes"),
        (ours(layer_deltas={L1: {"size": 2**63, "bases": {L2: base_of("app")}}}), "number of byte"),
        (ours(layer_deltas={L1: {"size": 1, "bases": {L2: base_of()}}}), "are not a list"),
        (ours(layer_deltas={L1: {"size": 1, "bases": {L2: base_of("../x")}}}), "is malformed"),
    ],
)
def test_a_malformed_descriptor_is_refused_in_one_line(value: object, problem: str) -> None:
    with pytest.raises(PayloadError, match=problem) as raised:
        parse(value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[" * 200_000])
def test_what_is_not_json_is_refused_by_its_path(content: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^payload_descriptor\.json is not valid JSON"):
        PayloadDescriptor.parse(content)


def test_what_only_newer_releases_understand_has_a_newer_version() -> None:
    deltas = {L2: LayerDelta(10, {L1: Base(20, ("quay.io/app", "base"))})}
    contents = replace(plan_make([]), registries=frozenset({"quay.io", "ghcr.io"}), deltas=deltas)
    written = next(e for e in payload_entries(contents) if e.path == DESCRIPTOR_PATH).content
    assert json.loads(written)["format_version"] == 2
    parsed = PayloadDescriptor.parse(written)
    assert (parsed.registries, parsed.deltas) == (contents.registries, deltas)


def test_a_repository_may_begin_with_a_registry_that_the_payload_names() -> None:
    location = {L1: {"repository": "localhost:5000/app"}}
    parsed = parse(ours(registries=["localhost:5000"], blobs_paths=location))
    assert parsed.at_destination == {L1: ("localhost:5000/app",)}
    with pytest.raises(PayloadError, match="is malformed"):
        parse(ours(blobs_paths=location))
