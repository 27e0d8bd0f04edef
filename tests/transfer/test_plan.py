"""Plans: what travels, and what a registry still needs."""

from __future__ import annotations

import json

import pytest

from docker_charon.errors import InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.transfer.plan import Mount, RepositoryBlob, needed_blobs, plan_make, plan_push
from images import DOCKER, TestImage, image, index, layer
from payloads import named

BASE = image(layer(1))
APP = image(layer(1), layer(2))
OTHER = image(layer(1), layer(3))
L1, L2, L3 = (Digest.of(layer(seed)) for seed in (1, 2, 3))


def config(wanted: TestImage) -> Digest:
    return Digest.of(wanted.blobs[0])


def digests(blobs: list[Descriptor] | tuple[Descriptor, ...]) -> set[Digest]:
    return {blob.digest for blob in blobs}


def test_a_first_payload_carries_everything_once() -> None:
    plan = plan_make([named("app", APP), named("other", OTHER)], [])
    assert [blob.digest for blob in plan.blobs] == [config(APP), L1, L2, config(OTHER), L3]
    assert [manifest.digest for manifest in plan.manifests] == [APP.digest, OTHER.digest]
    assert plan.at_destination == {}
    assert plan.skipped == frozenset()


def test_a_blob_is_fetched_from_the_first_repository_that_needs_it() -> None:
    plan = plan_make([named("app", APP), named("other", OTHER)], [])
    sources = {blob.digest: repository for blob, repository in plan.blobs.items()}
    assert sources[L1] == "app"
    assert sources[L3] == "other"


def test_a_delta_leaves_out_what_the_destination_has_and_tells_where_it_is() -> None:
    plan = plan_make([named("app:2", APP)], [named("base:1", BASE)])
    assert digests([*plan.blobs]) == {config(APP), L2}
    assert plan.at_destination == {L1: ("base",)}


def test_all_the_repositories_that_have_a_blob_are_told_in_the_order_given() -> None:
    already = [named("z:1", BASE), named("a:1", BASE), named("z:2", OTHER)]
    assert plan_make([named("app", APP)], already).at_destination[L1] == ("z", "a")


def test_an_image_that_was_transferred_is_skipped_but_its_manifest_carried() -> None:
    plan = plan_make([named("app", APP), named("base", BASE)], [named("base", BASE)])
    assert plan.skipped == {"base"}
    assert [image.name for image in plan.images] == ["app", "base"]
    assert [manifest.digest for manifest in plan.manifests] == [APP.digest, BASE.digest]


def test_a_name_is_skipped_however_it_was_written() -> None:
    assert plan_make([named("app", APP)], [named("app:latest", APP)]).skipped == {"app"}


def test_the_same_content_under_another_tag_is_not_skipped() -> None:
    plan = plan_make([named("app:2", APP)], [named("app:1", APP)])
    assert plan.skipped == frozenset()
    assert plan.blobs == {}
    assert plan.at_destination == {config(APP): ("app",), L1: ("app",), L2: ("app",)}


def test_a_declared_image_that_nobody_asked_for_is_not_carried() -> None:
    plan = plan_make([named("app", APP)], [named("other", OTHER)])
    assert [manifest.digest for manifest in plan.manifests] == [APP.digest]
    assert L3 not in plan.at_destination


def test_a_name_given_twice_is_one_image_in_its_first_place() -> None:
    names = [named("app", APP), named("base", BASE), named("app", APP)]
    assert [image.name for image in plan_make(names, []).images] == ["app", "base"]


def test_children_are_carried_before_their_index() -> None:
    plan = plan_make([named("app", index(APP, OTHER))], [])
    order = [manifest.digest for manifest in plan.manifests]
    assert order == [APP.digest, OTHER.digest, index(APP, OTHER).digest]


def test_two_images_that_disagree_on_a_blobs_size_are_refused() -> None:
    document = json.loads(BASE.manifest)
    document["layers"][0]["size"] += 1
    wrong = TestImage(json.dumps(document).encode(), DOCKER)
    with pytest.raises(InvalidManifest, match=f"wrong gives the size .* for {L1}"):
        plan_make([named("base", BASE), named("wrong", wrong)], [])


def test_a_registry_is_asked_once_for_each_blob_in_each_repository() -> None:
    asked = needed_blobs([named("app:1", APP), named("app:2", APP), named("base", BASE)])
    assert [(needed.repository, needed.digest) for needed in asked] == [
        ("app", config(APP)),
        ("app", L1),
        ("app", L2),
        ("base", config(BASE)),
        ("base", L1),
    ]


def everything(*wanted: TestImage) -> frozenset[Digest]:
    return frozenset(Digest.of(blob) for image in wanted for blob in image.blobs)


def test_an_empty_registry_gets_each_blob_once_and_mounts_the_rest() -> None:
    images = [named("app", APP), named("other", OTHER)]
    plan = plan_push(images, everything(APP, OTHER), {})
    assert [(upload.digest, upload.repository) for upload in plan.uploads] == [
        (config(APP), "app"),
        (L1, "app"),
        (L2, "app"),
        (config(OTHER), "other"),
        (L3, "other"),
    ]
    [mount] = plan.mounts
    assert (mount.target.digest, mount.target.repository, mount.source) == (L1, "other", "app")
    assert plan.missing == {}


def test_what_is_in_its_place_is_left_alone() -> None:
    present = {digest: ["other", "app"] for digest in everything(APP)}
    plan = plan_push([named("app", APP)], everything(APP), present)
    assert (plan.uploads, plan.mounts, plan.missing) == ((), (), {})


def test_what_another_repository_has_is_mounted_even_if_the_payload_carries_it() -> None:
    plan = plan_push([named("app", APP)], everything(APP), {L1: ["base", "more"]})
    blob = next(blob for blob in named("app", APP).image.blobs if blob.digest == L1)
    assert plan.mounts == (Mount(RepositoryBlob("app", blob), "base"),)
    assert L1 not in {upload.digest for upload in plan.uploads}


def test_an_image_that_cannot_be_completed_is_told_and_gets_nothing() -> None:
    carried = everything(APP, OTHER) - {L2}
    plan = plan_push([named("app", APP), named("other", OTHER)], carried, {L2: []})
    assert {name: digests(blobs) for name, blobs in plan.missing.items()} == {"app": {L2}}
    assert {upload.repository for upload in plan.uploads} == {"other"}
    assert plan.mounts == ()


def test_a_blob_that_only_the_registry_has_completes_an_image() -> None:
    plan = plan_push([named("app", APP)], everything(APP) - {L1}, {L1: ["base"]})
    assert plan.missing == {}
    assert [mount.source for mount in plan.mounts] == ["base"]


def test_every_missing_blob_of_every_image_is_told() -> None:
    plan = plan_push([named("app", APP), named("other", OTHER)], frozenset(), {})
    assert digests(plan.missing["app"]) == everything(APP)
    assert digests(plan.missing["other"]) == everything(OTHER)
    assert (plan.uploads, plan.mounts) == ((), ())


def test_nothing_asked_for_is_nothing_planned() -> None:
    assert plan_make([], []).blobs == {}
    assert plan_push([], frozenset(), {}).uploads == ()
