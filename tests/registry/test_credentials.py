"""Where a login comes from: arguments, the environment, the files of Podman and Docker, helpers."""

from __future__ import annotations

import json
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
from conftest import require, require_registry, set_home
from docker_charon import AuthenticationError, make_payload
from docker_charon.registry import credential_helper
from docker_charon.registry.credentials import (
    Credentials,
    FoundLogin,
    Keychain,
)
from guarded_registry import LOGIN, PASSWORD, USER, Guards, Site, htpasswd_is_installed
from images import image, layer
from logins import CredentialHelper, Home, answering, entry, write
from token_service import NOBODY

IDENTITY = "an-identity-token"
REGISTRY = "registry.example:5000"
WRONG = {"username": USER, "password": "wrong"}


@pytest.fixture(scope="module")
def guards(tmp_path_factory: pytest.TempPathFactory) -> Guards:
    require_registry()
    require(certificates.is_installed(), certificates.PROGRAM)
    require(htpasswd_is_installed(), "htpasswd")
    return Guards(tmp_path_factory.mktemp("guards"))


@pytest.fixture(scope="module")
def root(guards: Guards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a registry that has an image, in three repositories."""
    folder = tmp_path_factory.mktemp("registry")
    with registries.docker_registry(folder) as address:
        for repository in ("app", "team-a/app", "team-b/app"):
            images.put(address, f"{repository}:1", image(layer(1)))
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


def fetch(site: Site, folder: Path, *names: str, **options: Any) -> None:
    make_payload(site.registry, folder / "p.zip", names or ["app:1"], secure=False, **options)


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


def test_what_docker_and_podman_wrote_down_is_found(
    passwords: Site, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    write(tmp_path / "run/containers/auth.json", auths={passwords.registry: entry(USER, PASSWORD)})
    fetch(passwords, tmp_path)


def find_login(registry: str, repository: str | None = None) -> FoundLogin:
    return Keychain(registry).find(repository)


def user(found: FoundLogin) -> str | None:
    """Return who a login is for."""
    return None if found.credentials is None else found.credentials.username


def auths(**users: str) -> dict[str, Any]:
    """Return entries: a user for each key, in which ``REGISTRY`` stands for the registry."""
    return {
        key.replace("REGISTRY", REGISTRY): entry(name, "secret") if name else {}
        for key, name in users.items()
    }


@pytest.mark.posix
def test_the_places_are_searched_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    set_home(monkeypatch, home)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "named.json"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    files = [
        tmp_path / "named.json",
        tmp_path / "docker/config.json",
        tmp_path / "run/containers/auth.json",
        tmp_path / f"run-containers/{os.getuid()}/auth.json",
        home / ".config/containers/auth.json",
    ]
    for number, file in enumerate(files):
        write(file, auths={REGISTRY: entry(f"user-{number}", "secret")})
    for number, file in enumerate(files):
        found = find_login(REGISTRY)
        assert (user(found), found.source) == (f"user-{number}", str(file))
        file.unlink()
    assert user(find_login(REGISTRY)) is None


def test_docker_config_stands_in_place_of_the_folder_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_home(monkeypatch, tmp_path)
    write(tmp_path / ".docker/config.json", auths={REGISTRY: entry("at-home", "secret")})
    assert user(find_login(REGISTRY)) == "at-home"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    assert user(find_login(REGISTRY)) is None


def test_podmans_folder_follows_the_configuration_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    write(tmp_path / "settings/containers/auth.json", auths={REGISTRY: entry("me", "secret")})
    assert user(find_login(REGISTRY)) == "me"


def test_a_variable_may_hold_the_logins_themselves(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.docker(auths=auths(REGISTRY="in the file", other="other"))
    config = json.dumps({"auths": auths(REGISTRY="in the variable")})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config)
    found = find_login(REGISTRY)
    assert (user(found), found.source) == ("in the variable", "DOCKER_AUTH_CONFIG")
    assert user(find_login("other")) == "other"
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config[:-1])
    found = find_login(REGISTRY)
    assert user(found) == "in the file"
    assert found.problems == ("DOCKER_AUTH_CONFIG does not hold a JSON object",)


@pytest.mark.parametrize(
    ("keys", "repository", "expected"),
    [
        # the registry as a whole
        ({"REGISTRY": "a"}, None, "a"),
        ({"REGISTRY": "a"}, "team/app", "a"),
        ({"Registry.Example:5000": "a"}, "team/app", "a"),
        ({"registry.example": "a"}, "team/app", None),
        ({"REGISTRY0": "a", "xREGISTRY": "b"}, "team/app", None),
        # namespaces, the longest first
        ({"REGISTRY": "a", "REGISTRY/team": "b"}, "team/app", "b"),
        ({"REGISTRY/team": "b", "REGISTRY/team/app": "c"}, "team/app", "c"),
        ({"REGISTRY/team/app": "c", "REGISTRY/team": "b"}, "team/other", "b"),
        ({"REGISTRY/team": "b"}, "team/deep/er/app", "b"),
        ({"REGISTRY/team": "b"}, "team", "b"),
        ({"REGISTRY/team": "b"}, "teams/app", None),
        ({"REGISTRY/team": "b"}, "other/app", None),
        ({"REGISTRY/team": "b"}, None, None),
        ({"REGISTRY/team": "b", "REGISTRY": "a"}, "other/app", "a"),
        ({"REGISTRY/team": "b", "REGISTRY": "a"}, None, "a"),
        # URLs, after the exact host
        ({"https://REGISTRY": "a"}, "team/app", "a"),
        ({"http://REGISTRY/": "a"}, "team/app", "a"),
        ({"https://REGISTRY/v1/": "a"}, "team/app", "a"),
        ({"https://REGISTRY/v2/any/path": "a"}, "team/app", "a"),
        ({"HTTPS://REGISTRY/": "a"}, "team/app", "a"),
        ({"REGISTRY/": "a"}, "team/app", "a"),
        ({"REGISTRY/v1/": "a"}, "team/app", "a"),
        ({"REGISTRY/v2": "a"}, "team/app", "a"),
        ({"ftp://REGISTRY": "a"}, "team/app", None),
        ({"https://REGISTRY/v1/": "old", "REGISTRY": "new"}, "team/app", "new"),
        ({"https://REGISTRY/": "old", "REGISTRY/team": "new"}, "team/app", "new"),
        # an empty entry hides no full one
        ({"REGISTRY": "", "https://REGISTRY": "a"}, "team/app", "a"),
        ({"https://REGISTRY": "", "REGISTRY": "a"}, "team/app", "a"),
        ({"REGISTRY/team": "", "REGISTRY": "a"}, "team/app", "a"),
        ({"REGISTRY": ""}, "team/app", None),
    ],
    ids=str,
)
def test_the_most_specific_key_is_used(
    home: Home, keys: dict[str, str], repository: str | None, expected: str | None
) -> None:
    home.docker(auths=auths(**keys))
    assert user(find_login(REGISTRY, repository)) == expected


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize(
    ("keys", "repository", "expected"),
    [
        ({"https://index.docker.io/v1/": "a"}, "python", "a"),
        ({"docker.io": "a"}, "python", "a"),
        ({"index.docker.io": "a"}, "python", "a"),
        ({"registry-1.docker.io": "a"}, "python", "a"),
        ({"https://registry-1.docker.io/v2/": "a"}, "python", "a"),
        ({"https://index.docker.io/v1": "a"}, "python", "a"),
        ({"docker.io": "b", "https://index.docker.io/v1/": "a"}, "python", "a"),
        ({"https://index.docker.io/v1/": "a", "docker.io/me": "b"}, "me/app", "b"),
        ({"docker.io/library": "b"}, "python", "b"),
        ({"docker.io/library/python": "b"}, "python", "b"),
        ({"registry-1.docker.io": "", "https://index.docker.io/v1/": "a"}, "python", "a"),
        ({"https://index.docker.io/v1/access-token": "x"}, "python", None),
        ({"https://index.docker.io/v1/refresh-token": "x"}, "python", None),
        (
            {"https://index.docker.io/v1/refresh-token": "x", "https://index.docker.io/v1/": "a"},
            "python",
            "a",
        ),
        ({"hub.docker.com": "x"}, "python", None),
    ],
    ids=str,
)
def test_docker_hubs_keys_are_taken_for_its_login(
    home: Home, registry: str, keys: dict[str, str], repository: str, expected: str | None
) -> None:
    home.docker(auths=auths(**keys))
    assert user(find_login(registry, repository)) == expected


def test_a_keychain_asks_a_helper_once_for_all_namespaces_until_it_is_told_to_forget(
    home: Home,
) -> None:
    home.helper.install(answering("from the helper", "secret"))
    home.docker(credsStore="fake")
    keychain = Keychain(REGISTRY)
    assert user(keychain.find("team/app")) == "from the helper"
    home.helper.install(answering("from the helper later", "other"))
    assert user(keychain.find("other/app")) == "from the helper"
    keychain.forget()
    assert user(keychain.find("other/app")) == "from the helper later"


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


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"credHelpers": {REGISTRY: "own"}, "credsStore": "all"}, "own"),
        ({"credHelpers": {"other.example": "own"}, "credsStore": "all"}, "all"),
        ({"credHelpers": {f"https://{REGISTRY}": "own"}, "credsStore": "all"}, "own"),
        ({"credHelpers": {REGISTRY: ""}, "credsStore": "all"}, "entry"),
        ({"credHelpers": {REGISTRY: 1}, "credsStore": "all"}, "all"),
        ({"credHelpers": {}, "credsStore": ""}, "entry"),
        ({"credHelpers": [], "credsStore": None}, "entry"),
        ({"credHelpers": {REGISTRY: "knows-nothing"}}, "entry"),
        ({"credHelpers": {REGISTRY: "gone"}, "credsStore": "all"}, "all"),
        ({"credHelpers": {REGISTRY: "gone"}, "credsStore": "broken"}, "entry"),
        ({}, "entry"),
    ],
    ids=str,
)
def test_the_own_helper_comes_before_the_one_for_all_and_that_before_the_entry(
    home: Home, config: dict[str, Any], expected: str
) -> None:
    for name in ("own", "all"):
        CredentialHelper(home.folder / "bin", name).install(answering(name, "secret"))
    CredentialHelper(home.folder / "bin", "broken").install("exit 1")
    CredentialHelper(home.folder / "bin", "knows-nothing").install("echo '{}'")
    home.docker(auths=auths(REGISTRY="entry"), **config)
    assert user(find_login(REGISTRY)) == expected


def test_an_entry_that_only_says_that_the_store_knows_is_no_login(
    passwords: Site, home: Home
) -> None:
    home.helper.install(answering(USER, PASSWORD))
    home.docker(auths={passwords.registry: {}}, credsStore="fake")
    fetch(passwords, home.folder)


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        (None, "is not installed"),
        (["echo 'the secret is hunter2'", "exit 1"], "fails with exit status 1"),
        (["echo 'the secret is hunter2' >&2", "exit 3"], "fails with exit status 3"),
        ([answering("me", "hunter2"), "exit 1"], "fails with exit status 1"),
        (["sleep 3"], "does not answer within"),
        (["echo 'the secret is hunter2'"], "does not answer with a login"),
        ([answering("me", "hunter2").replace("}", "")], "does not answer with a login"),
        (["echo '[\"hunter2\"]'"], "does not answer with a login"),
        (["""echo '{"Username": 7, "Secret": "hunter2"}'"""], "does not answer with a login"),
        (["""echo '{"Username": "x", "Secret": "hunter2\\ud800"}'"""], "does not answer with"),
    ],
    ids=str,
)
def test_a_helper_that_does_not_work_is_remembered_and_the_search_goes_on(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: list[str] | None,
    words: str,
) -> None:
    monkeypatch.setattr(credential_helper, "TIMEOUT", 0.3)
    if commands is not None:
        home.helper.install(*commands)
    home.docker(credsStore="fake")
    found = find_login(REGISTRY)
    assert found.credentials is None
    (problem,) = found.problems
    assert str(home.config) in problem
    assert home.helper.program in problem
    assert words in problem
    assert "hunter2" not in problem
    assert "\n" not in problem
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    write(tmp_path / "containers/auth.json", auths=auths(REGISTRY="podman"))
    found = find_login(REGISTRY)
    assert (user(found), found.problems) == ("podman", (problem,))


@pytest.mark.parametrize(
    "commands",
    [
        ["echo 'credentials not found in native keychain'", "exit 1"],
        ["echo 'Error: credentials not found in native keychain' >&2", "exit 1"],
        ["echo 'No stored credential for https://index.docker.io/v1/'", "exit 1"],
        ["echo 'The specified item could not be found in the keychain.'", "exit 1"],
        [answering("", "")],
        ["echo '{}'"],
        ["echo null"],
        ["echo"],
        [],
    ],
    ids=str,
)
def test_a_helper_that_knows_nothing_is_no_problem(home: Home, commands: list[str]) -> None:
    home.helper.install(*commands)
    home.docker(credsStore="fake")
    assert find_login(REGISTRY) == FoundLogin()


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


def test_each_namespace_may_have_a_login_of_its_own(guards: Guards, root: Path, home: Home) -> None:
    users = {"a": "secret-a", "b": "secret-b"}
    rights = {name: {f"team-{name}/*": "pull"} for name in users}
    with guards.tokens(root, users=users, rights=rights) as site:
        home.docker(
            auths={
                f"{site.registry}/team-{name}": entry(name, password)
                for name, password in users.items()
            }
        )
        fetch(site, home.folder, "team-a/app:1", "team-b/app:1")


def test_a_stored_login_that_is_refused_names_its_file(passwords: Site, home: Home) -> None:
    home.docker(auths={passwords.registry: entry(USER, "wrong")})
    assert f"the login from {home.config} is not accepted" in refused(passwords, home.folder)


def test_a_stored_login_that_is_refused_names_its_helper(
    guards: Guards, root: Path, home: Home
) -> None:
    home.helper.install(answering(USER, "wrong"))
    home.docker(credsStore="fake")
    with guards.tokens(root) as site:
        line = refused(site, home.folder)
    assert "the login from docker-credential-fake is not accepted" in line


def test_what_went_wrong_in_the_search_is_told_if_the_registry_refuses(
    passwords: Site, home: Home
) -> None:
    home.docker(credsStore="gone")
    line = refused(passwords, home.folder)
    assert "give a username and a password, or log in" in line
    assert f"{home.config} names a credential helper, and docker-credential-gone is not" in line


def test_what_went_wrong_in_the_search_is_not_told_if_the_registry_lets_us_in(
    guards: Guards, root: Path, home: Home, tmp_path: Path
) -> None:
    home.docker(credsStore="gone")
    with guards.tokens(root, rights={NOBODY: {"app": "pull"}}) as site:
        options = ("-r", site.registry, "-i", "-q", "-f", tmp_path / "p.zip")
        done = charon("make-payload", *options, "app:1")
    assert (done.status, done.stderr) == (0, "")


def test_anonymous_access_uses_no_login(
    guards: Guards, root: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CHARON_USERNAME", USER)
    monkeypatch.setenv("DOCKER_CHARON_PASSWORD", PASSWORD)
    rights = {NOBODY: {"*": "pull,push"}, USER: {}}
    with guards.tokens(root, rights=rights) as site:
        home.docker(auths={site.registry: entry(USER, PASSWORD)})
        fetch(site, home.folder, anonymous=True)
        options = ("-r", site.registry, "-i", "-q", "--anonymous")
        for command in (
            ("make-payload", "-f", tmp_path / "made.zip", "app:1"),
            ("push-payload", "-f", tmp_path / "made.zip"),
            ("make-inventory", "-f", tmp_path / "inventory.zip", "app:1"),
        ):
            done = charon(command[0], *options, *command[1:])
            assert (done.status, done.stderr) == (0, "")
        assert not any("authorization" in asked.headers for asked in site.tokens.requests)


def test_anonymous_access_and_a_login_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match="either anonymous or with a username"):
        make_payload("r.example", tmp_path / "p.zip", ["app"], anonymous=True, username="me")
    for options in (("-u", USER), ("-p", PASSWORD), ("--password-stdin",)):
        made = charon("make-payload", "-f", tmp_path / "p.zip", "--anonymous", *options, "app")
        assert made.status == 2
        assert "--anonymous" in made.stderr


def test_an_identity_token_that_is_no_longer_good_is_one_line(
    guards: Guards, root: Path, home: Home
) -> None:
    with guards.tokens(root) as site:
        home.docker(auths={site.registry: {"identitytoken": IDENTITY}})
        told = refused(site, home.folder)
    assert site.registry in told
    assert IDENTITY not in told


@pytest.mark.parametrize(
    ("entry_or_config", "words"),
    [
        ("{", "does not hold a JSON object"),
        ("[]", "does not hold a JSON object"),
        ("\x80", "does not hold a JSON object"),
        ({"auth": "%%%"}, "malformed entry"),
        ({"auth": "aHVudGVyMg=="}, "malformed entry"),  # without a colon
        ({"auth": "aHVudGVyMjpo"[:-1]}, "malformed entry"),  # cut
        ({"auth": 7}, "malformed entry"),
        ({"username": "me", "password": ["hunter2"]}, "malformed entry"),
        ({"password": "hunter2"}, "malformed entry"),
        ({"identitytoken": ["hunter2"]}, "malformed entry"),
        ({"registrytoken": "hunter2\nX-Header: y"}, "malformed entry"),
        ("a folder", "cannot read"),
    ],
    ids=str,
)
def test_a_file_that_makes_no_sense_is_remembered_and_the_search_goes_on(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry_or_config: dict[str, Any] | str,
    words: str,
) -> None:
    home.docker(auths={REGISTRY: entry_or_config})
    if entry_or_config == "a folder":
        home.config.unlink()
        home.config.mkdir()
    elif isinstance(entry_or_config, str):
        home.config.write_bytes(entry_or_config.encode("latin-1"))
    (problem,) = find_login(REGISTRY).problems
    assert str(home.config) in problem
    assert words in problem
    assert "hunter2" not in problem
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    write(tmp_path / "containers/auth.json", auths=auths(REGISTRY="podman"))
    found = find_login(REGISTRY)
    assert (user(found), found.problems) == ("podman", (problem,))


def test_a_named_file_that_is_missing_is_remembered(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "gone.json"))
    home.docker(auths=auths(REGISTRY="me"))
    found = find_login(REGISTRY)
    assert user(found) == "me"
    assert found.problems == (
        f"REGISTRY_AUTH_FILE names {tmp_path / 'gone.json'}, which does not exist",
    )


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"auth": "bWU6\r\nc2VjcmV0\n"}, Credentials("me", "secret")),
        ({"auth": "bWU6c2Vj\ncmV0AAA="}, Credentials("me", "secret")),  # NULs at its end
        ({"auth": "bWU6czpl"}, Credentials("me", "s:e")),
        ({"username": "me", "password": "secret"}, Credentials("me", "secret")),
        (
            {"auth": "bWU6c2VjcmV0", "username": "you", "password": "other"},
            Credentials("me", "secret"),
        ),
        ({"auth": "bWU6", "identitytoken": IDENTITY}, Credentials("me", "", IDENTITY)),
        ({"identitytoken": IDENTITY}, Credentials("<token>", "", IDENTITY)),
        (
            {"username": "<token>", "password": IDENTITY},
            Credentials("<token>", IDENTITY, IDENTITY),
        ),
        ({"registrytoken": "abc"}, Credentials("<token>", "", registry_token="abc")),
        ({"auth": "Og=="}, None),
        ({"auth": ""}, None),
        ({"auth": "bWU6"}, None),
        ({"email": "me@example.com"}, None),
        (None, None),
        ("", None),
    ],
    ids=str,
)
def test_an_entry_is_read_in_every_form(
    home: Home, stored: object, expected: Credentials | None
) -> None:
    home.docker(auths={REGISTRY: stored})
    assert find_login(REGISTRY).credentials == expected
    assert find_login(REGISTRY).problems == ()


def test_a_password_that_is_no_utf8_is_sent_as_it_is(home: Home) -> None:
    pair = "bWU6cOVzcw=="
    home.docker(auths={REGISTRY: {"auth": pair}})
    found = find_login(REGISTRY).credentials
    assert found is not None
    assert found.basic == f"Basic {pair}"


def test_a_file_may_begin_with_a_byte_order_mark(home: Home) -> None:
    home.docker(auths=auths(REGISTRY="me"))
    home.config.write_bytes(b"\xef\xbb\xbf" + home.config.read_bytes())
    assert user(find_login(REGISTRY)) == "me"


def test_no_representation_shows_a_secret(home: Home) -> None:
    home.docker(
        auths={REGISTRY: {**entry("me", "hunter2"), "identitytoken": "hunter2"}},
    )
    assert "hunter2" not in repr(find_login(REGISTRY))


def test_a_named_source_without_a_login_for_the_registry_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    write(file, auths={f"{REGISTRY}:5000": entry("me", "secret")})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "{}")
    assert find_login(REGISTRY).problems == (
        f"{file} has no login for {REGISTRY}",
        f"DOCKER_AUTH_CONFIG has no login for {REGISTRY}",
    )


def test_a_file_in_the_place_of_dockers_folder_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.docker(auths=auths(REGISTRY="me"))
    monkeypatch.setenv("DOCKER_CONFIG", str(home.config))
    found = find_login(REGISTRY)
    assert found.credentials is None
    assert found.problems == (f"DOCKER_CONFIG names {home.config}, which is not a directory",)
