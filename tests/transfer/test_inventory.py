"""Inventories: of whole registries, also of damaged ones, and of named images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import images
from docker_charon import (
    BlobNotFound,
    DockerCharonError,
    RegistryError,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from images import artifact, image, layer
from payloads import carried, payload_of
from proxy import HTML, Action, Answer, Proxy, Reset, Rule, Truncate

WITH_BOTH_REGISTRIES = True


def inventory(registry: str, path: Path, *names: str) -> list[str]:
    return make_inventory(registry, path, names, secure=False)


def push(registry: str, payload: Path) -> list[str]:
    return push_payload_to_registry(registry, payload, strict=True, secure=False)


def test_an_inventory_has_no_layers_and_knows_its_images(destination: str, tmp_path: Path) -> None:
    images.put(destination, "app:1", image(layer(1, 500_000)))
    images.put(destination, "app:2", image(layer(2, 500_000)))
    assert inventory(destination, tmp_path / "i.zip", "app:2") == ["app:2"]
    assert (tmp_path / "i.zip").stat().st_size < 4000
    summary = inspect_payload(tmp_path / "i.zip")
    assert [image.name for image in summary.images] == ["app:2"]
    assert summary.images[0].skipped
    # Pushing it to the registry it describes checks that everything is still there.
    assert push(destination, tmp_path / "i.zip") == ["app:2"]


def test_200_images_fit_into_a_megabyte(
    only_docker_registry: None, destination: str, tmp_path: Path
) -> None:
    shared = [layer(n) for n in range(5)]
    many = {f"service-{n % 10}:{n}": image(*shared, layer(100 + n)) for n in range(200)}
    (tmp_path / "many.zip").write_bytes(payload_of(many))
    push(destination, tmp_path / "many.zip")
    assert len(inventory(destination, tmp_path / "i.zip")) == 200
    assert (tmp_path / "i.zip").stat().st_size < 1_000_000


def test_a_broken_image_is_left_out_of_all_and_told(
    only_docker_registry: None, destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images.put(destination, "whole:1", image(layer(1)))
    images.put(destination, "broken:1", image(layer(2)))
    images.put(destination, "emptied:1", image(layer(3)))
    images.delete_blob(destination, "broken", images.digest_of(layer(2)))
    images.delete_manifest(destination, "emptied", image(layer(3)).digest)
    assert inventory(destination, tmp_path / "i.zip") == ["whole:1"]
    assert f"left out: {destination} lacks the blob {images.digest_of(layer(2))}" in caplog.text
    with pytest.raises(BlobNotFound, match="of broken:1"):
        inventory(destination, tmp_path / "j.zip", "broken:1")
    assert not (tmp_path / "j.zip").exists()


def test_an_empty_registry_has_an_empty_inventory(
    source: str, destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen, payload = tmp_path / "i.zip", tmp_path / "p.zip"
    assert inventory(destination, seen) == []
    assert f"{destination} has no images that this user may see" in caplog.text
    assert inspect_payload(seen).images == ()
    assert verify_payload(seen) == []
    assert push(destination, seen) == []
    images.put(source, "app:1", image(layer(1)))
    make_payload(source, payload, ["app:1"], secure=False, payloads_already_transferred=[seen])
    assert len(carried(payload)) == 3


def test_artifacts_are_in_an_inventory_too(destination: str, tmp_path: Path) -> None:
    images.put(destination, "charts/app:1.0.0", artifact(b"chart"))
    assert inventory(destination, tmp_path / "i.zip") == ["charts/app:1.0.0"]


# --- Damage: the answers below come from a proxy in front of the registry -------------------------

TAGS = [f"v{n:02}" for n in range(12)]
"""The tags of the repository that is listed in pages."""
NOWHERE = "http://127.0.0.1:9/v2/many/tags/list?last=v09"


def refusal(status: int, code: str = "UNKNOWN") -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": "no"}]}).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)


def page(tags: Sequence[str], link: str | None = None) -> Answer:
    headers = {"Content-Type": "application/json"}
    if link is not None:
        headers["Link"] = f'<{link}>; rel="next"'
    return Answer(200, headers, json.dumps({"name": "many", "tags": tags}).encode())


def always(path: str, answer: Action) -> Rule:
    return Rule("GET", path, answer, times=None)


@pytest.mark.parametrize(
    "answer", [refusal(500), refusal(403, "DENIED"), refusal(400), HTML, Reset(), Truncate(100)]
)
def test_an_image_that_cannot_be_read_is_left_out_of_all_and_told(
    destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: Action
) -> None:
    images.put(destination, "bad:1", image(layer(1)))
    images.put(destination, "good:1", image(layer(2)))
    with Proxy(destination, [always("/bad/manifests/1", answer)]) as proxy:
        assert inventory(proxy.address, tmp_path / "i.zip") == ["good:1"]
        assert len([line for line in caplog.messages if line.startswith("left out: ")]) == 1
        assert [image.name for image in inspect_payload(tmp_path / "i.zip").images] == ["good:1"]
        with pytest.raises(DockerCharonError):  # whoever names an image wants it
            inventory(proxy.address, tmp_path / "j.zip", "bad:1", "good:1")


@pytest.mark.parametrize("answer", [refusal(401), refusal(403), refusal(500), refusal(400), HTML])
def test_a_repository_whose_tags_are_refused_is_left_out_of_all_and_told(
    destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: Action
) -> None:
    images.put(destination, "mine:1", image(layer(1)))
    images.put(destination, "theirs:1", image(layer(2)))
    with Proxy(destination, [always("/theirs/tags/list", answer)]) as proxy:
        assert inventory(proxy.address, tmp_path / "i.zip") == ["mine:1"]
    assert "the tags of theirs" in caplog.text


def test_a_repository_without_an_image_is_no_damage(
    destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images.put(destination, "mine:1", image(layer(1)))
    images.put(destination, "emptied:1", image(layer(2)))
    with Proxy(destination, [always("/emptied/tags/list", refusal(404, "NAME_UNKNOWN"))]) as proxy:
        assert inventory(proxy.address, tmp_path / "i.zip") == ["mine:1"]
    assert not caplog.messages


def test_an_inventory_without_anything_that_can_be_read_is_an_error(
    destination: str, tmp_path: Path
) -> None:
    images.put(destination, "app:1", image(layer(1)))
    images.put(destination, "app:2", image(layer(2)))
    with (
        Proxy(destination, [always("/app/manifests/", refusal(500))]) as proxy,
        pytest.raises(RegistryError, match=r"answers 500 UNKNOWN no to the manifest of app:[12]"),
    ):
        inventory(proxy.address, tmp_path / "i.zip")
    assert not (tmp_path / "i.zip").exists()


def test_a_registry_that_wants_no_more_questions_is_not_taken_for_a_damaged_one(
    destination: str, tmp_path: Path
) -> None:
    images.put(destination, "app:1", image(layer(1)))
    images.put(destination, "app:2", image(layer(2)))
    with (
        Proxy(destination, [always("/app/manifests/2", refusal(429))]) as proxy,
        pytest.raises(RegistryError, match="wait, and run the same command again"),
    ):
        inventory(proxy.address, tmp_path / "i.zip")


@pytest.mark.parametrize(
    "answer",
    [
        *(refusal(status, "UNSUPPORTED") for status in (400, 401, 403, 404, 405, 500, 501)),
        HTML,
        Answer(200, {"Content-Type": "application/json"}, b"[]"),
    ],
)
def test_a_registry_that_does_not_list_its_repositories_is_asked_for_names(
    destination: str, tmp_path: Path, answer: Action
) -> None:
    images.put(destination, "app:1", image(layer(1)))
    with Proxy(destination, [always("/_catalog", answer)]) as proxy:
        with pytest.raises(RegistryError, match=r"the list of its repositories.*name the images$"):
            inventory(proxy.address, tmp_path / "i.zip")
        assert inventory(proxy.address, tmp_path / "i.zip", "app:1") == ["app:1"]


def test_a_list_of_tags_that_something_cut_at_a_round_number_is_read_to_its_end(
    destination: str, tmp_path: Path
) -> None:
    put_many(destination)
    with Proxy(destination, [always("/many/tags/list$", page(TAGS[:10]))]) as proxy:
        names = inventory(proxy.address, tmp_path / "i.zip")
    assert sorted(names) == [f"many:{tag}" for tag in TAGS]


@pytest.mark.parametrize("link", ["/v2/lost/tags/list", NOWHERE, "http://[", "ftp://a/b"])
@pytest.mark.parametrize("answer", [refusal(404), refusal(500), refusal(401), HTML])
def test_the_rest_of_a_list_is_asked_for_by_its_last_name_if_the_link_leads_nowhere(
    destination: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    link: str,
    answer: Action,
) -> None:
    put_many(destination)
    rules = [always("/many/tags/list$", page(TAGS[:7], link)), always("/lost/", answer)]
    with Proxy(destination, rules) as proxy:
        names = inventory(proxy.address, tmp_path / "i.zip")
    assert sorted(names) == [f"many:{tag}" for tag in TAGS]
    assert not caplog.messages


@pytest.mark.parametrize("link", ["/v2/lost/tags/list", NOWHERE])
def test_the_names_before_a_page_that_cannot_be_read_are_kept_and_the_rest_is_told(
    destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, link: str
) -> None:
    put_many(destination)
    rules = [
        always("/many/tags/list$", page(TAGS[:7], link)),
        always("/many/tags/list[?]", refusal(500)),
        always("/lost/", refusal(500)),
    ]
    with Proxy(destination, rules) as proxy:
        assert inventory(proxy.address, tmp_path / "i.zip") == [f"many:{tag}" for tag in TAGS[:7]]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("left out: the rest of the tags of many cannot be read: ")


def put_many(registry: str) -> None:
    for tag in TAGS:
        images.put(registry, f"many:{tag}", image(layer(1)))


def test_an_inventory_that_is_pushed_by_mistake_is_called_that(
    source: str, destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images.put(source, "app:1", image(layer(1)))
    images.put(destination, "app:1", image(layer(1)))
    seen = tmp_path / "i.zip"
    inventory(destination, seen)
    assert push(destination, seen) == ["app:1"]
    assert "carries nothing to push: it is an inventory" in caplog.text
    caplog.clear()
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    push(destination, tmp_path / "p.zip")
    assert "inventory" not in caplog.text


@pytest.mark.parametrize(
    "name", ["../../_catalog", "//elsewhere.example/x", "a?n=1", "http://elsewhere.example/", "A"]
)
def test_a_name_in_a_list_of_repositories_becomes_no_address(
    name: str, destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images.put(destination, "app:1", image(layer(1)))
    listed = json.dumps({"repositories": [name, "app"]}).encode()
    answer = Answer(200, {"Content-Type": "application/json"}, listed)
    with Proxy(destination, [Rule("GET", "_catalog", answer)]) as proxy:
        assert inventory(proxy.address, tmp_path / "i.zip") == ["app:1"]
        targets = [request.path for request in proxy.requests if "tags" in request.path]
    assert targets == ["/v2/app/tags/list"]
    assert "left out" in caplog.text
