"""Logging in: who gets to see a password or a token, and when another login is searched."""

from __future__ import annotations

import base64
import json
import re
import socket
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.utils import get_netrc_auth
from responses import RequestsMock

from conftest import set_home
from docker_charon.errors import AuthenticationError, ConnectionFailed, RegistryError
from docker_charon.registry.access import Access
from docker_charon.registry.auth import Login
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.credentials import Credentials, FoundLogin, GivenLogin, Keychain
from docker_charon.registry.http import HTTPSession

HOST = "registry.example"
URL = f"https://{HOST}/v2/"
REALM = "https://auth.example/token"
STORAGE = "https://storage.example/object"
PULL = "repository:team/app:pull"
PUSH = "repository:team/app:pull,push"
PASSWORD = "correct horse"
BASIC = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
Reply = tuple[int, dict[str, str], str]

pytestmark = pytest.mark.usefixtures("_one_try")


class Site:
    """A registry that takes what its token service has given out, and nothing else."""

    def __init__(self, web: RequestsMock) -> None:
        self.web = web
        self.now = 1000.0
        self.challenge = f'Bearer realm="{REALM}",service="{HOST}"'
        self.accepts: set[str] = set()
        self.token_answer: dict[str, Any] = {"token": "TOKEN"}
        self.web.add_callback("GET", re.compile(re.escape(URL)), self._registry)
        self.web.add_callback("GET", re.compile(re.escape(REALM)), self._token_service)

    def _registry(self, request: requests.PreparedRequest) -> Reply:
        if request.headers.get("Authorization") in self.accepts:
            return 200, {}, "{}"
        return 401, {"WWW-Authenticate": self.challenge}, "{}"

    def _token_service(self, request: requests.PreparedRequest) -> Reply:
        token = f"secret-{len(self.to(REALM))}"
        self.accepts.add(f"Bearer {token}")
        return 200, {}, json.dumps(self.token_answer).replace("TOKEN", token)

    def to(self, address: str) -> list[requests.PreparedRequest]:
        """Return the requests to ``address`` so far."""
        requests = (call.request for call in self.web.calls)
        return [request for request in requests if (request.url or "").startswith(address)]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with RequestsMock(assert_all_requests_are_fired=False) as web:
        site = Site(web)
        clock = SimpleNamespace(monotonic=lambda: site.now)
        monkeypatch.setattr("docker_charon.registry.auth.time", clock)
        yield site


@pytest.fixture
def session() -> Iterator[HTTPSession]:
    with HTTPSession(URL, 1) as session:
        yield session


@pytest.fixture
def login(session: HTTPSession) -> Login:
    return Login(session, URL, HOST, GivenLogin(FoundLogin(Credentials("user", PASSWORD))))


NOBODY = GivenLogin(FoundLogin())


class Helper:
    """Has a password after the other, each time that it is asked, and counts the questions."""

    def __init__(self, *passwords: str) -> None:
        self.passwords = list(passwords)
        self.asked: list[str | None] = []
        self.found: FoundLogin | None = None

    def find(self, repository: str | None = None) -> FoundLogin:
        if self.found is None:
            self.asked.append(repository)
            password = self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0]
            self.found = FoundLogin(Credentials("user", password), "docker-credential-fake")
        return self.found

    def forget(self) -> None:
        self.found = None


def ask(session: HTTPSession, login: Login, *scopes: str) -> int:
    return session.get(f"{URL}x", auth=login.scoped(*scopes)).status_code


def assert_tells_no_secret(error: BaseException) -> None:
    told = "".join(traceback.format_exception(error))
    assert PASSWORD not in told
    assert BASIC.removeprefix("Basic ") not in told
    assert "\n" not in str(error)


def test_nothing_is_sent_before_it_is_asked_for(
    site: Site, session: HTTPSession, login: Login
) -> None:
    site.challenge = "Negotiate"
    assert ask(session, login, PULL) == 401
    assert not [r for r in site.to("https://") if "Authorization" in r.headers]
    assert len(site.to(URL)) == 1


def test_basic_credentials_go_to_the_registrys_origin_only(
    site: Site, session: HTTPSession, login: Login
) -> None:
    site.challenge, site.accepts = 'Basic realm="r"', {BASIC}
    assert ask(session, login) == 200
    for address in (STORAGE, f"http://{HOST}/v2/", f"https://{HOST}:444/v2/"):
        site.web.get(address, status=401, headers={"WWW-Authenticate": site.challenge})
        assert session.get(address, auth=login.scoped()).status_code == 401
    assert [r.url for r in site.to("http") if "Authorization" in r.headers] == [f"{URL}x"]


def test_a_storage_hosts_own_challenge_is_not_answered(session: HTTPSession, login: Login) -> None:
    with RequestsMock() as web:
        web.get(f"{URL}x", status=307, headers={"Location": STORAGE})
        web.get(STORAGE, status=401, headers={"WWW-Authenticate": 'Basic realm="storage"'})
        assert ask(session, login, PULL) == 401
        assert len(web.calls) == 2
        assert not [call for call in web.calls if "Authorization" in call.request.headers]


def test_a_token_is_fetched_once_for_each_set_of_scopes(
    site: Site, session: HTTPSession, login: Login
) -> None:
    for scopes in ((PULL,), (PULL,), (PUSH, PULL), (PULL,), (PUSH, PULL)):
        ask(session, login, *scopes)
    queries = [parse_qs(urlsplit(r.url or "").query) for r in site.to(REALM)]
    assert queries == [
        {"service": [HOST], "scope": [PULL]},
        {"service": [HOST], "scope": [PUSH, PULL]},
    ]


def test_workers_share_one_token(site: Site, session: HTTPSession, login: Login) -> None:
    assert ask(session, login) == 401  # the first request, before there are workers
    with ThreadPoolExecutor(8) as workers:
        statuses = set(workers.map(lambda _: ask(session, login, PULL), range(32)))
    assert statuses == {200}
    assert len(site.to(REALM)) == 1


def test_a_realm_keeps_its_own_query(site: Site, session: HTTPSession, login: Login) -> None:
    site.challenge = f'Bearer realm="{REALM}?account=a%2Bb"'
    assert ask(session, login, PULL) == 200
    assert parse_qs(urlsplit(site.to(REALM)[0].url or "").query) == {
        "account": ["a+b"],
        "scope": [PULL],
    }


@pytest.mark.parametrize("members", [{"token": "TOKEN"}, {"access_token": "TOKEN", "token": ""}])
@pytest.mark.parametrize(
    ("lifetime", "used_for"),
    [
        (None, 48),
        (300, 240),
        (300.0, 240),
        (10, 8),
        (0, 48),
        (-1, 48),
        ("300", 48),
        (10**30, 2880),
        (float("inf"), 2880),
        (float("nan"), 48),
    ],
)
def test_a_token_is_used_for_most_of_its_life(
    site: Site,
    session: HTTPSession,
    login: Login,
    members: dict[str, str],
    lifetime: object,
    used_for: float,
) -> None:
    more = {} if lifetime is None else {"expires_in": lifetime}
    site.token_answer = {**members, **more}
    for elapsed, tokens in ((0, 1), (used_for - 1, 1), (used_for + 1, 2)):
        site.now = 1000.0 + elapsed
        assert ask(session, login, PULL) == 200
        assert len(site.to(REALM)) == tokens
    assert len(site.to(URL)) == 4  # only the first one was without a token


def test_a_token_that_was_revoked_is_fetched_again(
    site: Site, session: HTTPSession, login: Login
) -> None:
    assert ask(session, login, PULL) == 200
    site.accepts.clear()
    assert ask(session, login, PULL) == 200
    assert len(site.to(REALM)) == 2
    assert len(site.to(URL)) == 4


def test_a_401_is_answered_once(site: Site, session: HTTPSession, login: Login) -> None:
    site.token_answer = {"token": "useless"}
    assert ask(session, login, PULL) == 401
    assert (len(site.to(REALM)), len(site.to(URL))) == (1, 2)
    assert ask(session, login, PULL) == 401
    # One token to sign it with, one after the 401; as it is the same, there is no second try.
    assert (len(site.to(REALM)), len(site.to(URL))) == (3, 3)


def test_the_password_goes_to_the_token_service_only(
    site: Site, session: HTTPSession, login: Login
) -> None:
    site.challenge = f'Basic realm="r", {site.challenge}'
    assert ask(session, login, PULL) == 200
    assert [r.url for r in site.to("http") if r.headers.get("Authorization") == BASIC] == [
        r.url for r in site.to(REALM)
    ]
    assert PASSWORD not in str([r.url for r in site.to("http")])


def test_a_token_service_that_moves_takes_no_password_along(
    session: HTTPSession, login: Login
) -> None:
    with RequestsMock() as web:
        web.get(f"{URL}x", status=401, headers={"WWW-Authenticate": f"Bearer realm={REALM}"})
        web.get(REALM, status=307, headers={"Location": "https://evil.example/token"})
        moved = web.get("https://evil.example/token", json={"token": "t"})
        ask(session, login, PULL)
        assert "Authorization" not in moved.calls[0].request.headers


@pytest.mark.parametrize("realm", ["http://auth.example/token", f"http://{HOST}/token"])
def test_a_plain_http_realm_of_an_https_registry_is_refused(
    site: Site, session: HTTPSession, login: Login, realm: str
) -> None:
    site.challenge = f'Bearer realm="{realm}"'
    with pytest.raises(AuthenticationError, match=r"over plain HTTP, to .*: refused"):
        ask(session, login, PULL)
    assert not site.to("http://")


@pytest.mark.parametrize(
    "realm",
    [
        *("https://auth.example:99999/t", "https://auth.example:-1/t", "https://me:secret@h:x/t"),
        *("https://[::1/t", "https://", "https:///t", "https://.example/t"),
    ],
)
def test_a_realm_at_an_impossible_address_is_an_error_of_the_registry(
    site: Site, session: HTTPSession, login: Login, realm: str
) -> None:
    site.challenge = f'Bearer realm="{realm}"'
    with pytest.raises(ConnectionFailed, match="address that is not valid") as raised:
        ask(session, login, PULL)
    assert raised.value.permanent
    assert "secret" not in str(raised.value)


def test_a_token_service_that_cannot_be_reached_is_to_be_set_right_at_the_registry(
    site: Site, session: HTTPSession, login: Login
) -> None:
    lost = "https://internal.example/token"
    site.challenge = f'Bearer realm="{lost}",service="{HOST}"'
    site.web.get(
        re.compile(re.escape(lost)), body=requests.ConnectionError(socket.gaierror(-2, "?"))
    )
    with pytest.raises(ConnectionFailed) as caught:
        ask(session, login, PULL)
    assert "the registry names this address for logins" in caught.value.hint


def test_names_that_a_token_service_does_not_take_can_be_mapped(
    site: Site, session: HTTPSession, login: Login
) -> None:
    strict = "https://strict.example/token"
    site.challenge = f'Bearer realm="{strict}",service="{HOST}"'
    site.web.get(
        re.compile(re.escape(strict)), status=400, json={"details": "invalid repository name"}
    )
    with pytest.raises(RegistryError) as caught:
        ask(session, login, PUSH)
    assert "400 invalid repository name" in caught.value.message
    assert "push under another name (repository_map=)" in caught.value.hint


def test_a_plain_http_registry_may_have_a_plain_http_realm(session: HTTPSession) -> None:
    realm = "http://auth.example/token"
    with RequestsMock() as web:
        web.get(
            "http://local/v2/", status=401, headers={"WWW-Authenticate": f"Bearer realm={realm}"}
        )
        web.get(realm, json={"token": "t"})
        login = Login(session, "http://local/v2/", "local", NOBODY)
        session.get("http://local/v2/", auth=login.scoped(PULL))
        assert "Authorization" not in web.calls[1].request.headers
        assert web.calls[2].request.headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize("realm", ["", "/token", "ftp://auth.example/", "javascript:alert(1)"])
def test_a_challenge_without_a_token_service_is_refused(
    site: Site, session: HTTPSession, login: Login, realm: str
) -> None:
    site.challenge = f'Bearer realm="{realm}"'
    with pytest.raises(RegistryError, match="does not name the token service"):
        ask(session, login, PULL)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"status": 401}, AuthenticationError, "401.*; check the username and the password"),
        ({"status": 403}, AuthenticationError, "403.*; check the username and the password"),
        (
            {"status": 401, "json": {"details": "incorrect username or password"}},
            AuthenticationError,
            "answered 401 incorrect username or password",
        ),
        (
            {"status": 403, "json": {"errors": [{"code": "DENIED", "message": "blocked"}]}},
            AuthenticationError,
            "answered 403 DENIED blocked",
        ),
        (
            {"status": 400, "json": {"error": "invalid_grant", "error_description": "it is old"}},
            RegistryError,
            "answered 400 invalid_grant it is old",
        ),
        ({"status": 503, "body": "in maintenance"}, RegistryError, "answered 503 in maintenance"),
        ({"status": 500}, RegistryError, "answered 500"),
        ({"status": 404, "body": "<html>"}, RegistryError, "answered 404"),
        ({"body": "<html>", "content_type": "text/html"}, RegistryError, "without a token"),
        ({"body": '{"token": "t"}' + " " * 1024 * 1024}, RegistryError, "the token service of"),
        ({"body": "[]"}, RegistryError, "without a token"),
        ({"body": "{}"}, RegistryError, "without a token"),
        ({"body": '{"token": null, "access_token": 5}'}, RegistryError, "without a token"),
        ({"body": '{"token": "a\\r\\nX-Header: b"}'}, RegistryError, "without a token"),
        ({"body": "[" * 100_000}, RegistryError, "without a token"),
        (
            {"body": requests.ConnectionError("gone")},
            ConnectionFailed,
            f"the connection to {REALM}",
        ),
    ],
)
def test_a_token_service_that_gives_no_token_is_told(
    session: HTTPSession, login: Login, answer: dict[str, Any], kind: type, words: str
) -> None:
    with RequestsMock() as web:
        web.get(f"{URL}x", status=401, headers={"WWW-Authenticate": f"Bearer realm={REALM}"})
        web.get(REALM, **answer)
        with pytest.raises(kind, match=words) as caught:
            ask(session, login, PULL)
        assert len(web.calls) == 2
    assert caught.type is kind
    assert_tells_no_secret(caught.value)


def test_no_object_shows_a_secret(site: Site) -> None:
    with RegistryClient(HOST, Access(username="user", password=PASSWORD)) as client:
        client.tags("team/app")
        registry_session = client._session
        login = registry_session.login
        shown = repr(
            [
                client,
                vars(client),
                registry_session,
                vars(registry_session),
                login,
                vars(login),
                login.scoped(PULL),
            ]
        )
    assert site.accepts == {"Bearer secret-0"}
    assert "secret-" not in shown
    assert PASSWORD not in shown
    assert BASIC not in shown


def test_a_refused_login_tells_no_secret(site: Site) -> None:
    site.token_answer = {"token": "useless"}
    with RegistryClient(HOST, Access(username="user", password=PASSWORD)) as client:
        with pytest.raises(AuthenticationError, match="401") as caught:
            client.get_manifest("team/app", "1.0")
        assert_tells_no_secret(caught.value)


def test_netrc_is_not_used(
    site: Site, session: HTTPSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETRC", raising=False)
    set_home(monkeypatch, tmp_path)
    hosts = (HOST, "auth.example", "storage.example")
    netrc = tmp_path / ".netrc"
    netrc.write_text("".join(f"machine {host} login user password pw\n" for host in hosts))
    netrc.chmod(0o600)
    assert get_netrc_auth(URL) == ("user", "pw")  # it would be, by itself

    anonymous = Login(session, URL, HOST, NOBODY)
    assert ask(session, anonymous, PULL) == 200
    site.web.get(f"http://{HOST}/v2/moved", status=307, headers={"Location": STORAGE})
    site.web.get(STORAGE)
    assert session.get(f"http://{HOST}/v2/moved", auth=anonymous.scoped(PULL)).ok
    sent = [r.headers.get("Authorization", "") for r in site.to("http")]
    assert set(sent) == {"", *site.accepts}


@pytest.mark.parametrize("challenge", [None, "Basic realm=x"])
def test_a_registry_token_is_sent_as_it_is(
    site: Site, session: HTTPSession, challenge: str | None
) -> None:
    site.challenge = challenge or site.challenge
    site.accepts = {"Bearer abc"}
    found = FoundLogin(Credentials("<token>", "", registry_token="abc"))
    login = Login(session, URL, HOST, GivenLogin(found))
    assert ask(session, login, PULL) == 200
    assert not site.to("https://auth.example")


def test_the_login_is_looked_for_once_for_each_repository(site: Site, session: HTTPSession) -> None:
    asked: list[str | None] = []

    class Asked(GivenLogin):
        def find(self, repository: str | None = None) -> FoundLogin:
            asked.append(repository)
            return self.login

    login = Login(session, URL, HOST, Asked(FoundLogin()))
    for scope in (
        PULL,
        PULL.replace("pull", "pull,push"),
        "repository:a/b:pull",
        "registry:catalog:*",
    ):
        ask(session, login, scope)
    assert asked == [PULL.split(":")[1], "a/b", None]


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"user:{password}".encode()).decode()


@pytest.mark.parametrize("status", [401, 403])
def test_a_helper_is_asked_again_when_its_password_has_expired(
    session: HTTPSession, status: int
) -> None:
    helper = Helper("first", "second")
    login = Login(session, URL, HOST, helper)
    good = "first"

    def registry(request: requests.PreparedRequest) -> Reply:
        sent = request.headers.get("Authorization")
        if sent == basic(good):
            return 200, {}, "{}"
        return (401 if sent is None else status), {"WWW-Authenticate": "Basic realm=x"}, "{}"

    with RequestsMock() as web:
        web.add_callback("GET", f"{URL}x", registry)
        assert ask(session, login, PULL) == 200
        good = "second"
        assert ask(session, login, PULL) == 200
        assert ask(session, login, PULL) == 200
    assert len(helper.asked) == 2


@pytest.mark.parametrize("status", [400, 401])
def test_the_token_service_gets_the_password_that_a_helper_has_now(
    site: Site, session: HTTPSession, status: int
) -> None:
    helper = Helper("first", "second")
    login = Login(session, URL, HOST, helper)
    good = "first"

    def token_service(request: requests.PreparedRequest) -> Reply:
        if request.headers.get("Authorization") == basic(good):
            return site._token_service(request)
        return status, {}, "{}"

    site.web.remove("GET", re.compile(re.escape(REALM)))
    site.web.add_callback("GET", re.compile(re.escape(REALM)), token_service)
    assert ask(session, login, PULL) == 200
    good = "second"
    assert ask(session, login, "repository:other/app:pull") == 200
    assert len(helper.asked) == 2


def test_helpers_are_asked_once_a_minute_at_most_for_a_login_that_is_refused(
    site: Site, session: HTTPSession
) -> None:
    helper = Helper(*"abcdef")
    login = Login(session, URL, HOST, helper)
    site.challenge = "Basic realm=x"
    for _ in range(3):
        assert ask(session, login, PULL) == 401
    assert len(helper.asked) == 2
    site.now += 61
    assert ask(session, login, PULL) == 401
    assert len(helper.asked) == 3


class FailingHelper(Helper):
    """Has its password once, and then only a problem, until it is ``mended``."""

    is_mended = False

    def find(self, repository: str | None = None) -> FoundLogin:
        if self.asked and self.found is None and not self.is_mended:
            return FoundLogin(problems=("docker-credential-fake failed",))
        return super().find(repository)


def test_a_login_stays_if_the_helper_fails_when_one_request_is_refused(
    site: Site, session: HTTPSession
) -> None:
    helper = FailingHelper("only")
    login = Login(session, URL, HOST, helper)
    site.challenge, site.accepts = "Basic realm=x", {basic("only")}
    assert ask(session, login, PULL) == 200
    site.accepts = set()
    assert ask(session, login, PULL) == 401
    assert login.found([PULL]) == FoundLogin(
        Credentials("user", "only"), "docker-credential-fake", ("docker-credential-fake failed",)
    )
    site.accepts = {basic("only")}
    assert ask(session, login, PULL) == 200
    helper.is_mended = True
    assert ask(session, login, "repository:other/app:pull") == 200


def test_no_login_is_not_another_login(site: Site, session: HTTPSession) -> None:
    login = Login(session, URL, HOST, NOBODY)
    assert not login._find_another([PULL], Credentials("user", "of another thread"))


def test_a_403_to_a_login_is_not_told_as_one_without_a_login(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = FailingHelper("only")
    monkeypatch.setattr(Keychain, "find", lambda _, repository: helper.find(repository))
    monkeypatch.setattr(Keychain, "forget", lambda _: helper.forget())
    site.challenge = "Basic realm=x"

    def forbidden(request: requests.PreparedRequest) -> Reply:
        status = 401 if "Authorization" not in request.headers else 403
        return status, {"WWW-Authenticate": site.challenge}, "{}"

    site.web.remove("GET", re.compile(re.escape(URL)))
    site.web.add_callback("GET", re.compile(re.escape(URL)), forbidden)
    with RegistryClient(HOST) as client:
        for _ in range(2):  # the first request is sent without a login at first
            with pytest.raises(AuthenticationError) as caught:
                client.get_manifest("team/app", "1")
    assert "without a login" not in str(caught.value)
    assert "docker-credential-fake failed" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_service_that_gives_nobody_a_token_is_told_as_an_image_without_access(
    site: Site, session: HTTPSession, login: Login, status: int
) -> None:
    site.web.replace("GET", re.compile(re.escape(REALM)), status=status, json={})
    message = r"wants a login for team/app \(or it does not exist\); give a username"
    with pytest.raises(AuthenticationError, match=message):
        ask(session, Login(session, URL, HOST, NOBODY), PULL)
    message = rf"refuses the login for team/app \(its token service at .* answered {status}"
    with pytest.raises(AuthenticationError, match=message):
        ask(session, login, PULL)


@pytest.mark.parametrize(
    ("scope", "hint"), [(PULL, "check the username and the password"), (PUSH, "repository_map=")]
)
def test_a_bad_request_to_the_token_service_may_be_about_the_login_or_the_new_name(
    site: Site, session: HTTPSession, login: Login, scope: str, hint: str
) -> None:
    site.web.replace("GET", re.compile(re.escape(REALM)), status=400, json={})
    with pytest.raises(RegistryError, match=f"answered 400; .*{hint}"):
        ask(session, login, scope)


IDENTITY = Credentials("<token>", "", identity_token="identity-of-this-user")


def test_an_identity_token_that_has_expired_is_not_told_as_a_name_that_is_refused(
    site: Site, session: HTTPSession
) -> None:
    login = Login(session, URL, HOST, GivenLogin(FoundLogin(IDENTITY)))
    site.web.post(REALM, status=400, json={"error": "invalid_grant"})
    with pytest.raises(RegistryError, match="check the username and the password") as caught:
        ask(session, login, PUSH)
    assert "repository_map=" not in caught.value.hint


def test_a_token_service_that_repeats_the_token_that_was_sent_tells_no_secret(
    site: Site, session: HTTPSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = Login(session, URL, HOST, GivenLogin(FoundLogin(IDENTITY)))
    words = {"error": "invalid_grant", "error_description": f"bad {IDENTITY.identity_token}"}
    site.web.post(REALM, status=400, json=words)
    # Another thread has found another login in the meantime.
    monkeypatch.setattr(login, "found", lambda _: FoundLogin(Credentials("user", PASSWORD)))
    with pytest.raises(RegistryError, match="invalid_grant") as caught:
        ask(session, login, PULL)
    assert "identity-of-this-user" not in str(caught.value)


@pytest.mark.parametrize("bug", [ValueError("a bug"), TypeError("a bug")], ids=["value", "type"])
def test_a_bug_in_the_login_is_not_told_as_a_broken_connection(
    site: Site, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def find(*_: object) -> None:
        raise bug

    monkeypatch.setattr(Keychain, "find", find)
    with RegistryClient(HOST) as client, pytest.raises(type(bug), match="a bug"):
        client.tags("team/app")
