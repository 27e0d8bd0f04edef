"""A connection to one registry: a request out, an answer of a kind that was expected in."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from docker_charon.errors import (
    AuthenticationError,
    ConnectionFailed,
    DockerCharonError,
    RegistryError,
)
from docker_charon.oci.descriptor import Body
from docker_charon.oci.document import parse_json
from docker_charon.registry.auth import Login
from docker_charon.registry.credentials import (
    DOCKER_HUB,
    DOCKER_HUB_HOSTS,
    Credentials,
    find_credentials,
)
from docker_charon.registry.failure import FAILURES, explain
from docker_charon.registry.http import Session, check_host, origin
from docker_charon.registry.refusal import Asker, refusal

_LONGEST_ANSWER = 64 * 1024  # bytes of an answer that says what went wrong
_MOST_PAGES = 10_000  # of a list, before it is taken for one without an end
_LONGEST_PAGE = 16 * 1024 * 1024  # bytes of one page of a list

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a registry, and as whom.

    ``secure`` is ``False`` for plain HTTP. Without a username and a password, those that Docker or
    Podman know are used. ``cacert`` is a file of certificates to trust besides the usual ones.
    """

    secure: bool = True
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cacert: str | os.PathLike[str] | None = None


class Connection:
    """One registry, as one user sees it; ``connections`` are kept open for as many threads."""

    def __init__(self, registry: str, access: Access, connections: int = 1) -> None:
        check_host(registry)
        username, password, secure = access.username, access.password, access.secure
        if not all(value is None or isinstance(value, str) for value in (username, password)):
            raise TypeError("a username and a password are a str")
        if (username is None) != (password is None):
            raise AuthenticationError(
                f"a login to {registry} takes a username and a password, and one is missing"
            )

        def find() -> Credentials | None:
            if username is not None and password is not None:
                return Credentials(username, password)
            return find_credentials(registry).credentials

        self.registry = registry
        is_docker_hub = registry.lower().removesuffix(":443") in DOCKER_HUB_HOSTS
        self._asker = Asker(registry, secure, is_docker_hub)
        host = DOCKER_HUB if is_docker_hub else registry
        self.url = f"{'https' if secure else 'http'}://{host}/v2/"
        self._session = Session(connections, access.cacert)
        self._login = Login(self._session, self.url, registry, find)

    def close(self) -> None:
        """Close what is open to the registry."""
        self._session.close()

    def knows_a_way(self, refusal: requests.Response) -> bool:
        """Whether a request with scopes may do better than one without, which got a 401."""
        return self._login.knows_a_way(refusal)

    def explain(self, error: Exception) -> ConnectionFailed:
        """Make one line of a failure on the way to this registry."""
        url = getattr(getattr(error, "request", None), "url", None)
        elsewhere = self._elsewhere(url) if isinstance(url, str) else ""
        if not elsewhere:
            return explain(error, self.registry, secure=self._asker.secure)
        failure = explain(error, elsewhere, secure=True)
        what = failure.message
        return ConnectionFailed(
            f"{self.registry} sends us to another host: {what}",
            hint="can that one be reached from here?",
        )

    def _elsewhere(self, url: str) -> str:
        """Return the host of ``url`` if it is not the registry's own; else nothing."""
        try:
            is_own = self._login.covers(url)
        except ValueError:
            return ""
        return "" if is_own else urlsplit(url).netloc.rpartition("@")[2]

    def request(
        self,
        method: str,
        target: str,
        *,
        doing: str,
        scopes: list[str] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        expect: tuple[int, ...] | None = None,
        pages: bool = False,
    ) -> requests.Response:
        """Send one request; ``target`` is a path below ``/v2/``, or a whole URL.

        ``expect`` are the statuses that the caller deals with (``None``: all), ``doing`` is what
        messages call it, and ``pages`` says that HTML may be right.
        """
        url = target if "://" in target else self.url + target
        try:
            response = self._session.request(
                method,
                url,
                params=params,
                headers=headers,
                data=body,  # type: ignore[arg-type]  # requests takes any sized iterable
                auth=self._login.scoped(*(scopes or ())),
                stream=True,
            )
        except FAILURES as error:
            raise self.explain(error) from error
        _log.debug("%s %s: %s", method, url.partition("?")[0], response.status_code)
        try:
            if expect is not None and response.status_code not in expect:
                raise self.refusal(response, doing)
            page = response.headers.get("Content-Type", "").lower().startswith("text/html")
            if page and response.status_code == 200 and not pages:
                raise RegistryError(
                    f"{self.registry} answers with a web page to {doing}: it is not a registry, "
                    "or something before it wants a login"
                )
            if method != "GET":
                self.error_body(response)
        except DockerCharonError:
            response.close()
            raise
        return response

    def pages(
        self,
        path: str,
        *,
        doing: str,
        scopes: list[str],
        expect: tuple[int, ...],
        html: bool = False,
    ) -> Iterator[tuple[requests.Response, Any]]:
        """Yield every page of a list: the answer, and its JSON object where that is 200.

        A page follows another by the answer's ``Link`` (distribution-spec 1.1, "Listing Tags").
        ``html`` says that the caller deals with a web page.
        """
        page: str | None = path
        seen = set()
        while page is not None and page not in seen:
            seen.add(page)
            if len(seen) > _MOST_PAGES:
                raise RegistryError(f"{self.registry} finds no end of {doing}")
            with self.request(
                "GET", page, scopes=scopes, expect=expect, doing=doing, pages=html
            ) as response:
                document = None
                if response.status_code == 200:
                    try:
                        document = parse_json(self.content(response, _LONGEST_PAGE))
                    except ValueError:
                        document = None
                yield response, document if isinstance(document, dict) else None
                next_page = _next_page(response)
                page = self.resolve(response, next_page, doing) if next_page else None

    def content(self, response: requests.Response, limit: int) -> bytes:
        """Return an answer's body; one byte more than ``limit`` tells that there is more."""
        try:
            content: bytes = response.raw.read(limit + 1, decode_content=True)
        except FAILURES as error:
            raise self.explain(error) from error
        return content

    def location(self, response: requests.Response, doing: str) -> str:
        """Return where an upload session goes on, with the state in its query."""
        return self.resolve(response, response.headers.get("Location"), doing)

    def resolve(self, response: requests.Response, link: str | None, doing: str) -> str:
        """Return the URL that a registry's ``link``, which may be relative, stands for."""
        try:
            place = urlsplit(urljoin(response.url, link))
            scheme, host, _ = origin(place.geturl())
        except ValueError:
            link = None
        if not link:
            raise RegistryError(f"{self.registry} names no place for {doing}")
        own = urlsplit(self.url)
        if host == origin(self.url)[1] and (scheme, own.scheme) == ("http", "https"):
            # Behind a proxy that ends the TLS, a registry may not know its own address.
            place = place._replace(scheme=own.scheme, netloc=own.netloc)
        return place.geturl()

    def path(self, repository: str) -> str:
        """Return the repository's name in a request; on Docker Hub, ``python`` has a longer one."""
        if self._asker.is_docker_hub and "/" not in repository:
            return f"library/{repository}"
        return repository

    def pull(self, repository: str) -> str:
        """Return the scope of reading a repository."""
        return f"repository:{self.path(repository)}:pull"

    def push(self, repository: str) -> str:
        """Return the scope of writing to a repository, which a new one may need to be asked for."""
        return f"repository:{self.path(repository)}:pull,push"

    def refusal(self, response: requests.Response, doing: str) -> RegistryError:
        """Make an error of an answer that was not expected."""
        return refusal(
            self._asker,
            response.status_code,
            self.error_body(response),
            doing,
            elsewhere=self._elsewhere(response.url),
            has_credentials=self._login.has_credentials,
        )

    def error_body(self, response: requests.Response) -> bytes:
        """Return a short body; read to its end, so that the connection can be used again."""
        try:
            body: bytes = response.raw.read(_LONGEST_ANSWER, decode_content=True)
        except FAILURES:
            body = b""
        return body


def _next_page(response: requests.Response) -> str | None:
    """Return where a list goes on (RFC 8288): in any case, and with other relations beside it."""
    for link in requests.utils.parse_header_links(response.headers.get("Link", "")):
        parameters = {name.lower(): value for name, value in link.items()}
        if "next" in parameters.get("rel", "").lower().split():
            return str(link["url"])
    return None
