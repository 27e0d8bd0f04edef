"""Through a proxy: tunnels, forwarded requests, SOCKS, and what is said of a proxy that refuses.

The registries have names that exist nowhere: what is on this machine is never asked of a proxy.
"""

from __future__ import annotations

import base64
import importlib.util
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import certificates
import images
import registries
from certificates import Certificate
from command_line import charon
from conftest import PROXY_VARIABLES, require
from docker_charon import ConnectionFailed, RegistryError, make_payload
from images import image, layer
from nginx import PROGRAM, is_installed, nginx, server
from proxy import Answer, Proxy, Reset, Rule
from tunnels import CONNECT, SOCKS, Tunnels

NAME = "registry.test"
ANY = ("[A-Z]+", "")
WITH_SOCKS = pytest.mark.skipif(importlib.util.find_spec("socks") is None, reason="needs PySocks")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    require(certificates.is_installed(), certificates.PROGRAM)
    return certificates.authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def app(source: str) -> images.TestImage:
    return images.put(source, "app:1", image(layer(1)))


@pytest.fixture
def tls(
    source: str, app: images.TestImage, authority: Certificate, tmp_path: Path
) -> Iterator[str]:
    """Let TLS stand before the registry, with a certificate for `NAME`."""
    require(is_installed(), PROGRAM)
    own = certificates.server_certificate(authority, tmp_path / "own", (f"DNS:{NAME}",))
    port = registries.free_port()
    with nginx(tmp_path / "nginx", server(port, source, certificate=own), port=port) as address:
        yield address


@pytest.mark.parametrize("login", [None, ("me", "p@ss:w/rd")])
def test_a_registry_on_tls_is_reached_by_a_tunnel(
    tls: str,
    authority: Certificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    login: tuple[str, str] | None,
) -> None:
    with Tunnels(tls, login=login) as tunnels:
        who = "" if login is None else "me:p%40ss%3Aw%2Frd@"
        monkeypatch.setenv("HTTPS_PROXY", f"http://{who}{tunnels.address}")
        make_payload(NAME, tmp_path / "p.zip", ["app:1"], cacert=authority.file)
        assert set(tunnels.opened) == {(CONNECT, f"{NAME}:443")}


def test_a_proxy_may_speak_tls_itself(
    tls: str, authority: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certificates.server_certificate(authority, tmp_path / "proxy")
    with Tunnels(tls, certificate=own) as tunnels:
        monkeypatch.setenv("HTTPS_PROXY", f"https://{tunnels.address}")
        make_payload(NAME, tmp_path / "p.zip", ["app:1"], cacert=authority.file)
        assert set(tunnels.opened) == {(CONNECT, f"{NAME}:443")}


def test_a_proxy_whose_certificate_is_not_trusted_is_told(
    authority: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certificates.server_certificate(authority, tmp_path / "proxy")
    with Tunnels("127.0.0.1:1", certificate=own) as tunnels:
        monkeypatch.setenv("HTTPS_PROXY", f"https://{tunnels.address}")
        line = refused(NAME, tmp_path)
    assert f"the certificate of the proxy {tunnels.address} is not trusted" in line


@WITH_SOCKS
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_registry_on_tls_is_reached_by_socks(
    tls: str,
    authority: Certificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    with Tunnels(tls) as tunnels:
        monkeypatch.setenv(variable, f"socks5h://{tunnels.address}")
        make_payload(NAME, tmp_path / "p.zip", ["app:1"], cacert=authority.file)
        assert set(tunnels.opened) == {(SOCKS, f"{NAME}:443")}


@WITH_SOCKS
@pytest.mark.usefixtures("app")
def test_a_registry_on_plain_http_is_reached_by_socks(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tunnels(source) as tunnels:
        monkeypatch.setenv("HTTP_PROXY", f"socks5h://{tunnels.address}")
        make_payload(f"{NAME}:5000", tmp_path / "p.zip", ["app:1"], secure=False)
        assert set(tunnels.opened) == {(SOCKS, f"{NAME}:5000")}


@pytest.mark.usefixtures("app")
def test_requests_in_plain_http_are_handed_to_the_proxy(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(source) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy.address}")
        make_payload(f"{NAME}:5000", tmp_path / "p.zip", ["app:1"], secure=False)
        assert proxy.requests
        login = base64.b64encode(b"me:secret").decode()
        for request in proxy.requests:
            assert request.target.startswith(f"http://{NAME}:5000/v2/")
            assert request.headers["proxy-authorization"] == f"Basic {login}"


def refused(registry: str, folder: Path, *, secure: bool = True) -> str:
    """Return the one line about a registry that is not reached."""
    with pytest.raises(RegistryError) as caught:
        make_payload(registry, folder / "refused.zip", ["app:1"], secure=secure)
    line = str(caught.value)
    assert "\n" not in line
    assert "secret" not in line
    return line


@pytest.mark.parametrize(
    ("secure", "status", "offer", "words"),
    [
        (True, 407, "", "wants a login, or another one: it answers 407; write http://USER:"),
        (True, 407, 'Basic realm="corp"', "it answers 407; write http://USER:PASSWORD@HOST:PORT"),
        (True, 407, "NTLM", "it takes logins by ntlm only"),
        (True, 403, "", "does not let us through: it answers 403; ask whoever runs it to allow"),
        (True, 405, "", "does not let us through: it answers 405"),
        (True, 502, "", "does not let us through: it answers 502"),
        (False, 407, "", "wants a login, or another one: it answers 407; write http://USER:"),
        (False, 407, "NTLM, Negotiate", "it takes logins by ntlm, negotiate only"),
    ],
)
def test_a_proxy_that_refuses_is_told_as_such(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    secure: bool,
    status: int,
    offer: str,
    words: str,
) -> None:
    headers = {"Proxy-Authenticate": offer} if offer else {}
    with Proxy("127.0.0.1:1", [Rule(*ANY, Answer(status, headers), times=None)]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{proxy.address}")
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy.address}")
        line = refused(NAME, tmp_path, secure=secure)
        assert line.startswith(f"the proxy on the way to {NAME}, {proxy.address}, ")
        assert words in line
        assert len(proxy.requests) == (5 if status == 502 else 1)


def test_a_403_in_plain_http_may_be_the_proxys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy("127.0.0.1:1", [Rule(*ANY, Answer(403), times=None)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        assert f"{NAME} or the proxy {proxy.address} on the way to it, answers 403" in refused(
            NAME, tmp_path, secure=False
        )


def test_a_403_of_the_registry_itself_is_told_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "no"}]}'
    with Proxy("127.0.0.1:1", [Rule(*ANY, Answer(403, body=body), times=None)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        line = refused(NAME, tmp_path, secure=False)
        assert line.startswith(f"{NAME} answers 403 DENIED no")
        assert "proxy" not in line


def test_a_proxy_that_breaks_a_tunnel_is_tried_again(
    tls: str, authority: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tunnels(tls, broken=3) as tunnels:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{tunnels.address}")
        make_payload(NAME, tmp_path / "p.zip", ["app:1"], cacert=authority.file)
        assert tunnels.broken == 0


@pytest.mark.usefixtures("app")
def test_a_proxy_that_breaks_a_connection_is_tried_again(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(source, [Rule("GET", "/v2/", Reset(), times=3)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        make_payload(NAME, tmp_path / "p.zip", ["app:1"], secure=False)


@pytest.mark.parametrize("secure", [True, False])
def test_a_proxy_that_always_breaks_the_connection_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    with Tunnels("127.0.0.1:1", broken=99) as tunnels:
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(variable, f"http://{tunnels.address}")
        assert f"the connection to {NAME} broke" in refused(NAME, tmp_path, secure=secure)
        assert tunnels.broken == 94


def test_a_proxy_that_does_not_speak_tls_is_told(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"https://{source}")
    line = refused(NAME, tmp_path)
    assert f"the proxy {source} does not speak TLS; check HTTPS_PROXY" in line


def test_what_answers_in_another_protocol_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(1000)

        threading.Thread(target=greet, daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", address)
        assert f"{NAME}, {address}, does not answer as a proxy" in refused(NAME, tmp_path)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_without_a_proxy(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for variable in PROXY_VARIABLES[:3]:
        monkeypatch.setenv(variable, "http://me:secret@")  # not even the address of a proxy
    registry = source.replace("127.0.0.1", host)
    make_payload(registry, tmp_path / "p.zip", ["app:1"], secure=False)


def test_a_variable_that_names_no_proxy_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@")
    line = charon("make-payload", "-r", NAME, "-f", tmp_path / "p.zip", "app:1").line
    assert f"cannot reach {NAME}: HTTPS_PROXY is not the address of a proxy" in line
    assert "secret" not in line


def test_socks_without_support_is_one_line_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ConnectionFailed, match=r"install docker-charon\[socks\]"):
        make_payload(NAME, tmp_path / "p.zip", ["app:1"])


def test_the_demo_works_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROXY_VARIABLES[:3]:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert charon("demo").status == 0
