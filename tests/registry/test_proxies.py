"""Which proxy the environment names: the rules that Docker and Podman obey, one row each."""

from __future__ import annotations

import importlib.util

import pytest

from docker_charon import ConnectionFailed
from docker_charon.registry.proxies import ProxyRules, offered_schemes

PROXY = "http://proxy.corp.example:3128"


def proxy_for(
    environment: dict[str, str], host: str, port: int | None = None, *, scheme: str = "https"
) -> str | None:
    return ProxyRules.from_environment(environment).proxy_for(scheme, host, port)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        # nothing, and everything
        ("", "registry.example", None, False),
        (" , ,", "registry.example", None, False),
        ("*", "registry.example", None, True),
        ("other.example, *", "registry.example", None, True),
        ("*:5000", "registry.example", 5000, False),
        # a domain, with its subdomains
        ("corp.example", "corp.example", None, True),
        ("corp.example", "registry.corp.example", None, True),
        ("corp.example", "a.b.corp.example", None, True),
        ("corp.example", "notcorp.example", None, False),
        ("corp.example", "corp.example.org", None, False),
        ("example", "registry.corp.example", None, True),
        # the subdomains only
        (".corp.example", "registry.corp.example", None, True),
        (".corp.example", "corp.example", None, False),
        ("*.corp.example", "registry.corp.example", None, True),
        ("*.corp.example", "a.b.corp.example", None, True),
        ("*.corp.example", "corp.example", None, False),
        ("*.corp.example", "notcorp.example", None, False),
        ("reg*.corp.example", "registry.corp.example", None, False),
        # a port
        ("corp.example:5000", "registry.corp.example", 5000, True),
        ("corp.example:5000", "registry.corp.example", 5001, False),
        ("corp.example:443", "corp.example", None, True),
        ("corp.example:80", "corp.example", None, False),
        (".corp.example:5000", "registry.corp.example", 5000, True),
        ("*.corp.example:5000", "registry.corp.example", 5000, True),
        ("*.corp.example:5000", "registry.corp.example", None, False),
        (":5000", "registry.example", 5000, False),
        # addresses
        ("10.0.0.5", "10.0.0.5", None, True),
        ("10.0.0.5", "10.0.0.50", None, False),
        ("10.0.0", "10.0.0.5", None, False),
        ("10.0.0.5:5000", "10.0.0.5", 5000, True),
        ("10.0.0.5:5000", "10.0.0.5", 5001, False),
        ("10.0.0.5", "::ffff:10.0.0.5", None, True),
        ("::ffff:10.0.0.5", "10.0.0.5", None, True),
        ("10.0.0.*", "10.0.0.5", None, False),
        ("0.0.5", "10.0.0.5", None, True),  # the end of any name, and digits are a name's too
        # networks
        ("10.0.0.0/8", "10.20.30.40", None, True),
        ("10.20.30.40/8", "10.1.1.1", None, True),
        ("10.0.0.0/8", "11.0.0.1", None, False),
        ("10.0.0.0/8", "registry.example", None, False),
        ("10.0.0.0/8:5000", "10.20.30.40", 5000, True),
        ("10.0.0.0/8:5000", "10.20.30.40", 5001, False),
        ("0.0.0.0/0", "192.0.2.1", None, True),
        ("10.0.0.0/99", "10.0.0.1", None, False),
        # IPv6
        ("2001:db8::1", "2001:db8::1", None, True),
        ("2001:db8::1", "[2001:db8::1]", None, True),
        ("2001:db8::1", "2001:db8:0:0:0:0:0:1", None, True),
        ("[2001:db8::1]", "2001:db8::1", None, True),
        ("[2001:db8::1]", "[2001:db8::1]", 5000, True),
        ("[2001:db8::1]:5000", "[2001:db8::1]", 5000, True),
        ("[2001:db8::1]:5000", "[2001:db8::1]", 5001, False),
        ("2001:db8::/32", "2001:db8:1::1", None, True),
        ("[2001:db8::]/32", "2001:db8:1::1", None, True),
        ("[2001:db8::/32]:5000", "2001:db8:1::1", 5000, True),
        ("2001:db8::/32", "2001:db9::1", None, False),
        ("2001:db8::/32", "10.0.0.1", None, False),
        # how it is written
        ("Corp.Example", "registry.corp.example", None, True),
        ("corp.example", "REGISTRY.Corp.example", None, True),
        (" a.example , corp.example ", "corp.example", None, True),
        ("a.example corp.example", "corp.example", None, True),
        ("a.example,\tcorp.example\n", "corp.example", None, True),
        ("corp.example", "registry.corp.example.", None, True),
        ("corp.example.", "registry.corp.example", None, True),
        ("bücher.example", "xn--bcher-kva.example", None, True),
        ("https://corp.example", "corp.example", None, False),
        # this machine, which no proxy can know
        ("", "localhost", 5000, True),
        ("", "LOCALHOST", None, True),
        ("", "localhost.", None, True),
        ("", "127.0.0.1", 5000, True),
        ("", "127.9.9.9", None, True),
        ("", "::1", None, True),
        ("", "[::1]", 5000, True),
        ("", "::ffff:127.0.0.1", None, True),
        ("", "registry.localhost", None, False),
        ("", "localhost.example", None, False),
        ("", "0.0.0.0", None, False),  # noqa: S104  # an address to reach, not to listen on
    ],
)
def test_no_proxy_says_what_is_reached_directly(
    no_proxy: str, host: str, port: int | None, is_direct: bool
) -> None:
    proxy = proxy_for({"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}, host, port)
    assert proxy == (None if is_direct else PROXY)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("proxy", "http://proxy:80"),
        ("proxy:3128", "http://proxy:3128"),
        ("  proxy:3128\n", "http://proxy:3128"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("http://proxy", "http://proxy:80"),
        ("HTTP://Proxy:3128/", "http://proxy:3128"),
        ("https://proxy", "https://proxy:443"),
        ("http://me:secret@proxy:3128", "http://me:secret@proxy:3128"),
        ("me:secret@proxy:3128", "http://me:secret@proxy:3128"),
        ("http://me@proxy:3128", "http://me@proxy:3128"),
        ("http://me:p%40ss@proxy:3128", "http://me:p%40ss@proxy:3128"),
        ("http://me:p@ss@proxy:3128", "http://me:p%40ss@proxy:3128"),
        (r"http://CORP\me:100%@proxy:3128", "http://CORP%5Cme:100%25@proxy:3128"),
    ],
)
def test_a_proxy_is_taken_however_it_is_written(value: str, url: str) -> None:
    assert proxy_for({"HTTPS_PROXY": value}, "registry.example") == url


@pytest.mark.parametrize(
    "value",
    [
        "http://me:secret@",
        "http://me:secret@:3128",
        "http://me:secret@proxy:port",
        "http://me:secret@proxy:99999",
        "http://me:se#cret@proxy:3128",
        "http://me:se/cret@proxy:3128",
        "http://me:12/cret@proxy:3128",
        "http://me:secret@[::1:3128",
        "http://me:secret@pro xy:3128",
        "ftp://me:secret@proxy",
        "socks://me:secret@proxy",
        "socks4://me:secret@proxy",
        "://me:secret@proxy",
        "http://",
        "::1",
    ],
)
def test_what_is_no_proxy_is_one_line_that_names_the_variable(value: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        proxy_for({"https_proxy": value}, "registry.example")
    assert caught.value.message == (
        "cannot reach registry.example: https_proxy is not the address of a proxy"
    )
    assert caught.value.permanent
    assert "cret" not in str(caught.value)


def test_what_is_no_proxy_is_not_told_where_none_is_used() -> None:
    environment = {"HTTPS_PROXY": "http://me:secret@", "NO_PROXY": "corp.example"}
    assert proxy_for(environment, "127.0.0.1") is None
    assert proxy_for(environment, "registry.corp.example") is None
    assert proxy_for(environment, "registry.example", scheme="http") is None


@pytest.mark.parametrize(
    ("scheme", "environment", "proxy"),
    [
        ("https", {}, None),
        ("https", {"HTTP_PROXY": "a"}, None),
        ("http", {"HTTPS_PROXY": "a"}, None),
        ("https", {"HTTPS_PROXY": "a", "https_proxy": "b"}, "a"),
        ("https", {"HTTPS_PROXY": "", "https_proxy": "b"}, "b"),
        ("http", {"HTTP_PROXY": "a", "http_proxy": "b"}, "a"),
        ("http", {"http_proxy": "b"}, "b"),
        ("http", {"ALL_PROXY": "c"}, "c"),
        ("https", {"all_proxy": "c"}, "c"),
        ("https", {"ALL_PROXY": "c", "https_proxy": "b"}, "b"),
        ("https", {"all_proxy": "socks://c", "https_proxy": "b"}, "b"),  # as GNOME sets them
        # what a CGI script finds in HTTP_PROXY, a stranger may have said
        ("http", {"REQUEST_METHOD": "GET", "HTTP_PROXY": "a"}, None),
        ("http", {"REQUEST_METHOD": "GET", "HTTP_PROXY": "a", "http_proxy": "b"}, "b"),
        ("https", {"REQUEST_METHOD": "GET", "HTTPS_PROXY": "a"}, "a"),
    ],
)
def test_the_variable_of_the_scheme_is_used(
    scheme: str, environment: dict[str, str], proxy: str | None
) -> None:
    expected = None if proxy is None else f"http://{proxy}:80"
    assert proxy_for(environment, "registry.example", scheme=scheme) == expected


def test_the_list_in_upper_case_comes_before_the_one_in_lower_case() -> None:
    proxies = {"HTTPS_PROXY": PROXY, "no_proxy": "registry.example"}
    assert proxy_for(proxies, "registry.example") is None
    assert proxy_for({**proxies, "NO_PROXY": ""}, "registry.example") is None
    assert proxy_for({**proxies, "NO_PROXY": "other.example"}, "registry.example") == PROXY


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_is_taken_where_support_is_installed(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert proxy_for({"HTTPS_PROXY": f"{scheme}://p"}, "registry.example") == f"{scheme}://p:1080"


def test_a_socks_proxy_without_support_is_one_line_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConnectionFailed, match=r"ALL_PROXY.*SOCKS.*docker-charon\[socks\]"):
        proxy_for({"ALL_PROXY": "socks5h://me:secret@127.0.0.1:1080"}, "registry.example")


def test_no_representation_shows_a_password() -> None:
    rules = ProxyRules.from_environment({"HTTPS_PROXY": "http://me:secret@proxy"})
    assert "secret" not in repr(rules)


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ("", ()),
        ("NTLM", ("ntlm",)),
        ('Basic realm="corp"', ("basic",)),
        ('Negotiate, NTLM, Basic realm="a, b", charset="UTF-8"', ("negotiate", "ntlm", "basic")),
        ("Negotiate YII=", ("negotiate",)),
        ("\x1b[2J", ()),
    ],
)
def test_the_ways_to_log_in_to_a_proxy_are_read(header: str, schemes: tuple[str, ...]) -> None:
    assert offered_schemes(header) == schemes
