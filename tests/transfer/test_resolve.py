"""Finding images at registries that know them only in part, or under other names."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import images
from docker_charon import (
    AuthenticationError,
    ManifestNotFound,
    RegistryError,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from images import DOCKER, OCI, OCI_INDEX, artifact, digest_of, image, index, layer
from loose_registry import Asked, LooseRegistry, Reply
from payloads import carried

pytestmark = pytest.mark.usefixtures("_one_try")

APP = image(layer(1))
BASIC = Reply(401, {"WWW-Authenticate": 'Basic realm="push"'}, b'{"errors": []}')


@pytest.fixture
def registry() -> Iterator[LooseRegistry]:
    with LooseRegistry() as registry:
        yield registry


def make(registry: LooseRegistry, *names: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    make_payload(registry.address, file, names, secure=False, **options)
    file.seek(0)
    return file


def sha512(content: bytes) -> str:
    return f"sha512:{hashlib.sha512(content).hexdigest()}"


@pytest.mark.parametrize(
    "answer",
    [
        BASIC,
        Reply(401),
        Reply(403),
        Reply(404),
        Reply(405),
        Reply(500),
        Reply(503),
        Reply(404, {"Content-Type": "text/html"}, b"<html>"),
        Reply(200, {"Content-Type": "text/html"}, b"<html>"),
    ],
)
def test_a_registry_that_refuses_only_the_check_is_pulled_from(
    registry: LooseRegistry, answer: Reply
) -> None:
    registry.put("app:1", APP)
    registry.answer("GET", "/v2/$", answer)
    assert carried(make(registry, "app:1")) == APP.contents()


@pytest.mark.parametrize("headers", [{}, {"Docker-Distribution-Api-Version": "registry/2.0"}])
def test_an_image_may_be_missing_where_the_first_answer_is_an_empty_page(
    registry: LooseRegistry, headers: dict[str, str]
) -> None:
    registry.answer("GET", "/v2/$", Reply(200, {"Content-Type": "text/html", **headers}))
    with pytest.raises(ManifestNotFound, match="has no app:1; is the name spelled right"):
        make(registry, "app:1")


def test_a_wrong_password_is_told_at_once(registry: LooseRegistry) -> None:
    registry.put("app:1", APP)
    registry.answer("GET", "/v2/$", BASIC)
    with pytest.raises(AuthenticationError, match="check the username and the password"):
        make(registry, "app:1", username="me", password="wrong")
    assert registry.matching("GET", "/manifests/") == []


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(404), "does not look like a registry"),
        (Reply(200, {"Content-Type": "text/html"}, b"<html>"), "answers with a web page"),
    ],
)
def test_a_server_that_is_not_a_registry_is_called_that(
    registry: LooseRegistry, reply: Reply, problem: str
) -> None:
    registry.answer("GET", "", reply)
    with pytest.raises(RegistryError, match=problem):
        make(registry, "app:1", "app:2")


def test_every_image_that_cannot_be_carried_is_named_with_its_reason(
    registry: LooseRegistry,
) -> None:
    registry.put("good:1", APP)
    registry.put("windows:1", image(layer(2), platform="windows/amd64"))
    registry.put_bytes("broken", "1", b"[]", OCI)
    registry.answer("GET", "/secret/", Reply(403))
    names = ["good:1", "windows:1", "gone:1", "broken:1", "secret:1"]
    with pytest.raises(ManifestNotFound) as raised:
        make(registry, *names, platforms=["linux/amd64"])
    message = str(raised.value)
    for reason in (
        f"4 of 5 images cannot be transferred from {registry.address}",
        r"windows:1 has no platform linux/amd64 \(it has windows/amd64\)",
        r"has no gone:1 \(is the name spelled right\?\)",
        "broken:1: broken:1 on .*: it is not a JSON object",
        "secret:1: .* answers 403 to the manifest of secret:1",
    ):
        assert re.search(reason, message)
    assert "good:1" not in message


def test_images_of_both_lists_are_named(registry: LooseRegistry) -> None:
    registry.put("app:1", APP)
    with pytest.raises(ManifestNotFound) as raised:
        make_payload(registry.address, io.BytesIO(), ["app:1", "a:1"], ["b:1"], secure=False)
    assert all(name in str(raised.value) for name in ("2 of 3", "a:1", "b:1"))


def test_an_image_that_was_transferred_and_is_gone_has_another_hint(
    registry: LooseRegistry,
) -> None:
    registry.put("app:2", APP)
    with pytest.raises(ManifestNotFound, match="has no app:1; name the payload that brought it"):
        make_payload(registry.address, io.BytesIO(), ["app:2"], ["app:1"], secure=False)


def test_an_inventory_names_every_image_that_is_missing(registry: LooseRegistry) -> None:
    registry.put("app:1", APP)
    registry.put("broken:1", image(layer(2)))
    del registry.blobs[digest_of(layer(2))]
    with pytest.raises(ManifestNotFound) as raised:
        names = ["app:1", "gone:1", "broken:1", "lost:1"]
        make_inventory(registry.address, io.BytesIO(), names, secure=False)
    assert all(name in str(raised.value) for name in ("3 of 4", *names[1:]))


def test_hundreds_of_missing_images_are_named_in_one_bounded_line(registry: LooseRegistry) -> None:
    names = [f"team/app-{n}:1" for n in range(150)]
    with pytest.raises(ManifestNotFound) as raised:
        make(registry, *names)
    assert all(name in raised.value.message for name in names)
    with pytest.raises(ManifestNotFound) as raised:
        make(registry, *(f"{'a' * 200}-{n}:1" for n in range(150)))
    assert len(raised.value.message) <= 20_000
    assert "\n" not in raised.value.message


def test_a_single_failure_keeps_its_own_error(registry: LooseRegistry) -> None:
    registry.put("app:1", APP)
    registry.answer("GET", "/secret/", Reply(403))
    with pytest.raises(AuthenticationError, match="to the manifest of secret:1"):
        make(registry, "app:1", "secret:1")


@pytest.mark.parametrize("status", [407, 429, 500, 503])
def test_a_registry_in_trouble_is_not_asked_for_the_other_images(
    registry: LooseRegistry, status: int
) -> None:
    registry.answer("GET", "/manifests/", Reply(status))
    with pytest.raises(RegistryError, match=f"answers.* {status}"):
        make(registry, *(f"app:{n}" for n in range(20)), jobs=1)
    assert len(registry.matching("GET", "/manifests/")) == 1


def test_the_other_name_of_a_missing_image_is_the_hint(registry: LooseRegistry) -> None:
    registry.put("library/redis:7", APP)
    with pytest.raises(ManifestNotFound, match=r"has no redis:7; .* has library/redis:7"):
        make(registry, "redis:7")


def test_an_index_with_a_part_that_is_missing_says_which_and_what_to_do(
    registry: LooseRegistry,
) -> None:
    amd, arm = image(layer(1)), image(layer(2), platform="linux/arm64")
    registry.put("app:1", index(amd, arm))
    del registry.manifests[f"app/{arm.digest}"]
    with pytest.raises(ManifestNotFound) as raised:
        make(registry, "app:1")
    for part in ("app:1", arm.digest, "linux/arm64", "platforms="):
        assert part in str(raised.value)
    assert carried(make(registry, "app:1", platforms=["linux/amd64"])) == amd.contents()
    with pytest.raises(ManifestNotFound, match="for linux/arm64"):
        make(registry, "app:1", platforms=["linux/arm64"])


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_cache_that_knows_only_the_tag_is_asked_for_the_tag(
    registry: LooseRegistry, status: int
) -> None:
    registry.put("app:1", APP)
    registry.answer("GET", "/manifests/sha256:", Reply(status))
    name = f"app:1@{APP.digest}"
    assert carried(make(registry, name)) == APP.contents()
    registry.put("app:1", image(layer(2)))
    with pytest.raises(ManifestNotFound, match="its tag 1 is sha256:"):
        make(registry, name)


def document(**members: Any) -> bytes:
    """Return the manifest of `APP` with other members; those that are ``...`` are left out."""
    changed = {**json.loads(APP.manifest), **members}
    return json.dumps({key: value for key, value in changed.items() if value is not ...}).encode()


CONFIG = json.loads(APP.manifest)["config"]
LAYERS = json.loads(APP.manifest)["layers"]


@pytest.mark.parametrize(
    "content",
    [
        document(layers=...),
        document(layers=None),
        document(config=...),
        document(config=None),
        document(schemaVersion=...),
        document(schemaVersion="2"),
        document(mediaType=""),
        document(mediaType=...),
        document(annotations=None),
        document(annotations={"a": 1, "b": None}),
        document(layers=[{**LAYERS[0], "mediaType": ""}]),
        document(layers=[{**LAYERS[0], "annotations": {"a": 1}, "platform": 5, "urls": None}]),
        document(config={**CONFIG, "mediaType": "application/octet-stream"}),
        document(subject={}),
    ],
)
def test_a_manifest_that_registries_keep_arrives_byte_for_byte(
    registry: LooseRegistry, destination: str, content: bytes
) -> None:
    registry.put("app", APP)
    digest = registry.put_bytes("app", "1", content, DOCKER)
    payload = make(registry, "app:1", platforms=["linux/amd64"])
    assert carried(payload)[digest] == content
    assert verify_payload(payload) == []
    assert push_payload_to_registry(destination, payload, secure=False) == ["app:1"]
    assert images.read_manifest(destination, "app", "1") == content


def test_a_part_of_an_index_without_a_media_type_is_carried(
    registry: LooseRegistry, destination: str
) -> None:
    registry.put("app", APP)
    part = {key: value for key, value in APP.descriptor.items() if key != "mediaType"}
    content = json.dumps({"manifests": [part]}).encode()
    registry.put_bytes("app", "1", content, OCI_INDEX)
    payload = make(registry, "app:1")
    assert carried(payload) == APP.contents() | {digest_of(content): content}
    assert push_payload_to_registry(destination, payload, secure=False) == ["app:1"]
    assert images.read_manifest(destination, "app", "1") == content


@pytest.fixture
def kind() -> str:
    """Push to the embedded registry, which takes all of these manifests."""
    return "embedded"


def test_a_tag_keeps_the_sha512_digest_that_the_registry_states(registry: LooseRegistry) -> None:
    registry.put("app:1", APP)
    stated = {"Docker-Content-Digest": sha512(APP.manifest), "Content-Type": APP.media_type}
    registry.answer("GET", "/manifests/1$", Reply(200, stated, APP.manifest))
    assert sha512(APP.manifest) in carried(make(registry, "app:1"))


@pytest.mark.parametrize("named", ["sha256", "sha512"])
@pytest.mark.parametrize("way", ["the API", "the tag"])
def test_referrers_of_an_image_known_by_sha512_are_found(
    registry: LooseRegistry, way: str, named: str
) -> None:
    by_sha512 = {**APP.descriptor, "digest": sha512(APP.manifest)}
    subject = APP.descriptor if named == "sha256" else by_sha512
    sbom = registry.put("app", artifact(b"sbom", subject=subject))
    registry.put("app", APP)
    registry.manifests[f"app/{sha512(APP.manifest)}"] = APP.media_type, APP.manifest
    listed = json.dumps({"schemaVersion": 2, "manifests": [sbom.descriptor]}).encode()
    digest = subject["digest"]
    if way == "the API":
        registry.answer("GET", f"/referrers/{digest}", Reply(200, {}, listed))
        registry.answer("GET", "/referrers/", Reply(200, {}, b'{"manifests": []}'))
    else:
        algorithm, _, encoded = digest.partition(":")
        registry.put_bytes("app", f"{algorithm}-{encoded[:64]}", listed, OCI_INDEX)
    payload = make(registry, f"app@{sha512(APP.manifest)}", include_referrers=True)
    assert sbom.digest in carried(payload)
    assert verify_payload(payload) == []


def refuse(pattern: str, reply: Reply) -> Any:
    return lambda asked: reply if re.search(pattern, asked.path) else None


REFUSALS = [
    *(Reply(status) for status in (400, 401, 403, 405, 418, 500, 502, 503)),
    Reply(200, {"Content-Type": "text/html"}, b"<html>"),
    Reply(302, {"Location": "ftp://other.example/"}),
    Reply(200, {"Content-Type": OCI}, b'{"errors": []}'),
    Reply(200, {"Content-Type": OCI}, b"x"),
]


@pytest.mark.parametrize("question", ["/referrers/", "/manifests/sha256-"])
@pytest.mark.parametrize("reply", REFUSALS)
def test_a_refused_question_about_referrers_does_not_end_a_transfer(
    registry: LooseRegistry, reply: Reply, question: str
) -> None:
    registry.put("app:1", APP)
    registry.rules.append(refuse(question, reply))
    assert carried(make(registry, "app:1", include_referrers=True)) == APP.contents()


def test_a_refusal_is_a_warning_once_for_a_repository(
    registry: LooseRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3):
        registry.put(f"app:{n}", image(layer(n)))
    registry.rules.append(refuse("sha256-.*[.]", Reply(403)))
    make(registry, "app:0", "app:1", "app:2", include_referrers=True)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "the tags of cosign's signatures and attestations cannot be read" in warnings[0]


def test_referrers_that_can_be_read_are_carried_beside_those_that_cannot(
    registry: LooseRegistry,
) -> None:
    registry.put("app:1", APP)
    sbom = registry.put("app", artifact(b"sbom", subject=APP.descriptor))
    listed = json.dumps({"schemaVersion": 2, "manifests": [sbom.descriptor]}).encode()
    registry.put_bytes("app", images.tag_of(APP), listed, OCI_INDEX)
    registry.rules.append(refuse("/referrers/", Reply(403)))
    registry.rules.append(refuse("sha256-.*[.]", Reply(403)))
    payload = make(registry, "app:1", include_referrers=True)
    assert carried(payload) == APP.contents() | sbom.contents()


def test_a_referrer_that_is_listed_and_cannot_be_read_is_an_error(registry: LooseRegistry) -> None:
    registry.put("app:1", APP)
    sbom = artifact(b"sbom", subject=APP.descriptor)
    listed = json.dumps({"schemaVersion": 2, "manifests": [sbom.descriptor]}).encode()
    registry.answer("GET", "/referrers/", Reply(200, {}, listed))
    with pytest.raises(ManifestNotFound, match=r"lists .* among the referrers"):
        make(registry, "app:1", include_referrers=True)


def test_a_registry_that_takes_the_tag_of_the_list_for_the_subject_has_no_list(
    registry: LooseRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    app = registry.put("app:1", index(APP, image(layer(2), platform="linux/arm64")))
    registry.put_bytes("app", images.tag_of(app), app.manifest, app.media_type)
    assert carried(make(registry, "app:1", include_referrers=True)) == app.contents()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    "reply", [Reply(401), Reply(403), Reply(400), Reply(500), Reply(200, {}, b"other")]
)
def test_a_layer_with_urls_that_the_registry_does_not_give_is_left_out(
    registry: LooseRegistry, reply: Reply
) -> None:
    far = {**images.descriptor("application/vnd.far", b"far away"), "urls": ["https://a.example/"]}
    config = images.descriptor(images.CONFIG_TYPES[OCI], APP.blobs[0])
    content = json.dumps({"schemaVersion": 2, "config": config, "layers": [far]}).encode()
    registry.put("app", APP)
    registry.put_bytes("app", "1", content, OCI)
    registry.rules.append(refuse(f"/blobs/{far['digest']}", reply))
    payload = make(registry, "app:1")
    assert carried(payload) == {digest_of(content): content, config["digest"]: APP.blobs[0]}


@pytest.mark.parametrize("check", ["asks for a login", "does not"])
@pytest.mark.parametrize("wanted", ["repository:team/real-app:pull", "aws", "a:b:pull c:d:pull"])
def test_a_scope_that_a_refusal_names_is_asked_for_as_well(
    registry: LooseRegistry, wanted: str, check: str
) -> None:
    registry.put("vanity/app:1", APP)
    if check == "does not":
        registry.answer("GET", "/v2/$", Reply())

    def gateway(asked: Asked) -> Reply | None:
        if asked.path == "/token":
            scopes = asked.query.get("scope", [])
            token = "good" if set(wanted.split()) <= set(scopes) else "other"
            return Reply(200, {}, json.dumps({"token": token}).encode())
        if asked.authorization == "Bearer good" or (asked.path == "/v2/" and asked.authorization):
            return None
        challenge = f'Bearer realm="http://{registry.address}/token",service="reg"'
        if asked.path != "/v2/":
            challenge += f',scope="{wanted}",error="insufficient_scope"'
        return Reply(401, {"WWW-Authenticate": challenge})

    registry.rules.append(gateway)
    assert carried(make(registry, "vanity/app:1", jobs=1)) == APP.contents()
    assert len(registry.matching("GET", "/token")) == 2  # the others use the second token


def test_a_scope_that_the_token_service_refuses_hides_nothing(registry: LooseRegistry) -> None:
    placeholder = "repository:user/image:pull"

    def github(asked: Asked) -> Reply | None:
        if asked.path == "/token":
            if placeholder in asked.query.get("scope", []):
                return Reply(403)
            return Reply(200, {}, b'{"token": "mine"}')
        challenge = f'Bearer realm="http://{registry.address}/token",scope="{placeholder}"'
        return Reply(401, {"WWW-Authenticate": challenge})

    registry.rules.append(github)
    with pytest.raises(AuthenticationError, match="wants a login for the manifest of app:1"):
        make(registry, "app:1")
