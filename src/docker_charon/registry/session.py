"""The requests of one registry: sends them, and turns unexpected answers into errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from docker_charon.errors import (
    ConnectionFailed,
    DockerCharonError,
    RegistryError,
)
from docker_charon.messages import argument, get_logger
from docker_charon.oci.descriptor import Body
from docker_charon.oci.document import parse_json
from docker_charon.oci.host import DOCKER_HUB, check_host, is_docker_hub
from docker_charon.registry.access import Access, certificates_for, logins_of
from docker_charon.registry.auth import Login
from docker_charon.registry.errors import (
    FEW_TRIES,
    NETWORK_ERRORS,
    answer_error,
    connection_error,
)
from docker_charon.registry.http import CONNECT_TIMEOUT, HTTPSession, origin
from docker_charon.registry.outage import Outages
from docker_charon.registry.rate_limit import RateLimit
from docker_charon.registry.response import read_document, read_stored
from docker_charon.registry.retry import ONCE, RetryPolicy, Tries
from docker_charon.registry.secrets import without_login
from docker_charon.value import dataclass

_LONGEST_ANSWER = 64 * 1024  # bytes of an answer that says what went wrong
MOST_PAGES = 10_000  # of a list, before it is taken for a list without an end
_LONGEST_PAGE = 16 * 1024 * 1024  # bytes of one page of a list

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of one registry: its paths in requests, and the scopes of tokens for it.

    ``name`` is what the user calls it. ``remote_name`` is what the registry calls it: on Docker
    Hub, ``python`` is ``library/python``.
    """

    name: str
    remote_name: str

    def path(self, *parts: str) -> str:
        """Return a path below ``/v2/``: that of the repository, with ``parts`` after it."""
        return "/".join((self.remote_name, *parts))

    @property
    def pull(self) -> str:
        """The scope of reading from it."""
        return f"repository:{self.remote_name}:pull"

    @property
    def push(self) -> str:
        """The scope of writing to it."""
        return f"repository:{self.remote_name}:pull,push"


class Session:
    """One registry, as one user sees it, who may log in with ``login``.

    ``registry`` is a host with an optional port. ``connections`` is the number of connections that
    are kept open. Raises `InvalidReference` if ``registry`` is not a host, and `RegistryError` or
    `AuthenticationError` if ``access`` cannot be used.
    """

    def __init__(self, registry: str, access: Access, connections: int = 1) -> None:
        check_host(registry)
        self.registry = registry
        self.retry = access.retry
        host = DOCKER_HUB if is_docker_hub(registry) else registry
        self.url = f"{'https' if access.secure else 'http'}://{host}/v2/"
        self._secure = access.secure
        self._certificates = certificates_for(registry, access)
        self._http = HTTPSession(self.url, connections, access.cacert, self._certificates)
        self.login = Login(self._http, self.url, registry, logins_of(registry, access))
        self._outages = Outages(registry, self._ask)
        self._rate_limit = RateLimit(access.retry)

    def close(self) -> None:
        """Close the connections to the registry."""
        self._http.close()

    def tries(self, policy: RetryPolicy) -> Tries:
        """Return the tries of an operation on this registry."""
        return Tries(policy, self._outages)

    def _ask(self) -> int:
        """Ask whether the API is there (end-1); return the status of the answer."""
        doing = "the first request"
        with self.request(
            "GET",
            "",
            doing=doing,
            may_be_html=True,
            retry=ONCE,
            timeout=CONNECT_TIMEOUT,
            in_turn=False,
        ) as response:
            return response.status_code

    def repository(self, name: str) -> Repository:
        """Return the repository that the user calls ``name``."""
        is_short = is_docker_hub(self.registry) and "/" not in name
        return Repository(name, f"library/{name}" if is_short else name)

    def request(
        self,
        method: str,
        target: str,
        *,
        doing: str,
        expect: tuple[int, ...] | None = None,
        scopes: Sequence[str] = (),
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        may_be_html: bool = False,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        in_turn: bool = True,
    ) -> requests.Response:
        """Send one request; ``target`` is a path below ``/v2/``, or a whole URL.

        ``expect`` are the statuses that the caller handles; ``None`` means all. Every other status
        raises `RegistryError`, and no answer `ConnectionFailed`. ``doing`` names the request in
        messages. ``scopes`` are those of the token that it needs, the main one first. Without
        ``may_be_html``, a web page is an error. ``retry`` is by default `Access.retry`. ``timeout``
        is the number of seconds without a byte, if it is not the usual one. With ``in_turn``, the
        request waits while the registry limits requests, whatever ``retry`` says (see `RateLimit`).
        The caller closes the response.
        """
        url = urljoin(self.url, target)

        def send() -> requests.Response:
            try:
                response = self._http.request(
                    method,
                    url,
                    params=params,
                    headers=headers,
                    data=body,  # type: ignore[arg-type]  # requests takes any sized iterable
                    auth=self.login.scoped(*scopes),
                    stream=True,
                    timeout=timeout,
                )
            except NETWORK_ERRORS as error:
                raise self.connection_error(error) from error
            shown_url = without_login(url.partition("?")[0])
            _log.debug("%s %s: %s", method, shown_url, response.status_code)
            try:
                if expect is not None and response.status_code not in expect:
                    if response.request.method != method:
                        raise self._method_lost(response, method, doing)
                    raise self.answer_error(response, doing, scopes)
                if response.status_code == 200 and is_html(response) and not may_be_html:
                    raise RegistryError(
                        f"{self.registry} answers with a web page to {doing}: it is not a "
                        "registry, or something before it wants a login",
                        status=200,
                    )
                if method != "GET":
                    self.read_short(response)
            except DockerCharonError:
                response.close()
                raise
            return response

        def send_in_turn() -> requests.Response:
            return self._rate_limit.run(send)

        return self.tries(retry or self.retry).run(send_in_turn if in_turn else send)

    def head(self, path: str, **options: Any) -> requests.Response | None:
        """Send a ``HEAD`` request; return its answer if that is 200 or 404.

        ``None`` means any other answer, which says nothing: some registries refuse ``HEAD``, or
        answer 500 to it, and answer ``GET`` correctly. ``options`` are those of `request`. Raises
        `RegistryError` if there is no answer.
        """
        retry = replace(options.pop("retry", None) or self.retry, statuses=frozenset({429}))
        try:
            with self.request("HEAD", path, expect=(200, 404), retry=retry, **options) as response:
                return response
        except RegistryError as error:
            if error.status is None:
                raise
            return None

    def pages(
        self, path: str, *, doing: str, **options: Any
    ) -> Iterator[tuple[requests.Response, Any]]:
        """Yield every page of a list: the answer, and its JSON object where that is 200.

        The ``Link`` of an answer leads to the next page (distribution-spec 1.1, "Listing Tags").
        ``options`` are those of `request`.
        """
        target: str | None = path
        seen = set()
        while target is not None and target not in seen:
            seen.add(target)
            if len(seen) > MOST_PAGES:
                raise RegistryError(f"{self.registry} sends {doing} without an end")
            with self.page(target, doing=doing, **options) as (response, document):
                yield response, document
            link = next_link(response)
            target = self.resolve(response, link, doing) if link else None

    @contextlib.contextmanager
    def page(
        self, target: str, *, doing: str, **options: Any
    ) -> Iterator[tuple[requests.Response, Any]]:
        """Open one page of a list: the answer, and its JSON object or ``None``."""
        with self.request("GET", target, doing=doing, **options) as response:
            document = None
            if response.status_code == 200:
                with contextlib.suppress(ValueError):
                    document = parse_json(self.read(response, _LONGEST_PAGE))
            yield response, document if isinstance(document, dict) else None

    def read(self, response: requests.Response, limit: int, *, is_blob: bool = False) -> bytes:
        """Return an answer's body: as it was sent if ``is_blob``, else as `read_document` does.

        A result of ``limit`` + 1 bytes means that the body is longer than ``limit`` bytes. Raises
        `ConnectionFailed`.
        """
        try:
            return (read_stored if is_blob else read_document)(response, limit)
        except NETWORK_ERRORS as error:
            raise self.connection_error(error, response.url) from error

    def read_short(self, response: requests.Response) -> bytes:
        """Return the start of a body, or ``b""`` if it cannot be read.

        A body that is read to its end leaves its connection open for the next request.
        """
        with contextlib.suppress(ConnectionFailed):
            return self.read(response, _LONGEST_ANSWER)
        return b""

    def resolve(self, response: requests.Response, link: str | None, doing: str) -> str:
        """Return the URL of a ``link`` in an answer, which may be relative.

        Raises `RegistryError` if there is no valid link, and if it leads from HTTPS to plain HTTP
        on another host.
        """
        try:
            target = urlsplit(urljoin(response.url, link))
            scheme, host, _ = origin(target.geturl())
        except ValueError:
            link = None
        if not link:
            raise RegistryError(f"{self.registry} does not name a valid address for {doing}")
        own = urlsplit(self.url)
        if own.scheme == "https" and scheme != "https":
            if host != origin(self.url)[1]:
                raise RegistryError(
                    f"{self.registry} wants to continue {doing} without encryption, on {host}: "
                    "refused"
                )
            # Behind a proxy that ends the TLS, a registry may not know its own address.
            target = target._replace(scheme=own.scheme, netloc=own.netloc)
        return target.geturl()

    def answer_error(
        self, response: requests.Response, doing: str, scopes: Sequence[str] = ()
    ) -> RegistryError:
        """Return what an unexpected answer to a request with ``scopes`` means."""
        other_host = self._other_host(response.url)
        is_plain = origin(response.url)[0] == "http"  # a proxy of TLS cannot answer in its place
        return answer_error(
            response,
            self.read_short(response),
            doing,
            self.registry,
            secure=self._secure,
            login=self.login.found(scopes),
            other_host=other_host,
            proxy=self._http.proxy_of(response.url) if is_plain else "",
            client=None if other_host else self._certificates.client,
        )

    def _method_lost(self, response: requests.Response, method: str, doing: str) -> RegistryError:
        """Return the error for a redirect that changes the method of a request (301, 302, 303)."""
        redirects = [answer.status_code for answer in response.history if answer.is_redirect]
        scheme, host, port = origin(response.url)
        if (scheme, host, port) == origin(self.url):
            hint = "something before the registry redirects: let it answer 308, or not redirect"
        else:
            option = argument("with --insecure", "with secure=False")
            if scheme == "https":
                option = argument("without --insecure", "without secure=False")
            hint = f"name the registry as {host}:{port}, {option}"
        return RegistryError(
            f"{self.registry} answers {redirects[-1]} to {doing}, which turns {method} into "
            f"{response.request.method}",
            hint=hint,
            status=redirects[-1],
        )

    def connection_error(self, error: Exception, url: str | None = None) -> ConnectionFailed:
        """Return what one of `NETWORK_ERRORS` means for a request to this registry or its storage.

        ``url`` is that of the answer, if there was one already.
        """
        url = getattr(getattr(error, "request", None), "url", None) or url or self.url
        proxy = self._http.proxy_of(url)
        other_host = self._other_host(url)
        if not other_host:
            return connection_error(
                error,
                self.registry,
                secure=self._secure,
                proxy=proxy,
                client=self._certificates.client,
            )
        failure = connection_error(
            error,
            other_host,
            secure=True,
            prefix=f"{self.registry} sends us to another host: ",
            proxy=proxy,
        )
        failure.hint = "can that one be reached from here?"
        failure.elsewhere = True
        if failure.unreachable:
            failure.most_tries = FEW_TRIES
        return failure

    def _other_host(self, url: str) -> str:
        """Return the host of ``url`` if it is not the registry's own; else nothing."""
        return "" if self.login.covers(url) else urlsplit(url).netloc.rpartition("@")[2]


def is_html(response: requests.Response) -> bool:
    """Whether an answer is a web page; registry.k8s.io calls its empty first answer one."""
    headers = response.headers
    is_of_registry = "Docker-Distribution-Api-Version" in headers
    is_empty = headers.get("Content-Length") == "0"
    is_page = headers.get("Content-Type", "").lower().startswith("text/html")
    return is_page and not is_of_registry and not is_empty


def next_link(response: requests.Response) -> str | None:
    """Return the address of the ``next`` link in an answer (RFC 8288), or ``None``."""
    for link in requests.utils.parse_header_links(response.headers.get("Link", "")):
        parameters = {name.lower(): value for name, value in link.items()}
        if "next" in parameters.get("rel", "").lower().split():
            return str(link["url"])
    return None
