"""Where a login comes from: arguments, the environment, Docker's files, its helpers, Podman's."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import certificates
import images
import registries
from command_line import charon
from conftest import require, require_registry
from docker_charon import AuthenticationError, make_payload
from docker_charon.registry import credentials
from guarded_registry import LOGIN, PASSWORD, USER, Guards, Site, htpasswd_is_installed
from images import image, layer
from logins import Home, answering, entry, write
from token_service import NOBODY

IDENTITY = "an-identity-token"
WRONG = {"username": USER, "password": "wrong"}


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def guards(tmp_path_factory: pytest.TempPathFactory) -> Guards:
    require_registry()
    require(certificates.is_installed(), certificates.PROGRAM)
    require(htpasswd_is_installed(), "htpasswd")
    return Guards(tmp_path_factory.mktemp("guards"))


@pytest.fixture(scope="module")
def root(guards: Guards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a registry that has an image."""
    folder = tmp_path_factory.mktemp("registry")
    with registries.docker_registry(folder) as address:
        images.put(address, "app:1", image(layer(1)))
    return folder


@pytest.fixture(scope="module")
def passwords(guards: Guards, root: Path) -> Iterator[Site]:
    """Guard that image with a password."""
    with guards.passwords(root) as site:
        yield site


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Home(tmp_path)


def fetch(site: Site, folder: Path, **options: Any) -> None:
    make_payload(site.registry, folder / "p.zip", ["app:1"], secure=False, **options)


def refused(site: Site, folder: Path, **options: Any) -> str:
    """Return what a user is told who is not let in, after a few requests and without a file."""
    before = site.count()
    (folder / "refused").mkdir()
    with pytest.raises(AuthenticationError) as caught:
        fetch(site, folder / "refused", **options)
    assert site.count() - before <= 20
    assert not list((folder / "refused").iterdir())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "environment", "stdin"),
    [
        (["-u", USER, "-p", PASSWORD], {}, ""),
        (["-u", USER, "--password-stdin"], {}, f"{PASSWORD}\r\n"),
        ([], {"USERNAME": USER, "PASSWORD": PASSWORD}, ""),
        (["-u", USER], {"PASSWORD": PASSWORD}, ""),
        (["-u", USER, "-p", PASSWORD], {"USERNAME": "you", "PASSWORD": "wrong"}, ""),
        (["-u", USER, "--password-stdin"], {"PASSWORD": "wrong"}, PASSWORD),
    ],
)
def test_the_command_line_takes_a_password_in_any_way(
    passwords: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    environment: dict[str, str],
    stdin: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"DOCKER_CHARON_{name}", value)
    options = ["-q", "-r", passwords.registry, "-i", "-f", str(tmp_path / "p.zip"), *options]
    made = charon("make-payload", *options, "app:1", stdin=stdin)
    assert (made.status, made.stdout, made.stderr) == (0, "", "")
    pushed = charon("push-payload", *options, stdin=stdin)
    assert (pushed.status, pushed.stdout, pushed.stderr) == (0, "app:1\n", "")


@pytest.mark.parametrize(
    ("variable", "value", "file"),
    [
        ("DOCKER_CONFIG", "docker", "docker/config.json"),
        ("HOME", "home", "home/.docker/config.json"),
        ("REGISTRY_AUTH_FILE", "podman.json", "podman.json"),
        ("XDG_RUNTIME_DIR", "run", "run/containers/auth.json"),
    ],
)
def test_what_docker_and_podman_wrote_down_is_found(
    passwords: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    file: str,
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / value))
    write(tmp_path / file, auths={passwords.registry: entry(USER, PASSWORD)})
    fetch(passwords, tmp_path)


@pytest.mark.parametrize("key", ["{}", "https://{}", "http://{}/", "https://{}/v1/", "{}/v2/"])
def test_a_registry_is_found_however_its_key_is_written(
    passwords: Site, home: Home, key: str
) -> None:
    others = {"example.com": entry("you", "wrong"), f"{passwords.registry}0": entry("you", "no")}
    home.docker(auths={**others, key.format(passwords.registry): entry(USER, PASSWORD)})
    fetch(passwords, home.folder)


def test_another_registrys_login_is_not_used(passwords: Site, home: Home) -> None:
    home.docker(auths={"example.com": entry(USER, PASSWORD)})
    assert "give a username and a password" in refused(passwords, home.folder)


@pytest.mark.parametrize("config", [{"credHelpers": {"HOST": "fake"}}, {"credsStore": "fake"}])
def test_a_helper_is_asked_for_the_host_on_its_standard_input(
    passwords: Site, home: Home, config: dict[str, Any]
) -> None:
    home.helper.install(answering(USER, PASSWORD))
    home.docker(**config)
    home.config.write_text(home.config.read_text().replace("HOST", passwords.registry))
    fetch(passwords, home.folder)
    assert home.helper.asked == ["get", passwords.registry]


def test_what_is_said_outright_wins_over_files(passwords: Site, home: Home) -> None:
    home.helper.install("echo 'nobody should ask me'", "exit 1")
    home.docker(auths={passwords.registry: entry("you", "wrong")}, credsStore="fake")
    fetch(passwords, home.folder, **LOGIN)
    home.docker(auths={passwords.registry: entry(USER, PASSWORD)})
    assert "check the username and the password" in refused(passwords, home.folder, **WRONG)


def test_a_registrys_own_helper_wins_over_its_entry_and_that_over_the_store(
    passwords: Site, home: Home
) -> None:
    home.helper.install(answering(USER, PASSWORD))
    wrong = {passwords.registry: entry("you", "wrong")}
    home.docker(auths=wrong, credHelpers={passwords.registry: "fake"}, credsStore="gone")
    fetch(passwords, home.folder)
    home.helper.install(answering("you", "wrong"))
    home.docker(auths={passwords.registry: entry(USER, PASSWORD)}, credsStore="fake")
    fetch(passwords, home.folder)


def test_an_entry_that_only_says_that_the_store_knows_is_no_login(
    passwords: Site, home: Home
) -> None:
    home.helper.install(answering(USER, PASSWORD))
    home.docker(auths={passwords.registry: {}}, credsStore="fake")
    fetch(passwords, home.folder)


def test_docker_comes_before_podman_and_the_file_that_is_named_before_the_usual_one(
    passwords: Site, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {passwords.registry: entry(USER, PASSWORD)}
    wrong = {passwords.registry: entry("you", "wrong")}
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "named.json"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    write(tmp_path / "containers/auth.json", auths=wrong)
    write(tmp_path / "named.json", auths=right)
    fetch(passwords, home.folder)
    write(tmp_path / "named.json", auths=wrong)
    home.docker(auths=right)
    fetch(passwords, home.folder)


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        (None, "not there"),
        (["echo 'the vault is sealed'", "exit 1"], "the vault is sealed"),
        (["echo 'the vault is sealed' >&2", "exit 1"], "the vault is sealed"),
        (["exit 3"], "fails"),
        (["printf 'one\\ntwo\\033[2J'", "exit 1"], "one two"),
        (["sleep 3"], "does not answer"),
        (["echo 'Segmentation fault'"], "nonsense"),
        ([answering(USER, PASSWORD).replace("}", "")], "nonsense"),
        ([], "nonsense"),
    ],
    ids=str,
)
def test_a_helper_that_is_of_no_help_is_one_line_that_names_it(
    passwords: Site,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    commands: list[str] | None,
    words: str,
) -> None:
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT", 0.3)
    if commands is not None:
        home.helper.install(*commands)
    home.docker(credsStore="fake")
    told = refused(passwords, home.folder)
    assert home.helper.program in told
    assert words in told
    assert PASSWORD not in told


def test_a_helper_that_knows_nothing_leaves_us_nobody(
    guards: Guards, root: Path, home: Home
) -> None:
    home.helper.install("echo 'credentials not found in native keychain'", "exit 1")
    home.docker(credsStore="fake")
    with guards.tokens(root, rights={NOBODY: {"app": "pull"}}) as site:
        fetch(site, home.folder)
        assert "authorization" not in site.tokens.requests[0].headers


def test_what_is_in_a_file_wins_over_nobody(guards: Guards, root: Path, home: Home) -> None:
    rights = {NOBODY: {"app": "pull"}, USER: {"app": "pull"}}
    with guards.tokens(root, rights=rights) as site:
        home.docker(auths={site.registry: entry(USER, PASSWORD)})
        fetch(site, home.folder)
        assert site.tokens.requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("where", ["helper", "entry", "entry with a name"])
def test_an_identity_token_is_turned_in_at_the_token_service_only(
    guards: Guards, root: Path, home: Home, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    caplog.set_level(logging.DEBUG)
    home.helper.install(answering("<token>", IDENTITY))
    with guards.tokens(root, identities={IDENTITY: USER}) as site:
        if where == "helper":
            home.docker(credHelpers={site.registry: "fake"})
        else:
            name = entry("00000000-0000-0000-0000-000000000000", "") if "name" in where else {}
            home.docker(auths={site.registry: {**name, "identitytoken": IDENTITY}})
        fetch(site, home.folder)
        (asked,) = site.tokens.requests
        assert IDENTITY not in site.told() + caplog.text
    assert asked.method == "POST"
    assert asked.field("grant_type") == "refresh_token"
    assert asked.field("client_id")
    assert "authorization" not in asked.headers
    assert asked.scopes == ["repository:app:pull"]


def test_an_identity_token_that_is_no_longer_good_is_one_line(
    guards: Guards, root: Path, home: Home
) -> None:
    with guards.tokens(root) as site:
        home.docker(auths={site.registry: {"identitytoken": IDENTITY}})
        told = refused(site, home.folder)
    assert site.registry in told
    assert IDENTITY not in told


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"HOST": {"auth": "%%%"}}}'])
def test_a_file_that_makes_no_sense_is_one_line_that_names_it(
    passwords: Site, home: Home, content: str
) -> None:
    home.docker()
    home.config.write_text(content.replace("HOST", passwords.registry))
    assert str(home.config) in refused(passwords, home.folder)
