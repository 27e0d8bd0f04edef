"""Errors of a registry: what an exception or an answer means."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
import requests
import urllib3

from docker_charon.errors import ConnectionFailed, RegistryError
from docker_charon.registry.errors import answer_error, connection_error, retry_after
from docker_charon.registry.retry import RetryPolicy

BROKEN, UNREACHABLE, PERMANENT = (False, False), (True, False), (False, True)


@pytest.mark.parametrize(
    ("error", "words", "kind"),
    [
        (
            requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "self-signed")),
            "certificate of registry.example is not trusted; .*REQUESTS_CA_BUNDLE",
            PERMANENT,
        ),
        (requests.exceptions.SSLError("handshake"), "cannot agree on TLS", PERMANENT),
        (
            requests.exceptions.SSLError(ssl.SSLEOFError(8, "[SSL] unexpected eof")),
            "cannot agree on TLS",
            BROKEN,
        ),
        (requests.TooManyRedirects("Exceeded 30 redirects."), "redirects in a circle", PERMANENT),
        (requests.exceptions.InvalidURL("Port out of range"), "is not valid", PERMANENT),
        (requests.exceptions.InvalidSchema("ftp://"), "is not valid", PERMANENT),
        (
            requests.exceptions.ProxyError(requests.exceptions.SSLError("handshake")),
            "the proxy on the way",
            UNREACHABLE,
        ),
        (requests.ConnectionError(socket.gaierror(-2, "?")), "name of .* unknown", UNREACHABLE),
        (requests.ConnectionError(ConnectionRefusedError()), "nothing listens at", UNREACHABLE),
        (OSError(errno.ENETUNREACH, "no network"), "cannot be reached: no network", UNREACHABLE),
        (requests.ConnectTimeout("slow"), "does not answer in time", UNREACHABLE),
        (requests.ReadTimeout("slow"), "does not answer in time", BROKEN),
        (urllib3.exceptions.ProtocolError("cut"), "broke; try again", BROKEN),
        (requests.exceptions.ChunkedEncodingError("IncompleteRead"), "broke; try again", BROKEN),
        (ConnectionResetError(104, "reset\nby peer"), "broke; try again", BROKEN),
    ],
)
def test_a_failure_of_the_network_is_one_line_and_says_whether_it_may_pass(
    error: Exception, words: str, kind: tuple[bool, bool]
) -> None:
    with pytest.raises(ConnectionFailed, match=words) as caught:
        raise connection_error(error, "registry.example", secure=True)
    assert "\n" not in str(caught.value)
    assert (caught.value.unreachable, caught.value.permanent) == kind


def refused(status: int, *, has_credentials: bool = False, registry: str = "r.example") -> str:
    answer = requests.Response()
    answer.status_code = status
    error = answer_error(
        answer, b"", "a request", registry, secure=True, has_credentials=has_credentials
    )
    assert isinstance(error, RegistryError)
    return str(error)


def test_without_a_login_a_login_is_the_next_step() -> None:
    assert "log in with docker login" in refused(401)
    assert "check the username" in refused(401, has_credentials=True)
    assert "give a username" in refused(403)
    assert "not allowed" in refused(403, has_credentials=True)


def test_docker_hub_allows_more_to_those_who_log_in() -> None:
    assert "Docker Hub limits" in refused(429, registry="docker.io")
    assert "Docker Hub limits" not in refused(429, registry="docker.io", has_credentials=True)
    assert "Docker Hub limits" not in refused(429)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_a_wait_is_seconds_or_a_date_and_nonsense_is_none(
    header: str, seconds: float | None
) -> None:
    assert retry_after({"Retry-After": header}) == seconds
    assert retry_after({}) is None


def test_a_wait_of_any_length_is_a_number_that_can_be_compared() -> None:
    seconds = retry_after({"Retry-After": "9" * 400})
    assert seconds is None or seconds > RetryPolicy().longest_wait
