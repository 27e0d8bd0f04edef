"""Logging in to real registries, by password and by token: who sees what, and how often."""

from __future__ import annotations

import base64
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

import certificates
import images
from command_line import Done, charon
from conftest import require
from docker_charon import AuthenticationError, make_payload, push_payload_to_registry
from docker_charon.oci.manifest import Manifest
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from guarded_registry import LOGIN, PASSWORD, USER, Guards, Site, htpasswd_is_installed
from images import image, layer
from proxy import Rule
from token_service import NOBODY, WearOut

BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
CHECK = "check the username and the password"
GIVE = "give -u and a password, or log in with docker login"


@pytest.fixture(scope="module")
def guards(tmp_path_factory: pytest.TempPathFactory) -> Guards:
    require(certificates.is_installed(), certificates.PROGRAM)
    require(htpasswd_is_installed(), "htpasswd")
    return Guards(tmp_path_factory.mktemp("guards"))


@pytest.fixture
def app(source: str) -> images.TestImage:
    return images.put(source, "app:1", image(layer(1, 9000), layer(2)))


def fetch(site: Site, folder: Path, *names: str, **options: Any) -> Path:
    make_payload(site.registry, folder / "p.zip", names or ["app:1"], secure=False, **options)
    return folder / "p.zip"


def make(site: Site, folder: Path, *options: str) -> Done:
    (folder / "made").mkdir()
    return charon(
        *("make-payload", "-r", site.registry, "-i", "-f", folder / "made/p.zip"), *options, "app:1"
    )


def pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)


def test_two_pulls_take_two_tokens_and_the_password_goes_to_the_token_service_only(
    source: str, guards: Guards, tmp_path: Path
) -> None:
    for name in ("a:1", "a:2", "team/b:1"):
        images.put(source, name, image(layer(1), *(layer(n) for n in range(len(name)))))
    with guards.tokens(tmp_path / "source") as site:
        fetch(site, tmp_path, "a:1", "team/b:1", "a:2", **LOGIN)
        assert sorted(site.asked()) == [pull("a"), pull("team/b")]
        assert {a.headers["authorization"] for a in site.tokens.requests} == {f"Basic {BASIC}"}
        assert "Bearer" in site.told()
        assert "Basic" not in site.told()


def test_three_pushes_and_a_mount_take_a_token_for_each_action_and_repository(
    source: str, destination: str, guards: Guards, tmp_path: Path
) -> None:
    wanted = {
        "a:1": image(layer(1)),
        "b:1": image(layer(2, 9000), layer(3)),
        "c:1": image(layer(2, 9000), layer(4)),
    }
    for name, one in wanted.items():
        images.put(source, name, one)
    make_payload(source, tmp_path / "p.zip", wanted, secure=False)
    with guards.tokens(tmp_path / "destination") as site:
        push_payload_to_registry(site.registry, tmp_path / "p.zip", True, secure=False, **LOGIN)
        assert [mount.status for mount in site.proxy.matching("POST", "mount=")] == [201]
        assert "Basic" not in site.told()
        asked = site.asked()
    for name, one in wanted.items():
        assert images.read(destination, name) == one.contents()
    mounting = {push("b") + pull("c"), push("c") + pull("b")}
    assert len(asked) == len(set(asked))
    assert set(asked) <= {*map(pull, "abc"), *map(push, "abc"), *mounting}
    assert len(mounting.intersection(asked)) == 1


@pytest.mark.parametrize("jobs", [1, 4])
def test_with_tokens_for_three_requests_everything_still_arrives(
    source: str, destination: str, guards: Guards, tmp_path: Path, jobs: int
) -> None:
    app = images.put(source, "app:1", image(*(layer(n, 90_000) for n in range(6))))
    images.put(source, "again:1", app)
    with guards.tokens(tmp_path / "source", Rule(".*", "/v2/", WearOut(3), times=None)) as site:
        payload = fetch(site, tmp_path, "app:1", "again:1", jobs=jobs, **LOGIN)
        assert len(site.tokens.given) > 2
    with guards.tokens(tmp_path / "destination", Rule(".*", "", WearOut(3), times=None)) as site:
        push_payload_to_registry(site.registry, payload, True, secure=False, jobs=jobs, **LOGIN)
        assert len(site.tokens.given) > 4
    assert images.read(destination, "app:1") == app.contents()
    assert images.read(destination, "again:1") == app.contents()


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("name", "expires_in"),
    [("access_token", 300), ("token", None), ("token", "soon"), ("token", -1), ("token", 10**18)],
)
def test_a_token_is_taken_by_either_name_and_with_any_lifetime(
    guards: Guards, tmp_path: Path, name: str, expires_in: object
) -> None:
    with guards.tokens(tmp_path / "source", name=name, expires_in=expires_in) as site:
        fetch(site, tmp_path, **LOGIN)
        assert site.asked() == [pull("app")]


@pytest.mark.usefixtures("app")
def test_nobody_gets_a_token_where_anybody_may_pull(guards: Guards, tmp_path: Path) -> None:
    with guards.tokens(tmp_path / "source", rights={NOBODY: {"app": "pull"}}) as site:
        fetch(site, tmp_path)
        assert site.asked() == [pull("app")]
        assert "authorization" not in site.tokens.requests[0].headers


@pytest.mark.usefixtures("app")
def test_who_may_only_pull_is_told_so_and_changes_nothing(
    source: str, destination: str, guards: Guards, tmp_path: Path
) -> None:
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    with guards.tokens(tmp_path / "destination", rights={USER: {"*": "pull"}}) as site:
        with pytest.raises(AuthenticationError, match=f"^{site.registry} .* app") as caught:
            push_payload_to_registry(site.registry, tmp_path / "p.zip", secure=False, **LOGIN)
        assert "\n" not in str(caught.value)
        assert site.count() <= 20
    assert images.read(destination, "app:1") is None


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("kind", ["passwords", "tokens"])
@pytest.mark.parametrize(
    ("options", "hint"),
    [(["-u", USER, "-p", "wrong"], CHECK), (["-u", "you", "-p", PASSWORD], CHECK), ([], GIVE)],
)
def test_a_refused_login_is_one_line_after_a_few_requests(
    guards: Guards, tmp_path: Path, kind: str, options: list[str], hint: str
) -> None:
    with getattr(guards, kind)(tmp_path / "source") as site:
        line = make(site, tmp_path, *options).line
        assert site.count() <= 20
    assert site.registry in line
    assert hint in line
    assert not list((tmp_path / "made").iterdir())


@pytest.mark.usefixtures("app")
def test_a_password_opens_a_registry(guards: Guards, tmp_path: Path) -> None:
    with guards.passwords(tmp_path / "source") as site:
        assert make(site, tmp_path, "-u", USER, "-p", PASSWORD).status == 0
        push_payload_to_registry(
            site.registry, tmp_path / "made/p.zip", True, secure=False, **LOGIN
        )


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("status", [None, 404, 503])
def test_a_token_service_that_is_out_of_order_is_one_line(
    guards: Guards, tmp_path: Path, status: int | None
) -> None:
    with guards.token_service() as gone:
        auth = gone.auth if status is None else None
    with guards.tokens(tmp_path / "source", auth=auth) as site:
        site.tokens.status = status or 200
        line = make(site, tmp_path, "-u", USER, "-p", PASSWORD).line
        assert site.count() <= 20
    assert site.registry in line
    assert (gone if status is None else site.tokens).address in line
    assert not list((tmp_path / "made").iterdir())


@pytest.mark.usefixtures("app")
def test_tokens_that_are_out_of_date_when_they_come_are_one_line(
    guards: Guards, tmp_path: Path
) -> None:
    with guards.tokens(tmp_path / "source", lifetime=-600) as site:  # as of a clock that is wrong
        line = make(site, tmp_path, "-u", USER, "-p", PASSWORD).line
        assert site.count() <= 20
    assert site.registry in line


@pytest.mark.parametrize("password", [PASSWORD, "battery staple"])
def test_no_secret_and_no_token_is_ever_told(
    app: images.TestImage,
    guards: Guards,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    password: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
    rights = {USER: {"*": "pull"}}
    told = []
    with guards.tokens(tmp_path / "source", rights=rights) as site:
        done = make(site, tmp_path, "-u", USER, "-p", password)
        told += [done.stdout, done.stderr]
        payload = tmp_path / "made/p.zip"
        if password == PASSWORD:
            told.append(payload.read_bytes().decode("latin-1"))
            assert site.tokens.given
        with (
            pytest.raises(AuthenticationError) as caught,
            RegistryClient(
                site.registry, Access(secure=False, username=USER, password=password)
            ) as client,
        ):
            told += [repr(client), str(vars(client))]
            client.check_api()
            client.put_manifest("new", "1", Manifest.parse(app.manifest))
        told += traceback.format_exception(caught.value)
    told.append(caplog.text)
    assert site.registry in caplog.text
    for secret in (password, basic, *site.tokens.given):
        assert secret not in "\n".join(told)
