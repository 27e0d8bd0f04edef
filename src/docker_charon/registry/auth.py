"""Logging in: from a registry's challenge to an ``Authorization`` header.

Docker registry token authentication; RFC 9110, section 11.6.1, for the challenge.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import requests

from docker_charon.errors import AuthenticationError, RegistryError
from docker_charon.messages import argument
from docker_charon.registry.challenge import Challenge, choose, other_scopes
from docker_charon.registry.credentials import Credentials, FoundLogin, Logins
from docker_charon.registry.error_body import first_error
from docker_charon.registry.errors import NETWORK_ERRORS, connection_error, login_hint
from docker_charon.registry.http import HTTPSession, origin
from docker_charon.registry.response import read_document
from docker_charon.registry.retry_after import retry_after
from docker_charon.registry.secrets import sent_secrets, without_login
from docker_charon.value import dataclass

_LONGEST_ANSWER = 1024 * 1024  # bytes of a token service's answer
_DEFAULT_LIFETIME = 60  # seconds, where the token service names none
_LONGEST_LIFETIME = 3600
_USED = 0.8  # the part of its lifetime for which a token is used

_REFUSALS = (400, 401)
"""How token services answer to a password that has expired (RFC 6749, section 5.2, has 400)."""
_EXPIRED = "invalid_grant"
"""The code for an identity token that has expired (RFC 6749, section 5.2)."""
_SEARCH_PAUSE = 60.0
"""Seconds between two searches for a login in the place of one that was refused."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """An ``Authorization`` header, and the `time.monotonic` at which it expires."""

    header: str = field(repr=False)
    expires: float


class Login:
    """The login of one user to one registry, shared by all requests.

    ``logins`` are searched for the login to a repository, or to the registry as a whole, when the
    registry first wants one there. They are searched again when it refuses a login: many helpers
    give passwords that are good for an hour. A token is fetched once for each set of scopes.
    Credentials go to the registry's own origin (Basic) or to the token service that it names
    (Bearer), and nowhere else.
    """

    def __init__(
        self,
        session: HTTPSession,
        url: str,
        registry: str,
        logins: Logins,
    ) -> None:
        self._session = session
        self._origin = origin(url)
        self._registry = registry
        self._logins = logins
        self._next_search = -math.inf
        self._found: dict[str | None, FoundLogin] = {}
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Grant] = {}
        self._lock = threading.RLock()
        self._fetching: dict[tuple[str, ...], threading.Lock] = {}

    def scoped(self, *scopes: str) -> ScopedAuth:
        """Return the authentication of a request that needs ``scopes``, the main one first."""
        return ScopedAuth(self, scopes)

    def covers(self, url: str) -> bool:
        """Whether ``url`` is the registry's own, which alone may get an ``Authorization``."""
        return origin(url) == self._origin

    def found(self, scopes: Sequence[str] = ()) -> FoundLogin | None:
        """Return the login for a request with ``scopes``, if the registry has asked for one."""
        return self._found.get(_repository(scopes))

    def _find_login(self, scopes: Sequence[str]) -> FoundLogin:
        repository = _repository(scopes)
        with self._lock:
            if repository not in self._found:
                self._found[repository] = self._logins.find(repository)
            return self._found[repository]

    def _find_another(self, scopes: Sequence[str], refused: Credentials) -> bool:
        """Search for a login again, because ``refused`` may have expired.

        Return whether there is another one now. There is at most one search in `_SEARCH_PAUSE`. All
        logins stay as they are if it finds none: a registry may refuse one request only, and a
        helper may fail once.
        """
        repository = _repository(scopes)
        with self._lock:
            login = self._find_login(scopes)
            if login.credentials != refused:
                return login.credentials is not None  # another request has searched
            if time.monotonic() < self._next_search:
                return False
            self._next_search = time.monotonic() + _SEARCH_PAUSE
            self._logins.forget()
            other = self._logins.find(repository)
            if other.credentials is None:
                self._logins.forget()  # for the next repository, it may be found again
                self._found[repository] = replace(login, problems=other.problems)
                return False
            self._found = {repository: other}
            return other.credentials != refused

    def needs_scopes(self, response: requests.Response) -> bool:
        """Whether a 401 wants a token, which only requests with scopes have.

        Such an answer to a request without scopes says nothing about the login.
        """
        challenge = choose(response)
        return challenge is not None and challenge.scheme == "bearer"

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """Return the ``Authorization`` of a request, or ``None`` before the first challenge."""
        challenge = self._challenge
        if challenge is None or (challenge.scheme == "bearer" and not scopes):
            return None
        header = self._header_of_login(challenge, scopes)
        if header is None and challenge.scheme == "bearer":
            return self._token(challenge, scopes).header
        return header

    def _header_of_login(self, challenge: Challenge, scopes: tuple[str, ...]) -> str | None:
        """Return the ``Authorization`` that needs no token service, if the login has one."""
        credentials = self._find_login(scopes).credentials
        if credentials is None:
            return None
        if credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        return credentials.basic if challenge.scheme == "basic" and credentials.password else None

    def challenged(
        self, response: requests.Response, scopes: tuple[str, ...], used: str | None
    ) -> _Grant | None:
        """Return the grant to answer a 401 with; ``None`` if that would be ``used`` again.

        A new token belongs to this request alone until it has been used (see `keep`): if it is good
        for a few requests only, the others would use it up.
        """
        with self._lock:
            self._challenge = challenge = choose(response) or self._challenge
            for key, old in list(self._tokens.items()):
                if old.header == used:
                    del self._tokens[key]
        header = None
        if challenge is not None and (scopes or challenge.scheme == "basic"):
            header = self._header_of_login(challenge, scopes)
            if header is not None and header == used:
                credentials = self._find_login(scopes).credentials
                if credentials is not None and self._find_another(scopes, credentials):
                    header = self._header_of_login(challenge, scopes)
            if header is None and challenge.scheme == "bearer":
                grant = self._answer_with_token(challenge, scopes, used)
                return grant if grant.header != used else None
        return _Grant(header, math.inf) if header not in (None, used) else None

    def _answer_with_token(
        self, challenge: Challenge, scopes: tuple[str, ...], used: str | None
    ) -> _Grant:
        """Fetch a token, also for scopes that the registry names when it refuses a token."""
        if _is_token(used) and (others := other_scopes(challenge, scopes)):
            # Some registries name scopes that their token service refuses.
            with contextlib.suppress(RegistryError):
                return self._fetch_token(challenge, (*scopes, *others))
        return self._fetch_token(challenge, scopes)

    def keep(self, scopes: tuple[str, ...], grant: _Grant) -> None:
        """Keep a token, which one request has used, for the requests after it."""
        with self._lock:
            self._tokens[scopes] = grant

    def _token(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Grant:
        """Return a token for ``scopes``; threads that want the same one wait for one fetch."""
        with self._lock:
            fetching = self._fetching.setdefault(scopes, threading.Lock())
        with fetching:
            token = self._tokens.get(scopes)
            if token is None or token.expires < time.monotonic():
                token = self._tokens[scopes] = self._fetch_token(challenge, scopes)
            return token

    def _fetch_token(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Grant:
        realm = challenge.parameters.get("realm", "")
        service = without_login(realm.partition("?")[0])
        scheme = realm.partition("://")[0].lower()
        if scheme not in ("https", "http"):
            raise RegistryError(f"{self._registry} does not name the token service to log in at")
        if self._origin[0] == "https" and scheme != "https":
            raise AuthenticationError(
                f"{self._registry} wants a login sent over plain HTTP, to {service}: refused"
            )
        credentials = self._find_login(scopes).credentials
        try:
            with self._ask(
                realm, challenge.parameters.get("service"), scopes, credentials
            ) as response:
                content = read_document(response, _LONGEST_ANSWER)
        except NETWORK_ERRORS as error:
            no_connection = connection_error(
                error,
                service,
                secure=True,
                prefix=f"cannot log in to {self._registry}: ",
                proxy=self._session.proxy_of(realm),
            )
            if no_connection.unreachable:
                no_connection.hint = (
                    "the registry names this address for logins: if it is not the right one, "
                    "change its external address in the configuration of the registry"
                )
            raise no_connection from error
        status, who = response.status_code, f"the token service of {self._registry} at {service}"
        if status == 200 and len(content) <= _LONGEST_ANSWER:
            return _granted(content, who)
        is_refused = status in _REFUSALS and credentials is not None
        if is_refused and credentials is not None and self._find_another(scopes, credentials):
            return self._fetch_token(challenge, scopes)
        login = self.found(scopes)
        code, words = first_error(content, _secrets(response, credentials))
        said = " ".join(part for part in (str(status), code, words) if part)
        if status in (401, 403):
            has_credentials = login is not None and login.credentials is not None
            repository = _repository(scopes)
            subject = f" for {repository}" if repository else ""
            problem = f"refuses the login{subject} (its token service at {service} answered {said})"
            if not has_credentials:
                problem = f"wants a login{subject}" + (" (or it does not exist)" if subject else "")
            refusal = AuthenticationError(
                f"{self._registry} {problem}", hint=login_hint(login), status=status
            )
            refusal.login_refused = status == 401 and has_credentials
            raise refusal
        hint = login_hint(login) if is_refused else ""
        failure = RegistryError(f"{who} answered {said}", hint=hint, status=status)
        is_old = is_refused and code == _EXPIRED
        if status == 400 and not is_old and any(scope.endswith("push") for scope in scopes):
            rename = argument("--map", "repository_map=")
            failure.hint = (
                "it may not take names of so many parts, or with such signs: push under another "
                f"name ({rename})"
            )
        failure.retry_after = retry_after(response.headers)
        raise failure

    def _ask(
        self,
        realm: str,
        service: str | None,
        scopes: tuple[str, ...],
        credentials: Credentials | None,
    ) -> requests.Response:
        """Ask the token service; an identity token is a refresh token (RFC 6749, section 6)."""
        parameters = {"service": service} if service is not None else {}
        if credentials and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": "docker-charon",
                "scope": " ".join(scopes),
                **parameters,
            }
            # A redirect would send the token to whatever host it leads to.
            return self._session.post(
                realm, data=form, auth=_as_it_is, stream=True, allow_redirects=False
            )
        query = [*parameters.items(), *(("scope", scope) for scope in scopes)]
        headers = {"Authorization": credentials.basic} if credentials else {}
        return self._session.get(realm, params=query, headers=headers, auth=_as_it_is, stream=True)


class ScopedAuth(requests.auth.AuthBase):
    """Adds ``Authorization`` to one request, and answers one 401 of the registry itself.

    A second 401 is answered if it refuses the token because another scope is needed. ECR answers
    403 to a password that has expired, so that is answered if there is another password now.
    """

    def __init__(self, login: Login, scopes: tuple[str, ...]) -> None:
        self._login = login
        self._scopes = scopes

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add ``Authorization`` to ``request``, if it goes to the registry itself."""
        if self._login.covers(request.url or ""):
            header = self._login.header(self._scopes)
            if header is not None:
                request.headers["Authorization"] = header
            request.register_hook("response", self._answer)  # type: ignore[no-untyped-call]
        return request

    def _answer(self, response: requests.Response, **options: Any) -> requests.Response:
        used = response.request.headers.get("Authorization")
        answer = self._answer_once(response, **options)
        if answer is response or _is_token(used) or not _needs_other_scopes(answer, self._scopes):
            return answer
        return self._answer_once(answer, **options)

    def _answer_once(self, response: requests.Response, **options: Any) -> requests.Response:
        # The hook is also called after a redirect. Another host's challenge is not answered.
        used = response.request.headers.get("Authorization")
        is_refused = response.status_code == 401 or (
            response.status_code == 403 and used is not None and not _is_token(used)
        )
        if not is_refused or not self._login.covers(response.url):
            return response
        try:
            grant = self._login.challenged(response, self._scopes, used)
            if grant is not None:
                with contextlib.suppress(requests.exceptions.ContentDecodingError):
                    read_document(response, _LONGEST_ANSWER)
        except BaseException:
            response.close()
            raise
        if grant is None:
            return response
        response.close()
        again = response.request.copy()
        again.headers["Authorization"] = grant.header
        answer: requests.Response = response.connection.send(again, **options)
        answer.history += [*response.history, response]
        answer.request = again
        if answer.status_code != 401:
            self._login.keep(self._scopes, grant)
        return answer


def _is_token(authorization: str | None) -> bool:
    """Whether an ``Authorization`` is a token."""
    return authorization is not None and authorization.startswith("Bearer ")


def _needs_other_scopes(response: requests.Response, scopes: tuple[str, ...]) -> bool:
    """Whether an answer refuses a token, and names scopes that the token was not asked for."""
    challenge = choose(response) if response.status_code == 401 else None
    return challenge is not None and bool(scopes and other_scopes(challenge, scopes))


def _repository(scopes: Sequence[str]) -> str | None:
    """Return the repository of the main scope, ``repository:NAME:ACTIONS``; others have none."""
    kind, _, rest = (scopes[0] if scopes else "").partition(":")
    return rest.rpartition(":")[0] if kind == "repository" else None


def _secrets(response: requests.Response, credentials: Credentials | None) -> list[str]:
    """Return what a token service may repeat of the request for a token with ``credentials``."""
    token = credentials.identity_token if credentials is not None else None
    return [*sent_secrets(response), *([token] if token else [])]


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the headers as they are: without this, `requests` reads ``~/.netrc``."""
    return request


def _granted(content: bytes, service: str) -> _Grant:
    try:
        answer = json.loads(content)
        token = answer.get("token") or answer.get("access_token")
        lifetime = answer.get("expires_in")
    except (ValueError, AttributeError, RecursionError):
        token = lifetime = None
    # A token has to fit into a header line.
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        raise RegistryError(f"{service} answered without a token")
    if not isinstance(lifetime, (int, float)) or not lifetime > 0:  # NaN is neither
        lifetime = _DEFAULT_LIFETIME
    lifetime = min(lifetime, _LONGEST_LIFETIME)
    return _Grant(f"Bearer {token}", time.monotonic() + lifetime * _USED)
