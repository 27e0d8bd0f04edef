"""The entries of a payload: which there are, in which order, and what the documents contain."""

from __future__ import annotations

import json
from typing import Any

from docker_charon.oci.digest import Digest
from docker_charon.payload.format.entries import Entry, payload_entries
from docker_charon.payload.format.index import REF_NAME, parse_index
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH, LAYOUT_PATH, blob_path
from docker_charon.payload.format.payload_descriptor import PayloadDescriptor
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
