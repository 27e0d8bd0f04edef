"""Choices of tags in lists of images: what they become, where, and what is told about it."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

import images
from docker_charon import (
    AuthenticationError,
    ConnectionFailed,
    DockerCharonError,
    InvalidReference,
    ManifestNotFound,
    RegistryError,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    serve,
)
from docker_charon.payload.format.paths import DESCRIPTOR_PATH
from images import image, layer, refer, signature, tag_of
from loose_registry import Asked, LooseRegistry, Reply
from payloads import unzipped

WITH_BOTH_REGISTRIES = True

VERSIONS = ("1.7.0", "1.7.9", "1.7.10", "1.8.0", "1.8.1", "1.8.2")


@pytest.fixture
def app(source: str) -> str:
    """Return a registry with an app in several versions, signed, and with other tags."""
    for n, tag in enumerate((*VERSIONS, "1.8.2-alpine", "1.9.0-rc1", "latest")):
        images.put(source, f"app:{tag}", image(layer(0), layer(n + 1)))
    subject = image(layer(0), layer(1))
    images.put(source, f"app:{tag_of(subject, '.sig')}", signature(subject))
    refer(source, "app", subject, images.artifact(layer(99), subject=subject.descriptor))
    return source


def made(registry: str, *names: str, **options: Any) -> dict[str, Any]:
    """Return the descriptor of a payload of these images."""
    target = io.BytesIO()
    make_payload(registry, target, names, secure=False, **options)
    return described(target)


def described(payload: io.BytesIO) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(unzipped(payload.getvalue())[DESCRIPTOR_PATH])
    return document


def names(descriptor: dict[str, Any]) -> list[str]:
    return [*descriptor["manifests_paths"]]


def test_a_choice_becomes_the_names_of_its_tags_in_its_place(
    app: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    images.put(app, "other:1", image(layer(50)))
    payload = made(app, "other:1", "app:1.8.?", "app:latest", "app:>=1.7,<1.8")
    assert names(payload) == [
        *("other:1", "app:1.8.0", "app:1.8.1", "app:1.8.2"),
        *("app:latest", "app:1.7.0", "app:1.7.9", "app:1.7.10"),
    ]
    assert "app:1.8.? is 3 tags: 1.8.0, 1.8.1, 1.8.2" in caplog.messages
    assert "app:>=1.7,<1.8 is 3 tags: 1.7.0, 1.7.9, 1.7.10" in caplog.messages


def test_the_payload_is_that_of_the_names(app: str) -> None:
    chosen, named = io.BytesIO(), io.BytesIO()
    make_payload(app, chosen, ["app:~1.8"], secure=False)
    make_payload(app, named, ["app:1.8.0", "app:1.8.1", "app:1.8.2"], secure=False)
    assert chosen.getvalue() == named.getvalue()


def test_a_star_takes_every_image_and_no_signature(app: str) -> None:
    every = {f"app:{tag}" for tag in (*VERSIONS, "1.8.2-alpine", "1.9.0-rc1", "latest")}
    assert set(names(made(app, "app:*"))) == every


def test_only_the_newest_are_carried(app: str) -> None:
    assert names(made(app, "app:*", newest=2)) == ["app:1.8.1", "app:1.8.2"]
    assert names(made(app, "app:1.7.*", "app:*-alpine", newest=1)) == [
        *("app:1.7.10", "app:1.8.2-alpine")
    ]


def test_overlapping_choices_and_names_carry_an_image_once(app: str) -> None:
    assert names(made(app, "app:1.8.2", "app:1.8.[12]", f"{app}/app:~1.8.1")) == [
        *("app:1.8.2", "app:1.8.1")
    ]


def test_images_that_were_already_transferred_may_be_chosen(app: str, destination: str) -> None:
    target = io.BytesIO()
    make_payload(app, target, ["app:~1.8"], ["app:1.7.*"], secure=False, newest=1)
    payload = described(target)
    assert names(payload) == ["app:1.8.2"]
    assert payload["blobs_paths"][images.digest_of(layer(0))] == {"repository": "app"}
    for n, tag in enumerate(VERSIONS[:3]):
        images.put(destination, f"app:{tag}", image(layer(0), layer(n + 1)))
    pushed = push_payload_to_registry(destination, target, strict=True, secure=False)
    assert pushed == ["app:1.8.2"]
    assert images.read(destination, "app:1.8.2") == image(layer(0), layer(6)).contents()


def test_tags_of_several_registries_can_be_chosen(app: str, tmp_path: Path) -> None:
    with serve(storage=tmp_path / "other") as other:
        for n, tag in enumerate(("2.0", "2.1", "3.0")):
            images.put(other.address, f"app:{tag}", image(layer(n + 20)))
        target = io.BytesIO()
        wanted = [f"{app}/app:~1.8.1", f"{other.address}/app:2.*"]
        make_payload(None, target, wanted, [f"{app}/app:1.7.*"], secure=False)
        expected = [f"{app}/app:1.8.1", f"{app}/app:1.8.2"]
        expected += [f"{other.address}/app:2.0", f"{other.address}/app:2.1"]
        assert names(described(target)) == expected
        listed = make_inventory([app, other.address], io.BytesIO(), wanted, secure=False)
        assert listed == expected


def test_one_error_has_the_choices_of_all_registries(app: str) -> None:
    away = "127.0.0.1:9"
    with pytest.raises(RegistryError) as caught:
        make_payload(
            None,
            io.BytesIO(),
            [f"{away}/app:1.*", f"{app}/app:9.*", f"{app}/app:1.8.0"],
            secure=False,
            retry_for=0,
        )
    message = str(caught.value)
    assert message.startswith("2 of 3 images cannot be transferred from ")
    assert f"{app} has no tag 9.* of app (it has 9 tags: " in message
    assert away in message


def test_an_inventory_lists_chosen_images(app: str) -> None:
    listed = make_inventory(app, io.BytesIO(), ["app:~1.8.1", "app:late*"], secure=False)
    assert listed == ["app:1.8.1", "app:1.8.2", "app:latest"]


def test_the_tags_of_a_repository_are_listed_once(app: str, sent: list[Any]) -> None:
    made(app, "app:1.8.0", "app:1.8.1")
    assert not any("/tags/list" in request.url for request in sent)
    target = io.BytesIO()
    make_payload(app, target, ["app:~1.8", "app:1.7.0*"], ["app:1.7.9*"], secure=False)
    assert sum("/tags/list" in request.url for request in sent) == 1


def test_all_choices_that_choose_nothing_are_named_at_once_with_what_there_is(app: str) -> None:
    with pytest.raises(ManifestNotFound) as caught:
        made(app, "app:2.*", "none:*", "app:1.8.0", "app:>=3")
    message = str(caught.value)
    assert message.startswith(f"3 of 4 images cannot be transferred from {app}: ")
    assert f"{app} has no tag 2.* of app (it has 9 tags: 1.9.0-rc1, 1.8.2-alpine, 1.8.2" in message
    assert f"{app} has no tag >=3 of app" in message
    assert f"{app} has no none" in message


def test_a_choice_of_only_variants_has_no_newest(app: str) -> None:
    with pytest.raises(ManifestNotFound, match="that counts as a release") as caught:
        made(app, "app:1.9*", newest=1)
    assert "1.9.0-rc1" in caught.value.hint


def test_a_report_names_the_images_that_were_chosen(app: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    made(app, "app:~1.8.1", report=report)
    assert [i["name"] for i in json.loads(report.read_text())["images"]] == [
        *("app:1.8.1", "app:1.8.2")
    ]


@pytest.mark.parametrize(
    ("wanted", "newest", "error", "part"),
    [
        (["app:1.8.0"], 2, DockerCharonError, "no image has a choice of tags"),
        (["app:*"], 0, DockerCharonError, "give 1 or more"),
        (["app:*"], -1, DockerCharonError, "give 1 or more"),
        (["app:*"], True, TypeError, "newest is an int"),
        (["app:*"], "2", TypeError, "newest is an int"),
        (["app:>=x"], None, InvalidReference, "is not a choice of tags"),
        (["a:1,b:2"], None, InvalidReference, "write several names as a list"),
        (["app:>=1,b:2"], None, InvalidReference, "several names as a list"),
        (["app:"], None, InvalidReference, "put quotes around"),
        (["app*:1"], None, InvalidReference, "is not an image name"),
        ("app:*", None, TypeError, "a list of names"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_request(
    wanted: Any, newest: Any, error: type[Exception], part: str
) -> None:
    with pytest.raises(error, match=part):
        make_payload("127.0.0.1:9", io.BytesIO(), wanted, secure=False, newest=newest)


def listing(*tags: str, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps({"name": "app", "tags": tags}).encode())


@pytest.fixture
def loose() -> Any:
    with LooseRegistry() as registry:
        for tag in VERSIONS:
            registry.put(f"app:{tag}", image(layer(1)))
        yield registry


def test_every_page_of_a_listing_counts(loose: LooseRegistry) -> None:
    def pages(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/tags/list"):
            return None
        last = asked.query.get("last", [""])[0]
        start = VERSIONS.index(last) + 1 if last else 0
        page = VERSIONS[start : start + 2]
        link = f'</v2/app/tags/list?n=2&last={page[-1]}>; rel="next"' if page else ""
        return listing(*page, Link=link) if start + 2 < len(VERSIONS) else listing(*page)

    loose.rules.append(pages)
    assert names(made(loose.address, "app:*")) == [f"app:{tag}" for tag in VERSIONS]
    assert len(loose.matching("GET", "/tags/list$")) == 3


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (401, AuthenticationError, "log in as a user who may list the tags, or name them"),
        (403, AuthenticationError, "log in as a user who may list the tags, or name them"),
        (405, RegistryError, "name the tags instead of choosing them"),
        (404, ManifestNotFound, "is the name spelled right?"),
    ],
)
def test_a_registry_that_does_not_list_tags_is_named(
    loose: LooseRegistry, status: int, error: type[RegistryError], hint: str
) -> None:
    loose.answer("GET", "/tags/list$", Reply(status))
    with pytest.raises(error) as caught:
        made(loose.address, "app:*")
    assert loose.address in caught.value.message
    assert caught.value.hint == hint


def test_half_a_listing_chooses_nothing(loose: LooseRegistry) -> None:
    link = '</v2/app/tags/list?n=1&last=x>; rel="next"'
    loose.rules.append(lambda asked: Reply(404) if asked.query.get("last") else None)
    loose.answer("GET", "/tags/list$", listing("1.7.0", Link=link))
    with pytest.raises(RegistryError, match="the rest of the tags of app cannot be read"):
        made(loose.address, "app:*")


def test_what_is_no_tag_in_a_listing_is_passed_over(loose: LooseRegistry) -> None:
    loose.answer("GET", "/tags/list$", listing("1.7.0", "../../etc", "", "1.7.9\n", "x" * 129))
    assert names(made(loose.address, "app:*")) == ["app:1.7.0"]


def test_a_registry_that_is_away_is_told_as_that() -> None:
    with pytest.raises(ConnectionFailed):
        made("127.0.0.1:9", "app:*")


def test_many_tags_are_told_in_a_short_line(
    loose: LooseRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    tags = [f"1.0.{n}" for n in range(30)]
    loose.answer("GET", "/tags/list$", listing(*tags))
    with pytest.raises(ManifestNotFound, match="30 of 30 images"):
        made(loose.address, "app:*")
    assert (
        "app:* is 30 tags: 1.0.0, 1.0.1, 1.0.2, 1.0.3, 1.0.4, 1.0.5, 1.0.6, 1.0.7, ..., 1.0.29"
        in caplog.messages
    )
