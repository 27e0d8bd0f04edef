"""The payload format: its entries, and the content of its documents."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from docker_charon.errors import PayloadError
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.layer_delta import Base, LayerDelta
from docker_charon.payload.format.payload_descriptor import (
    DESCRIPTOR_PATH,
    INDEX_PATH,
    LAYOUT_PATH,
    REF_NAME,
    Entry,
    PayloadDescriptor,
    blob_path,
    parse_index,
    payload_entries,
)
from docker_charon.transfer.plan import plan_make
from images import TestImage, artifact, image, index, layer
from payloads import named

APP = image(layer(1), layer(2))
BASE = image(layer(1))
L1, L2 = Digest.of(layer(1)), Digest.of(layer(2))


def entries(wanted: dict[str, TestImage], already: dict[str, TestImage]) -> dict[str, Entry]:
    plan = plan_make(
        [named(name, one) for name, one in wanted.items()],
        [named(name, one) for name, one in already.items()],
    )
    found = list(payload_entries(plan))
    assert len({entry.path for entry in found}) == len(found)
    return {entry.path: entry for entry in found}


def document(entry: Entry) -> Any:
    assert entry.content is not None
    assert entry.size == len(entry.content)
    return json.loads(entry.content)


def path_of(content: bytes) -> str:
    return blob_path(Digest.of(content))


def test_metadata_goes_first_then_manifests_then_blobs() -> None:
    both = index(APP, BASE)
    assert list(entries({"both": both}, {})) == [
        LAYOUT_PATH,
        INDEX_PATH,
        DESCRIPTOR_PATH,
        path_of(APP.manifest),
        path_of(BASE.manifest),
        path_of(both.manifest),
        path_of(APP.blobs[0]),
        path_of(layer(1)),
        path_of(layer(2)),
        path_of(BASE.blobs[0]),
    ]


def test_it_is_an_image_layout_with_the_names_as_they_were_given() -> None:
    found = entries({"lib/app:1": APP, "base": BASE}, {"base": BASE})
    assert document(found[LAYOUT_PATH]) == {"imageLayoutVersion": "1.0.0"}
    layout = document(found[INDEX_PATH])
    assert layout["schemaVersion"] == 2
    assert layout["manifests"] == [
        {**APP.descriptor, "annotations": {REF_NAME: "lib/app:1"}},
        {**BASE.descriptor, "annotations": {REF_NAME: "base"}},
    ]


def test_manifests_are_carried_as_they_are_and_blobs_are_to_be_fetched() -> None:
    found = entries({"app": APP}, {})
    assert found[path_of(APP.manifest)].content == APP.manifest
    blob = found[path_of(layer(2))]
    assert blob.blob is not None
    assert (blob.blob.digest, blob.size, blob.repository) == (L2, len(layer(2)), "app")


def test_the_descriptor_has_the_shape_that_docker_charon_04_reads() -> None:
    found = entries({"app:1": APP, "base:1": BASE}, {"base:1": BASE})
    assert document(found[DESCRIPTOR_PATH]) == {
        "format_version": 1,
        "manifests_paths": {"app:1": path_of(APP.manifest), "base:1": None},
        "blobs_paths": {
            Digest.of(APP.blobs[0]): {"zip_path": path_of(APP.blobs[0])},
            L2: {"zip_path": path_of(layer(2))},
            L1: {"repository": "base"},
            Digest.of(BASE.blobs[0]): {"repository": "base"},
        },
    }
    assert path_of(layer(1)) not in found


def test_several_repositories_that_have_a_blob_are_all_listed() -> None:
    found = entries({"app": APP}, {"one:1": BASE, "two:1": BASE})
    assert document(found[DESCRIPTOR_PATH])["blobs_paths"][L1] == {
        "repository": "one",
        "repositories": ["one", "two"],
    }


def test_a_manifest_that_is_somebodys_layer_too_is_there_once() -> None:
    found = entries({"app": APP, "archive": artifact(APP.manifest)}, {})
    assert found[path_of(APP.manifest)].content == APP.manifest
    places = document(found[DESCRIPTOR_PATH])["blobs_paths"]
    assert places[APP.digest] == {"zip_path": path_of(APP.manifest)}


def test_what_is_written_is_read_again() -> None:
    wanted = {"app:1": APP, "base:1": BASE}
    found = entries(wanted, {"base:1": BASE, "more:1": BASE})
    written = found[DESCRIPTOR_PATH].content
    assert written is not None
    parsed = PayloadDescriptor.parse(written)
    assert parsed.has_layout
    assert parsed.manifests == {"app:1": path_of(APP.manifest), "base:1": None}
    assert parsed.zip_paths is not None
    assert parsed.zip_paths[L2] == path_of(layer(2))
    assert parsed.at_destination is not None
    assert parsed.at_destination[L1] == ("base", "more")
    layout = found[INDEX_PATH].content
    assert layout is not None
    roots = parse_index(layout)
    assert [(name, root.digest) for name, root in roots] == [
        (name, one.digest) for name, one in wanted.items()
    ]


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
    with pytest.raises(PayloadError, match=r"^index\.json is not valid JSON"):
        parse_index(content)


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


def test_what_the_index_lists_may_have_no_name() -> None:
    value = {"manifests": [APP.descriptor, {**BASE.descriptor, "annotations": {REF_NAME: "base"}}]}
    assert [name for name, _ in parse_index(json.dumps(value).encode())] == [None, "base"]


@pytest.mark.parametrize(
    "value",
    [{}, {"manifests": {}}, {"manifests": [1]}, {"manifests": [{**APP.descriptor, "size": -1}]}],
)
def test_a_malformed_index_is_refused(value: object) -> None:
    with pytest.raises(PayloadError, match=r"index\.json"):
        parse_index(json.dumps(value).encode())
