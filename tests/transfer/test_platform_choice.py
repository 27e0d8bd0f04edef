"""Choosing platforms: what a payload carries of an image for several platforms."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

import images
from command_line import charon
from docker_charon import (
    DockerCharonError,
    InvalidManifest,
    ManifestNotFound,
    inspect_payload,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from images import DOCKER, TestImage, artifact, image, index_of, layer
from payloads import carried

WITH_BOTH_REGISTRIES = True

AMD = image(layer(1), layer(2))
ARM = image(layer(1), layer(3), platform="linux/arm64")
OLD_ARM = image(layer(4), platform="linux/arm/v6")
APP = index_of({"linux/amd64": AMD, "linux/arm64/v8": ARM, "linux/arm/v6": OLD_ARM}, "linux/amd64")


def make(registry: str, names: list[str], *platforms: str, already: tuple[str, ...] = ()) -> bytes:
    file = io.BytesIO()
    make_payload(registry, file, names, already, secure=False, platforms=platforms or None)
    return file.getvalue()


def ferry(source: str, destination: str, name: str, *platforms: str) -> dict[str, bytes]:
    """Carry an image across; return everything under its name, after checking the digests."""
    payload = io.BytesIO(make(source, [name], *platforms))
    assert push_payload_to_registry(destination, payload, True, secure=False) == [name]
    arrived = images.read(destination, name)
    assert arrived is not None
    assert all(images.digest_of(content) == digest for digest, content in arrived.items())
    return arrived


def test_without_a_choice_all_of_it_travels_as_it_is(source: str, destination: str) -> None:
    images.put(source, "app:1", APP)
    assert ferry(source, destination, "app:1") == APP.contents()


@pytest.mark.parametrize(
    ("platform", "chosen"),
    [
        ("linux/amd64", AMD),
        ("linux/arm64", ARM),
        ("linux/aarch64", ARM),
        ("linux/arm", OLD_ARM),
        ("linux/amd64/v3", AMD),
    ],
)
def test_one_platform_is_what_a_pull_on_it_sees(
    source: str, destination: str, platform: str, chosen: TestImage
) -> None:
    images.put(source, "app:1", APP)
    assert ferry(source, destination, "app:1", platform) == chosen.contents()


def test_several_are_an_index_of_just_these_with_what_attests_them(
    source: str, destination: str, caplog: pytest.LogCaptureFixture
) -> None:
    annotated = index_of(
        {"linux/amd64": AMD, "linux/arm64": ARM, "linux/arm/v6": OLD_ARM},
        "linux/amd64",
        "linux/arm/v6",
        annotations={"vendor": "us"},
    )
    images.put(source, "app:1", annotated)
    with caplog.at_level(logging.INFO, "docker_charon"):
        arrived = ferry(source, destination, "app:1", "linux/arm64", "linux/amd64")
    root = images.read_manifest(destination, "app", "1")
    assert root is not None
    document = json.loads(root)
    assert [m["digest"] for m in document["manifests"]] == [
        AMD.digest,
        ARM.digest,
        images.attestation(AMD).digest,
    ]
    assert document["annotations"] == {"vendor": "us"}
    assert arrived.keys() == {
        images.digest_of(root),
        *AMD.contents(),
        *ARM.contents(),
        *images.attestation(AMD).contents(),
    }
    assert f"app:1 is carried as {images.digest_of(root)}" in caplog.text


def test_a_choice_of_all_that_there_is_changes_nothing(source: str, destination: str) -> None:
    images.put(source, "app:1", APP)
    everything = ("linux/amd64", "linux/arm64", "linux/arm/v6")
    assert ferry(source, destination, "app:1", *everything) == APP.contents()


@pytest.mark.parametrize("platforms", [("linux/amd64",), ("linux/amd64", "linux/arm64")])
@pytest.mark.parametrize("tag", ["", ":1"])
def test_of_an_index_that_is_named_by_its_digest_a_part_arrives_under_its_own(
    source: str,
    destination: str,
    caplog: pytest.LogCaptureFixture,
    platforms: tuple[str, ...],
    tag: str,
) -> None:
    images.put(source, "app:1", APP)
    name = f"app{tag}@{APP.digest}"
    with caplog.at_level(logging.INFO, "docker_charon"):
        payload = io.BytesIO(make(source, [name], *platforms))
    assert verify_payload(payload) == []
    (summary,) = inspect_payload(payload).images
    assert summary.name == name
    assert f"{name} is carried as {summary.digest}" in caplog.text
    for _ in range(2):
        assert push_payload_to_registry(destination, payload, True, secure=False) == [name]
    arrived = images.read(destination, f"app:{summary.digest}")
    assert arrived is not None
    assert (arrived == AMD.contents()) is (len(platforms) == 1)
    assert images.read(destination, "app:1") == (arrived if tag else None)
    again = io.BytesIO(make(source, [name], *platforms, already=(name,)))
    assert inspect_payload(again).images[0].skipped
    assert push_payload_to_registry(destination, again, True, secure=False) == [name]


def test_the_same_choice_gives_the_same_bytes(source: str) -> None:
    images.put(source, "app:1", APP)
    first = make(source, ["app:1"], "linux/amd64", "linux/arm64")
    assert make(source, ["app:1"], "linux/arm64/v8", "linux/amd64", "linux/arm64") == first


def test_an_index_in_an_index_is_looked_into(source: str, destination: str) -> None:
    inner = index_of({"linux/arm64": ARM, "linux/arm/v6": OLD_ARM})
    document = json.loads(index_of({"linux/amd64": AMD}).manifest)
    document["manifests"].append(inner.descriptor)
    outer = TestImage(json.dumps(document).encode(), images.OCI_INDEX, [], [AMD, inner])
    images.put(source, "nested:1", outer)
    assert ferry(source, destination, "nested:1", "linux/arm64") == ARM.contents()
    arrived = ferry(source, destination, "nested:1", "linux/arm64", "linux/amd64")
    assert AMD.digest in arrived
    assert ARM.digest in arrived
    assert not arrived.keys() & OLD_ARM.contents().keys()
    assert ferry(source, destination, "nested:1", "linux/arm64", "linux/arm/v6").keys() == (
        ferry(source, destination, "nested:1", "linux/arm/v6", "linux/arm64").keys()
    )


def test_an_empty_index_in_an_index_has_nothing(source: str, destination: str) -> None:
    # Go writes an empty list as null. Half of a character is not valid UTF-8.
    content = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": None}
    empty = TestImage(json.dumps(content).encode(), images.OCI_INDEX)
    document = json.loads(APP.manifest)
    document["manifests"].append(empty.descriptor)
    document["annotations"] = {"title": "\ud83d"}
    outer = TestImage(json.dumps(document).encode(), images.OCI_INDEX, [], [*APP.children, empty])
    images.put(source, "app:1", outer)
    arrived = ferry(source, destination, "app:1", "linux/amd64", "linux/arm64")
    assert {AMD.digest, ARM.digest} <= arrived.keys()
    assert empty.digest not in arrived


def test_an_index_that_does_not_tell_is_asked_through_the_configs(
    source: str, destination: str
) -> None:
    document = json.loads(index_of({"linux/amd64": AMD, "linux/arm64": ARM}).manifest)
    for entry in document["manifests"]:
        del entry["platform"]
    silent = TestImage(json.dumps(document).encode(), images.OCI_INDEX, [], [AMD, ARM])
    images.put(source, "silent:1", silent)
    assert ferry(source, destination, "silent:1", "linux/arm64") == ARM.contents()


def test_what_is_missing_is_told_with_what_there_is(source: str) -> None:
    images.put(source, "app:1", APP)
    with pytest.raises(ManifestNotFound) as caught:
        make(source, ["app:1"], "linux/amd64", "linux/s390x")
    assert str(caught.value) == (
        "app:1 has no platform linux/s390x; it has linux/amd64, linux/arm64/v8, linux/arm/v6"
    )


def test_an_image_of_one_platform_is_taken_if_it_is_the_right_one(
    source: str, destination: str
) -> None:
    images.put(source, "arm:1", ARM)
    assert ferry(source, destination, "arm:1", "linux/arm64") == ARM.contents()
    assert ferry(source, destination, "arm:1", "linux/amd64", "linux/arm64") == ARM.contents()
    with pytest.raises(ManifestNotFound, match="has no platform linux/amd64; it has linux/arm64"):
        make(source, ["arm:1"], "linux/amd64")


def test_what_is_no_image_has_no_platform_and_comes_along(source: str, destination: str) -> None:
    chart = images.put(source, "chart:1", artifact(b"chart"))
    assert ferry(source, destination, "chart:1", "linux/amd64") == chart.contents()


def test_a_config_that_cannot_be_a_config_is_refused(source: str) -> None:
    document = json.loads(AMD.manifest)
    document["config"]["size"] = 10**9
    images.put(source, "app:1", AMD)
    lying = TestImage(json.dumps(document).encode(), DOCKER)
    images.put(source, "app:2", lying)
    with pytest.raises(InvalidManifest, match="too many to look for its platform"):
        make(source, ["app:2"], "linux/amd64")


def test_what_was_transferred_counts_for_the_same_platforms(source: str) -> None:
    images.put(source, "app:1", APP)
    update = index_of({"linux/amd64": image(layer(1), layer(5)), "linux/arm64": ARM})
    images.put(source, "app:2", update)
    images.put(source, "arm:1", ARM)
    payload = make(source, ["app:2"], "linux/amd64", already=("app:1", "arm:1"))
    new = carried(io.BytesIO(payload))
    assert images.digest_of(layer(5)) in new
    assert images.digest_of(layer(1)) not in new
    assert len(new) == 3


def test_a_child_that_is_not_needed_need_not_be_there(
    only_docker_registry: None, source: str, destination: str
) -> None:
    # Some registries allow an index without all of its children, as in a partial mirror.
    images.put(source, "app:1", APP)
    images.delete_manifest(source, "app", OLD_ARM.digest)
    assert ferry(source, destination, "app:1", "linux/amd64") == AMD.contents()


def test_a_hint_says_once_what_all_platforms_cost(source: str, tmp_path: Path) -> None:
    for n in (1, 2):
        images.put(source, f"app:{n}", APP)
    images.put(source, "single:1", AMD)
    options = ["make-payload", "-r", source, "-i", "-f", tmp_path / "p.zip"]
    lines = charon(*options, "app:1", "single:1").stderr.splitlines()
    told = [line for line in lines if "platform" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "docker-charon: app:1 is carried for 3 platforms (linux/amd64, linux/arm64/v8, "
        "linux/arm/v6), with 9."
    )
    assert told[0].endswith("kB of blobs; --platform linux/amd64 would carry one")
    assert "2 images are carried for 3" in charon(*options, "app:1,app:2").stderr
    for more in (["--platform", "linux/amd64"], ["-q"], ["-a", "app:1"]):
        assert "platform" not in charon(*options, *more, "app:1").stderr


@pytest.mark.parametrize("platforms", ["linux/amd64", []])
def test_a_choice_is_a_list_of_some(source: str, platforms: object) -> None:
    with pytest.raises((TypeError, DockerCharonError)):
        make_payload(source, io.BytesIO(), ["app:1"], secure=False, platforms=platforms)  # type: ignore[arg-type]


def test_what_is_no_platform_is_one_line(source: str, tmp_path: Path) -> None:
    done = charon("make-payload", "-r", source, "-i", "-f", tmp_path / "p", "--platform", "x", "a")
    assert done.status == 2
    assert done.stderr.startswith("docker-charon: 'x' is not a platform")
    assert len(done.stderr.splitlines()) == 1
