"""Errors of a registry: what an exception or an answer means."""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

import images
from docker_charon.errors import ConnectionFailed, RegistryError
from docker_charon.oci.manifest import Manifest
from docker_charon.registry.certificates import ClientCertificate
from docker_charon.registry.credentials import Credentials, FoundLogin
from docker_charon.registry.errors import answer_error, connection_error, explaining_refusal
from docker_charon.registry.proxies import ProxyRefused

BROKEN, UNREACHABLE, PERMANENT = (False, False), (True, False), (False, True)


def weak_certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "EE certificate key too weak")
    error.verify_code = 66
    return error


@pytest.mark.parametrize(
    ("error", "words", "kind"),
    [
        (
            requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "self-signed")),
            "certificate of registry.example is not trusted; .*REQUESTS_CA_BUNDLE",
            PERMANENT,
        ),
        (weak_certificate(), "too weak for this machine; .*2048 bits", PERMANENT),
        (requests.exceptions.SSLError("handshake"), "cannot agree on TLS", PERMANENT),
        (
            requests.exceptions.SSLError(ssl.SSLEOFError(8, "[SSL] unexpected eof")),
            "cannot agree on TLS",
            BROKEN,
        ),
        (requests.TooManyRedirects("Exceeded 30 redirects."), "redirects in a circle", PERMANENT),
        (requests.exceptions.InvalidURL("Port out of range"), "is not valid", PERMANENT),
        (requests.exceptions.InvalidSchema("ftp://"), "is not valid", PERMANENT),
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


PROXY_REFUSED = urllib3.exceptions.ProxyError("x", ConnectionRefusedError())


@pytest.mark.parametrize(
    ("error", "words", "kind"),
    [
        (requests.exceptions.ProxyError(PROXY_REFUSED), "p:3128, does not answer", UNREACHABLE),
        (requests.ConnectionError(socket.gaierror(-2, "?")), "p:3128, does not", UNREACHABLE),
        (
            requests.exceptions.ProxyError(requests.exceptions.SSLError("handshake")),
            "cannot agree on TLS with the proxy p:3128",
            PERMANENT,
        ),
        (requests.exceptions.SSLError("handshake"), "on TLS with registry.example", PERMANENT),
        (requests.exceptions.ProxyError(ConnectionResetError()), "the connection to .*", BROKEN),
        (ProxyRefused(407, ()), "p:3128, wants a login.* 407", PERMANENT),
        (ProxyRefused(407, ("ntlm",)), "ntlm only", PERMANENT),
        (ProxyRefused(403, ()), "p:3128, does not let us through.* 403; ask whoever", PERMANENT),
        (ProxyRefused(503, ()), "p:3128, does not let us through.* 503", BROKEN),
        (ProxyRefused(None, ()), "p:3128, does not answer as a proxy", PERMANENT),
    ],
)
def test_a_proxy_is_named_where_it_is_the_reason(
    error: Exception, words: str, kind: tuple[bool, bool]
) -> None:
    with pytest.raises(ConnectionFailed, match=words) as caught:
        raise connection_error(error, "registry.example", secure=True, proxy="p:3128")
    assert "\n" not in str(caught.value)
    assert (caught.value.unreachable, caught.value.permanent) == kind


USER = Credentials("user", "hunter2")


def refused(
    status: int, *, login: FoundLogin | None = None, registry: str = "r.example", **options: Any
) -> str:
    answer = requests.Response()
    answer.status_code = status
    body = options.pop("body", b"")
    error = answer_error(answer, body, "a request", registry, secure=True, login=login, **options)
    assert isinstance(error, RegistryError)
    assert "hunter2" not in str(error)
    return str(error)


def test_without_a_login_a_login_is_the_next_step() -> None:
    for login in (None, FoundLogin()):
        assert "wants a login for a request (or it does not exist); give a username" in refused(
            401, login=login
        )
        assert "log in with docker login" in refused(401, login=login)
        assert "without a login this is not allowed: give a user" in refused(403, login=login)


def test_a_login_that_the_user_gave_is_to_be_checked() -> None:
    login = FoundLogin(USER)
    assert refused(401, login=login).startswith("r.example refuses the login (it answers 401 to ")
    assert "check the username and the password" in refused(401, login=login)
    assert "this user is not allowed to do it" in refused(403, login=login)


def test_a_stored_login_that_is_refused_names_its_file_or_helper() -> None:
    login = FoundLogin(USER, "/home/me/.docker/config.json")
    assert "the login from /home/me/.docker/config.json is not accepted" in refused(
        401, login=login
    )
    assert "the user of the login from /home/me/.docker/config.json is not" in refused(
        403, login=login
    )


@pytest.mark.parametrize(
    ("number", "reason"),
    [(28, "its disk is full"), (30, "it is read-only"), (13, "it may not write there")],
)
def test_a_registry_whose_storage_fails_says_why(number: int, reason: str) -> None:
    detail = {"DriverName": "filesystem", "Enclosed": {"Op": "write", "Path": "/x", "Err": number}}
    body = json.dumps({"errors": [{"code": "UNKNOWN", "detail": detail}]}).encode()
    assert refused(500, body=body).endswith(f"the storage of the registry fails: {reason}")


@pytest.mark.parametrize("detail", [None, "x", {"Enclosed": "x"}, {"Enclosed": {"Err": [28]}}])
def test_other_details_of_a_failure_are_no_reason(detail: Any) -> None:
    body = json.dumps({"errors": [{"code": "UNKNOWN", "detail": detail}]}).encode()
    assert "look into the registry's log" in refused(500, body=body)


@pytest.mark.parametrize("code", ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"])
def test_an_upload_that_is_lost_may_be_the_work_of_several_servers(code: str) -> None:
    body = json.dumps({"errors": [{"code": code}]}).encode()
    assert "the same http.secret" in refused(404, body=body)


def test_a_name_that_the_registry_does_not_take_can_be_mapped() -> None:
    """The registry of OpenShift, for example, takes names of two parts only."""
    body = json.dumps({"errors": [{"code": "NAME_INVALID"}]}).encode()
    assert "push under another one (repository_map=)" in refused(400, body=body)


@pytest.mark.parametrize(("status", "code"), [(415, ""), (400, "MANIFEST_INVALID")])
def test_a_manifest_that_a_registry_does_not_know_is_named_by_its_type(
    status: int, code: str
) -> None:
    manifest = Manifest.parse(images.image(images.layer(1)).manifest)
    with (
        pytest.raises(
            RegistryError, match=re.escape(f"manifests of the type {manifest.media_type}")
        ),
        explaining_refusal(manifest),
    ):
        raise RegistryError("refused", status=status, code=code)


def test_on_docker_hub_the_next_step_is_to_name_another_registry() -> None:
    error = connection_error(socket.gaierror(-2, "?"), "registry-1.docker.io", secure=True)
    assert "to use another registry, name it with registry=" in str(error)


@pytest.mark.parametrize("credentials", [None, USER])
def test_what_went_wrong_in_the_search_for_a_login_is_told(
    credentials: Credentials | None,
) -> None:
    login = FoundLogin(credentials, "a file" if credentials else "", ("x is not installed", "y"))
    for status in (401, 403):
        assert refused(status, login=login).endswith("; x is not installed; y")


def test_a_client_certificate_is_the_next_step_where_nginx_wants_one() -> None:
    body = b"<html><center>No required SSL certificate was sent</center></html>"
    assert "r.example wants a client certificate; give one with cert=" in refused(400, body=body)
    client = ClientCertificate(Path("me.pem"), Path("me.key"))
    assert "r.example refuses the client certificate in me.pem" in refused(
        400, body=body, client=client
    )


def test_a_407_is_of_the_proxy_and_a_bare_403_may_be() -> None:
    assert refused(407, proxy="p:3128").startswith("the proxy on the way to r.example, p:3128, ")
    assert "r.example or the proxy p:3128 on the way to it, answers 403" in refused(
        403, proxy="p:3128"
    )
    assert "proxy" not in refused(403, proxy="p:3128", body=b'{"errors": [{"code": "DENIED"}]}')


def test_docker_hub_allows_more_to_those_who_log_in() -> None:
    assert "Docker Hub limits" in refused(429, registry="docker.io")
    assert "Docker Hub limits" not in refused(429, registry="docker.io", login=FoundLogin(USER))
    assert "Docker Hub limits" not in refused(429)


def test_the_limit_of_pulls_of_docker_hub_lasts_for_hours() -> None:
    options: dict[str, Any] = {
        "login": FoundLogin(USER),
        "body": b'{"errors": [{"code": "TOOMANYREQUESTS"}]}',
    }
    assert "wait 6 hours, and run" in refused(429, registry="docker.io", **options)
    assert "wait, and run" in refused(429, **options)
    assert "wait, and run" in refused(429, registry="docker.io", login=FoundLogin(USER))
