"""Secrets: never shown, whoever repeats them."""

from __future__ import annotations

import base64
import io
import logging
import traceback
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from docker_charon import DockerCharonError, InvalidReference, make_inventory, make_payload
from docker_charon.oci.host import check_host
from docker_charon.oci.reference import Reference
from docker_charon.registry.secrets import redacted, without_login
from images import image, layer
from loose_registry import Asked, LooseRegistry, Reply

USER, PASSWORD = "somebody", "s3cr3t/pass word"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "eyJhbGciOiJub25lIn0.a-token-of-many-letters"
SECRETS = (PASSWORD, BASIC, TOKEN, quote(PASSWORD, safe=""))

pytestmark = pytest.mark.usefixtures("_one_try")


@pytest.fixture
def registry(caplog: pytest.LogCaptureFixture) -> Iterator[LooseRegistry]:
    caplog.set_level(logging.DEBUG)
    with LooseRegistry() as registry:
        registry.put("app:1", image(layer(1)))
        yield registry


def everything_shown(error: DockerCharonError, log: pytest.LogCaptureFixture) -> str:
    shown = [str(error), repr(error), error.message, error.hint, repr(error.args), log.text]
    return " ".join([*shown, *traceback.format_exception_only(type(error), error)])


REPEATED = [
    '{"errors": [{"code": "DENIED", "message": "headers: Authorization: AUTHORIZATION"}]}',
    '{"errors": [{"code": "DENIED", "message": "you sent AUTHORIZATION"}]}',
    '{"errors": [{"code": "AUTHORIZATION"}]}',
    '{"errors": [{"message": "", "detail": "VALUE"}]}',
    '{"errors": [{"message": "password=PASSWORD is wrong"}]}',
    '{"errors": [{"message": "http://somebody:QUOTED@registry/v2/"}]}',
    "GET /v2/ HTTP/1.1 authorization: AUTHORIZATION x: y",
    "PASSWORD",
    "x" * 180 + " AUTHORIZATION",
]


@pytest.mark.parametrize("body", REPEATED)
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_an_error_that_repeats_the_request_shows_no_secret(
    registry: LooseRegistry, caplog: pytest.LogCaptureFixture, body: str, scheme: str, status: int
) -> None:
    value = TOKEN if scheme == "Bearer" else BASIC
    for placeholder, secret in {
        "AUTHORIZATION": f"{scheme} {value}",
        "VALUE": value,
        "PASSWORD": PASSWORD,
        "QUOTED": quote(PASSWORD, safe=""),
    }.items():
        if not (scheme == "Bearer" and secret.endswith(PASSWORD)):  # it was never told that
            body = body.replace(placeholder, secret)
    realm = "push" if scheme == "Basic" else f"http://{registry.address}/token"

    def answer(asked: Asked) -> Reply | None:
        if asked.path == "/token":
            return Reply(200, {}, f'{{"token": "{TOKEN}"}}'.encode())
        if asked.authorization is None:
            return Reply(401, {"WWW-Authenticate": f'{scheme} realm="{realm}"'})
        return Reply(status, {}, body.encode()) if "/manifests/" in asked.path else Reply()

    registry.rules.append(answer)
    with pytest.raises(DockerCharonError) as raised:
        make_payload(
            registry.address,
            io.BytesIO(),
            ["app:1"],
            secure=False,
            username=USER,
            password=PASSWORD,
        )
    assert f"answers {status}" in raised.value.message
    shown = everything_shown(raised.value, caplog)
    assert [secret for secret in SECRETS if secret in shown] == []


@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_a_login_in_the_address_of_a_token_service_is_not_shown(
    registry: LooseRegistry, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    realm = f"http://me:{TOKEN}@{registry.address}/token"
    registry.answer("GET", "/token", Reply(status, {}, b"{}"))
    registry.answer("GET", "", Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}))
    with pytest.raises(DockerCharonError) as raised:
        make_payload(registry.address, io.BytesIO(), ["app:1"], secure=False)
    assert registry.matching("GET", "/token")
    assert TOKEN not in everything_shown(raised.value, caplog)


def test_a_login_in_a_redirect_is_not_shown(
    registry: LooseRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.answer("GET", "/blobs/", Reply(307, {"Location": f"http://me:{TOKEN}@127.0.0.1:1/x"}))
    with pytest.raises(DockerCharonError) as raised:
        make_payload(registry.address, io.BytesIO(), ["app:1"], secure=False)
    assert TOKEN not in everything_shown(raised.value, caplog)


REGISTRIES = [
    "https://me:s3cr3t@registry.example",
    "http://me:s3cr3t@registry.example:5000/v2/",
    "me:s3cr3t@registry.example",
    "me:s3cr3t/more@registry.example",
    "https://me:s3cr3t@x@registry.example",
    "https://s3cr3t@registry.example",
    "//me:s3cr3t@registry.example",
]


@pytest.mark.parametrize("registry_name", REGISTRIES)
def test_a_login_in_the_name_of_a_registry_is_refused_and_not_shown(
    registry_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for call in (
        lambda: check_host(registry_name),
        lambda: make_payload(registry_name, io.BytesIO(), ["app:1"]),
        lambda: make_inventory(registry_name, io.BytesIO()),
    ):
        with pytest.raises(InvalidReference, match="without a login") as raised:
            call()
        assert "registry.example" in raised.value.message
        assert "s3cr3t" not in everything_shown(raised.value, caplog)


@pytest.mark.parametrize(
    "name",
    [
        "https://me:s3cr3t@registry.example/app:1",
        "me:s3cr3t@registry.example/app:1",
        "me:s3cr3t@registry.example:5000/team/app",
        "https://me:s3cr3t@p@registry.example/app@sha256:12",
        "docker://me:s3cr3t@registry.example/app",
    ],
)
def test_a_login_in_the_name_of_an_image_is_not_shown(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidReference) as raised:
        Reference.parse(name)
    assert "s3cr3t" not in everything_shown(raised.value, caplog)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Basic abc", "Authorization: ***"),
        ('{"authorization": "Bearer abc.def", "x": 1}', '{"authorization": "***", "x": 1}'),
        ("authorization=abc", "authorization=***"),
        ("see https://me:pw@host/x and http://h/@y", "see https://host/x and http://h/@y"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_an_authorization_is_hidden_though_it_is_not_known(text: str, shown: str) -> None:
    assert redacted(text, ()) == shown


def test_a_url_is_shown_without_its_login() -> None:
    assert without_login("https://a:b@c.example/d?e=f@g") == "https://c.example/d?e=f@g"
