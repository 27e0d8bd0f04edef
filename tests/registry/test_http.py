"""The session, against servers on loopback that answer, refuse, hang or speak something else."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import pytest
import requests
import responses

from docker_charon.errors import RegistryError
from docker_charon.registry import http as transport
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.http import HTTPSession, origin

URL = "https://registry.example/v2/"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers everything with a cookie, and ``/moved`` with another address first."""

    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:  # the name that http.server looks for
        self.seen.append((self.path, dict(self.headers)))
        self.send_response(307 if self.path == "/moved" else 200)
        self.send_header("Location", "/here")
        self.send_header("Set-Cookie", "session=1; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], object] | None = None) -> Iterator[str]:
    """Accept connections and hand each to ``serve``; without it, leave them waiting."""
    open_ones: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_ones.append(connection)
                if serve:
                    with contextlib.suppress(OSError), connection:
                        serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for connection in open_ones:
        connection.close()


def speak_tls(connection: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(connection, server_side=True):
        raise AssertionError("nobody greeted in TLS")


def speak_another_protocol(connection: socket.socket) -> None:
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46\r\n")
    connection.recv(4096)


def hang_up(connection: socket.socket) -> None:
    connection.recv(4096)


@pytest.fixture
def session() -> Iterator[HTTPSession]:
    with HTTPSession("https://registry.example/v2/", 1) as session:
        yield session


@pytest.fixture
def web_server() -> Iterator[str]:
    """Run a web server; its ``host:port``."""
    Handler.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def failure(registry: str, *, secure: bool = False) -> str:
    """Return what a user is told when ``registry`` is asked whether it is one."""
    with (
        RegistryClient(registry, Access(secure=secure)) as client,
        pytest.raises(RegistryError) as caught,
    ):
        client.check_api()
    assert registry in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.status is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Registry.Example/v2/", ("https", "registry.example", 443)),
        ("https://registry.example:443", ("https", "registry.example", 443)),
        ("http://registry.example?x=1", ("http", "registry.example", 80)),
        ("http://[::1]:5000/v2/", ("http", "::1", 5000)),
        ("https://registry.example./v2/", ("https", "registry.example", 443)),
        ("https://registry.example@other.example/", ("https", "other.example", 443)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: tuple[str, str, int]) -> None:
    assert origin(url) == expected


def test_a_closed_port_is_told(closed_port: str) -> None:
    assert "nothing listens at" in failure(closed_port)


def test_an_unknown_name_is_told() -> None:
    assert "the name of registry.invalid is unknown" in failure("registry.invalid")


def test_plain_http_where_tls_is_wanted_is_told(web_server: str) -> None:
    assert "does not speak TLS; if it is a registry on plain HTTP" in failure(
        web_server, secure=True
    )


@pytest.mark.parametrize("serve", [speak_tls, speak_another_protocol])
def test_tls_where_plain_http_is_wanted_is_told(serve: Callable[[socket.socket], object]) -> None:
    with listening(serve) as address:
        assert "leave secure=False out" in failure(address)


@pytest.mark.parametrize("secure", [True, False])
def test_a_connection_that_breaks_is_told(secure: bool) -> None:
    with listening(hang_up) as address:
        told = failure(address, secure=secure)
    assert "broke" in told or "cannot agree on TLS" in told


@pytest.mark.parametrize("secure", [True, False])
def test_a_server_that_says_nothing_is_told(monkeypatch: pytest.MonkeyPatch, secure: bool) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.1)
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)
    with listening() as address:
        assert "does not answer in time" in failure(address, secure=secure)


@pytest.mark.skipif(
    not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system cannot limit what waits"
)
def test_what_waits_in_the_system_does_not_count_as_sent(
    session: HTTPSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.5)
    pieces = iter([bytes(64 * 1024)] * 200)
    with listening() as address, pytest.raises(requests.ConnectionError):
        session.put(f"http://{address}/", data=pieces)
    assert len([*pieces]) > 200 - 16  # it is two megabytes without a limit


@pytest.mark.parametrize("proxy", ["http://proxy.invalid:3128", "http://{closed_port}"])
@pytest.mark.parametrize("secure", [True, False])
def test_a_proxy_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, closed_port: str, proxy: str, secure: bool
) -> None:
    for name in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(name, proxy.format(closed_port=closed_port))
    assert "the proxy on the way to" in failure("registry.example", secure=secure)


def test_a_session_says_who_it_is_and_wants_bytes_as_they_are(
    session: HTTPSession, web_server: str
) -> None:
    session.get(f"http://{web_server}/")
    _, headers = Handler.seen[0]
    assert headers["User-Agent"].startswith("docker-charon/")
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("paths", [["/", "/"], ["/moved"]])
def test_cookies_are_not_kept(session: HTTPSession, web_server: str, paths: list[str]) -> None:
    for path in paths:
        session.get(f"http://{web_server}{path}")
    assert len(Handler.seen) == 2
    assert not [path for path, headers in Handler.seen if "Cookie" in headers]
    assert not session.cookies


@pytest.mark.parametrize("timeout", [None, 3.0])
def test_every_request_has_a_timeout(session: HTTPSession, timeout: float | None) -> None:
    with responses.RequestsMock() as web:
        web.get(URL, status=307, headers={"Location": "https://storage.example/"})
        web.get("https://storage.example/")
        session.get(URL, timeout=timeout)
        used = [call.request.req_kwargs["timeout"] for call in web.calls]  # type: ignore[attr-defined]
    expected = timeout or (transport.CONNECT_TIMEOUT, transport.READ_TIMEOUT)
    assert used == [expected, expected]


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("/v2/elsewhere", True),
        ("https://registry.example:443/v2/elsewhere", True),
        ("https://registry.example:444/v2/", False),
        ("http://registry.example/v2/", False),
        ("https://storage.example/", False),
    ],
)
def test_a_redirect_keeps_the_authorization_only_at_its_origin(
    session: HTTPSession, place: str, kept: bool
) -> None:
    with responses.RequestsMock() as web:
        web.get(URL, status=307, headers={"Location": place})
        web.get(urljoin(URL, place))
        session.get(URL, headers={"Authorization": "Bearer t"})
        assert ("Authorization" in web.calls[1].request.headers) == kept
