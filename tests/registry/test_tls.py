"""TLS with an authority of one's own: a registry, a token service and an nginx that speak it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import certificates
import images
import registries
from certificates import Certificate
from command_line import charon
from conftest import require, set_home
from docker_charon import (
    AuthenticationError,
    RegistryError,
    make_inventory,
    make_payload,
    push_payload_to_registry,
)
from guarded_registry import LOGIN, Guards, guarded
from images import image, layer
from nginx import PROGRAM, is_installed, nginx, server

CA = "--cacert FILE"

pytestmark = pytest.mark.filterwarnings(
    # What sees whether a registry is up does not ask whose it is.
    "ignore::urllib3.exceptions.InsecureRequestWarning"
)


@pytest.fixture(scope="module")
def guards(tmp_path_factory: pytest.TempPathFactory) -> Guards:
    require(certificates.is_installed(), certificates.PROGRAM)
    require(is_installed(), PROGRAM)
    return Guards(tmp_path_factory.mktemp("guards"))


@pytest.fixture
def authority(guards: Guards) -> Path:
    """Return the file that holds what has to be trusted."""
    return guards.authority.file


@pytest.fixture
def app(source: str) -> images.TestImage:
    return images.put(source, "app:1", image(layer(1, 9000)))


@pytest.fixture(params=["docker-registry", "nginx"])
def tls(
    request: pytest.FixtureRequest,
    source: str,
    app: images.TestImage,
    guards: Guards,
    tmp_path: Path,
) -> Iterator[str]:
    """Let the registry's own TLS, or that of an nginx before it, stand before the image."""
    if request.param == "nginx":
        port = registries.free_port()
        before = server(port, source, certificate=guards.certificate)
        with nginx(tmp_path / "nginx", before, port=port) as address:
            yield address
    else:
        storage = {"filesystem": {"rootdirectory": str(tmp_path / "source/data")}}
        with registries.docker_registry(
            tmp_path / "tls", http={"tls": tls_section(guards.certificate)}, storage=storage
        ) as address:
            yield address


def tls_section(certificate: Certificate) -> dict[str, str]:
    return {"certificate": str(certificate.file), "key": str(certificate.key)}


def refused(registry: str, folder: Path, *options: object) -> str:
    """Return the one line about a registry that is not spoken to; no file is left."""
    (folder / "made").mkdir()
    done = charon("make-payload", "-r", registry, "-f", folder / "made/p.zip", *options, "app:1")
    assert not list((folder / "made").iterdir())
    return done.line


def test_an_unknown_authority_is_one_line_that_names_the_option(tls: str, tmp_path: Path) -> None:
    line = refused(tls, tmp_path)
    assert f"the certificate of {tls} is not trusted" in line
    assert CA in line


def test_another_authority_is_as_unknown(tls: str, tmp_path: Path) -> None:
    other = certificates.authority(tmp_path / "other")
    assert CA in refused(tls, tmp_path, "--cacert", other.file)


def test_a_certificate_for_another_name_is_one_line(
    source: str, guards: Guards, tmp_path: Path
) -> None:
    other = certificates.server_certificate(guards.authority, tmp_path / "o", ("DNS:example.com",))
    port = registries.free_port()
    before = server(port, source, certificate=other)
    with nginx(tmp_path / "nginx", before, port=port) as address:
        assert f"the certificate of {address}" in refused(
            address, tmp_path, "--cacert", guards.authority.file
        )


def test_the_option_makes_it_trusted(
    tls: str, app: images.TestImage, authority: Path, tmp_path: Path, destination: str
) -> None:
    payload = tmp_path / "p.zip"
    options = ("-q", "-r", tls, "--cacert", authority, "-f", payload)
    made = charon("make-payload", *options, "app:1")
    assert (made.status, made.stdout, made.stderr) == (0, "", "")
    pushed = charon("push-payload", *options)
    assert (pushed.status, pushed.stdout, pushed.stderr) == (0, "app:1\n", "")
    push_payload_to_registry(destination, payload, True, secure=False)
    assert images.read(destination, "app:1") == app.contents()


@pytest.mark.parametrize("kind", [str, Path])
def test_the_argument_makes_it_trusted(
    tls: str, authority: Path, tmp_path: Path, kind: Callable[[Path], str | os.PathLike[str]]
) -> None:
    make_payload(tls, tmp_path / "p.zip", ["app:1"], cacert=kind(authority))
    assert push_payload_to_registry(tls, tmp_path / "p.zip", True, cacert=kind(authority)) == [
        "app:1"
    ]


def test_the_variable_of_requests_makes_it_trusted(
    tls: str, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    make_payload(tls, tmp_path / "p.zip", ["app:1"])


def test_the_option_is_added_to_what_the_variable_names(
    tls: str, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificates.authority(tmp_path / "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.file))
    make_payload(tls, tmp_path / "p.zip", ["app:1"], cacert=authority)


@pytest.fixture(params=["missing", "garbage", "empty", "half"])
def no_certificates(request: pytest.FixtureRequest, authority: Path, tmp_path: Path) -> Path:
    """Return what is no file of certificates."""
    file = tmp_path / "ca.pem"
    if request.param == "half":
        file.write_text(authority.read_text()[:300])
    elif request.param != "missing":
        file.write_text("not PEM\n" if request.param == "garbage" else "")
    return file


def test_what_is_no_file_of_certificates_is_one_line(no_certificates: Path, tmp_path: Path) -> None:
    line = refused("127.0.0.1:1", tmp_path, "--cacert", no_certificates)
    assert str(no_certificates) in line


def test_a_variable_that_names_no_certificates_is_one_line(
    source: str, no_certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(no_certificates))
    assert "REQUESTS_CA_BUNDLE" in refused(source, tmp_path)


@pytest.mark.parametrize("options", [[], ["-u", "me", "-p", "secret"]])
def test_plain_http_to_a_tls_port_is_one_line_that_says_so(
    tls: str, tmp_path: Path, options: list[str]
) -> None:
    line = refused(tls, tmp_path, "--insecure", *options)
    assert tls in line
    assert "leave --insecure" in line


@pytest.mark.usefixtures("app")
def test_tls_to_a_plain_port_is_one_line_that_says_so(source: str, tmp_path: Path) -> None:
    line = refused(source, tmp_path)
    assert f"{source} does not speak TLS" in line
    assert "--insecure" in line


@pytest.mark.usefixtures("app")
def test_a_token_service_of_the_same_authority_is_trusted_too(
    guards: Guards, authority: Path, tmp_path: Path
) -> None:
    http = {"tls": tls_section(guards.certificate)}
    with (
        guards.token_service(certificate=guards.certificate) as tokens,
        guarded(tmp_path / "source", tokens.auth, http=http) as registry,
    ):
        make_payload(registry, tmp_path / "p.zip", ["app:1"], cacert=authority, **LOGIN)
        assert len(tokens.given) == 1


@pytest.mark.usefixtures("app")
def test_a_token_service_of_an_unknown_authority_is_one_line(
    guards: Guards, authority: Path, tmp_path: Path
) -> None:
    unknown = certificates.server_certificate(
        certificates.authority(tmp_path / "unknown"), tmp_path / "unknown"
    )
    with (
        guards.token_service(certificate=unknown) as tokens,
        guarded(
            tmp_path / "source", tokens.auth, http={"tls": tls_section(guards.certificate)}
        ) as registry,
    ):
        line = refused(registry, tmp_path, "--cacert", authority, "-u", "me", "-p", "secret")
        assert not tokens.requests
    assert registry in line
    assert f"the certificate of {tokens.realm} is not trusted" in line
    assert CA in line


@pytest.mark.usefixtures("app")
def test_a_login_is_not_sent_in_the_clear_for_a_registry_on_tls(
    guards: Guards, authority: Path, tmp_path: Path
) -> None:
    http = {"tls": tls_section(guards.certificate)}
    with (
        guards.token_service() as tokens,
        guarded(tmp_path / "source", tokens.auth, http=http) as registry,
    ):
        with pytest.raises(AuthenticationError, match=f"{registry}.*plain HTTP.*refused") as caught:
            make_payload(registry, tmp_path / "p.zip", ["app:1"], cacert=authority, **LOGIN)
        assert not tokens.requests
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("expired", "the certificate of {}, or of its authority, has expired; the clock of"),
        (
            "not yet valid",
            "the certificate of {}, or of its authority, is not yet valid; the clock",
        ),
        ("another name", "the certificate of {} is for another name; use the name"),
        ("another authority", "the certificate of {} is not trusted; name your own authority's"),
    ],
)
def test_each_reason_for_a_refused_certificate_has_its_own_message(
    source: str, guards: Guards, tmp_path: Path, made: str, words: str
) -> None:
    issuer, folder = guards.authority, tmp_path / "server"
    if made == "expired":
        own = certificates.server_certificate_valid(issuer, folder, certificates.EXPIRED)
    elif made == "not yet valid":
        own = certificates.server_certificate_valid(issuer, folder, certificates.NOT_YET_VALID)
    elif made == "another name":
        own = certificates.server_certificate(issuer, folder, ("DNS:example.com",))
    else:
        own = certificates.server_certificate(certificates.authority(tmp_path / "other"), folder)
    port = registries.free_port()
    with nginx(tmp_path / "nginx", server(port, source, certificate=own), port=port) as address:
        line = refused(address, tmp_path, "--cacert", guards.authority.file)
    assert words.format(address) in line


@pytest.fixture(scope="module")
def client(guards: Guards) -> Certificate:
    """Return the certificate of a user whom the servers of the tests know."""
    return certificates.client_certificate(guards.authority, guards.authority.file.parent)


@pytest.fixture(params=["nginx", "TLS 1.2", "docker-registry"])
def mutual(
    request: pytest.FixtureRequest,
    source: str,
    app: images.TestImage,
    guards: Guards,
    client: Certificate,
    tmp_path: Path,
) -> Iterator[str]:
    """Let a server that wants a client certificate stand before the image."""
    if request.param == "docker-registry":
        tls = {**tls_section(guards.certificate), "clientcas": [str(guards.authority.file)]}
        storage = {"filesystem": {"rootdirectory": str(tmp_path / "source/data")}}
        with registries.docker_registry(
            tmp_path / "mutual",
            http={"tls": tls},
            client=(str(client.file), str(client.key)),
            storage=storage,
        ) as address:
            yield address
        return
    directives = [
        *wants_client(guards),
        *(["ssl_protocols TLSv1.2;"] if "1.2" in request.param else []),
    ]
    port = registries.free_port()
    before = server(port, source, *directives, certificate=guards.certificate)
    with nginx(tmp_path / "mutual", before, port=port) as address:
        yield address


def wants_client(guards: Guards) -> list[str]:
    """Return the directives of an nginx that wants a client certificate."""
    return [f"ssl_client_certificate {guards.authority.file};", "ssl_verify_client on;"]


def test_a_server_that_wants_a_client_certificate_is_one_line_that_says_so(
    mutual: str, authority: Path, tmp_path: Path
) -> None:
    line = refused(mutual, tmp_path, "--cacert", authority)
    assert f"{mutual} wants a client certificate; give one with --cert FILE and --key" in line


def test_a_client_certificate_that_the_server_does_not_know_is_one_line_that_names_it(
    mutual: str, authority: Path, tmp_path: Path
) -> None:
    unknown = certificates.client_certificate(
        certificates.authority(tmp_path / "u"), tmp_path / "u"
    )
    options = ("--cacert", authority, "--cert", unknown.file, "--key", unknown.key)
    line = refused(mutual, tmp_path, *options)
    assert f"{mutual} refuses the client certificate in {unknown.file}" in line


def test_the_options_name_the_client_certificate_of_every_command(
    mutual: str, authority: Path, client: Certificate, tmp_path: Path
) -> None:
    options = (
        "-q",
        "-r",
        mutual,
        "--cacert",
        authority,
        "--cert",
        client.file,
        "--key",
        client.key,
    )
    for command in (
        ("make-payload", "-f", tmp_path / "p.zip", "app:1"),
        ("push-payload", "-f", tmp_path / "p.zip"),
        ("make-inventory", "-f", tmp_path / "i.zip", "app:1"),
    ):
        done = charon(command[0], *options, *command[1:])
        assert (done.status, done.stderr) == (0, "")


def test_the_argument_names_the_client_certificate(
    mutual: str, authority: Path, client: Certificate, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    pair = (client.file, str(client.key))
    make_payload(mutual, payload, ["app:1"], cacert=authority, cert=pair)
    both = tmp_path / "both.pem"
    both.write_bytes(client.file.read_bytes() + client.key.read_bytes())
    assert push_payload_to_registry(mutual, payload, cacert=authority, cert=both) == ["app:1"]
    make_inventory(mutual, tmp_path / "i.zip", ["app:1"], cacert=authority, cert=both)


@pytest.mark.parametrize("folder", [".config/docker", ".config/containers"])
def test_what_docker_and_podman_have_in_certs_d_is_used(
    mutual: str,
    guards: Guards,
    client: Certificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
) -> None:
    set_home(monkeypatch, tmp_path)
    own = tmp_path / folder / "certs.d" / mutual
    own.mkdir(parents=True)
    for name, file in (
        ("ca.crt", guards.authority.file),
        ("client.cert", client.file),
        ("client.key", client.key),
    ):
        (own / name).write_bytes(file.read_bytes())
    make_payload(mutual, tmp_path / "p.zip", ["app:1"])
    (own / "client.key").unlink()
    line = refused(mutual, tmp_path)
    assert f"the client certificate {own / 'client.cert'} has no key beside it" in line


@pytest.mark.usefixtures("app")
def test_a_key_is_not_shown_to_another_host_after_a_redirect(
    source: str, guards: Guards, authority: Path, client: Certificate, tmp_path: Path
) -> None:
    port, elsewhere = registries.free_port(), registries.free_port()
    redirect = f"location ~ /blobs/ {{ return 307 https://127.0.0.1:{elsewhere}$request_uri; }}"
    servers = [
        server(port, source, *wants_client(guards), redirect, certificate=guards.certificate),
        server(elsewhere, source, *wants_client(guards), certificate=guards.certificate),
    ]
    with (
        nginx(tmp_path / "nginx", *servers, port=port) as address,
        pytest.raises(RegistryError, match=f"127.0.0.1:{elsewhere} wants a client certificate"),
    ):
        make_payload(
            address,
            tmp_path / "p.zip",
            ["app:1"],
            cacert=authority,
            cert=(client.file, client.key),
        )


def test_a_client_certificate_without_tls_is_one_line(client: Certificate, tmp_path: Path) -> None:
    line = refused("127.0.0.1:1", tmp_path, "-i", "--cert", client.file, "--key", client.key)
    assert "a client certificate is of no use with plain HTTP to 127.0.0.1:1" in line


def test_a_key_without_its_certificate_is_wrong_usage(client: Certificate, tmp_path: Path) -> None:
    done = charon("make-payload", "-r", "r.example", "-f", tmp_path / "p", "--key", client.key, "a")
    assert done.status == 2
    assert "--cert" in done.stderr
