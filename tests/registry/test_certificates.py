"""Certificates: the folders of Docker and Podman, and the files that a caller names."""

from __future__ import annotations

import errno
import logging
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import certificates as openssl
from certificates import Certificate
from conftest import require, set_home
from docker_charon import RegistryError
from docker_charon.registry import certificates as module
from docker_charon.registry.certificates import (
    Certificates,
    ClientCertificate,
    find_certificates,
    tls_context,
)

REGISTRY = "registry.example:5000"


@pytest.fixture(autouse=True)
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the machine's own certificates out; return where those of the tests are."""
    folder = tmp_path / "etc"
    monkeypatch.setattr(
        module, "SYSTEM_FOLDERS", (folder / "containers/certs.d", folder / "docker/certs.d")
    )
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for variable in module.BUNDLE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    set_home(monkeypatch, tmp_path / "home")
    return folder


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    require(openssl.is_installed(), openssl.PROGRAM)
    return openssl.authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Certificate) -> Certificate:
    return openssl.server_certificate(authority, authority.file.parent)


@pytest.fixture(scope="module")
def client(authority: Certificate) -> Certificate:
    return openssl.client_certificate(authority, authority.file.parent)


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("x")


@pytest.mark.parametrize(
    "place",
    [
        "home/.config/containers/certs.d",
        "home/.config/docker/certs.d",
        "etc/containers/certs.d",
        "etc/docker/certs.d",
    ],
)
def test_the_folders_of_docker_and_podman_are_read(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place / REGISTRY
    put(folder, "ca.crt", "more.crt", "client.cert", "client.key", "notes.txt")
    assert find_certificates(REGISTRY) == Certificates(
        (folder / "ca.crt", folder / "more.crt"),
        ClientCertificate(folder / "client.cert", folder / "client.key"),
    )


def test_the_users_folders_follow_the_configuration_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    put(tmp_path / "settings/docker/certs.d" / REGISTRY, "ca.crt")
    assert len(find_certificates(REGISTRY).authorities) == 1


def test_all_authorities_are_trusted_and_the_users_own_client_certificate_comes_first(
    tmp_path: Path, etc: Path
) -> None:
    own = tmp_path / "home/.config/docker/certs.d" / REGISTRY
    put(own, "b.crt", "me.cert", "me.key", "second.cert", "second.key")
    put(etc / "docker/certs.d" / REGISTRY, "a.crt", "all.cert", "all.key")
    found = find_certificates(REGISTRY)
    assert [path.name for path in found.authorities] == ["b.crt", "a.crt"]
    assert found.client == ClientCertificate(own / "me.cert", own / "me.key")


@pytest.mark.parametrize(
    ("folder", "registry", "is_its_own"),
    [
        ("registry.example", "registry.example", True),
        ("registry.example:443", "registry.example", True),
        ("registry.example", "registry.example:443", True),
        ("registry.example:443", "registry.example:443", True),
        ("registry.example", "registry.example:5000", False),
        ("registry.example:5000", "registry.example", False),
        ("other.example", "registry.example", False),
        ("[::1]:5000", "[::1]:5000", True),
        ("docker.io", "registry-1.docker.io", True),
        ("registry-1.docker.io", "docker.io", True),
        ("index.docker.io", "docker.io:443", True),
    ],
)
def test_a_folder_is_for_its_host_and_port(
    etc: Path, folder: str, registry: str, is_its_own: bool
) -> None:
    put(etc / "docker/certs.d" / folder, "ca.crt")
    assert bool(find_certificates(registry).authorities) == is_its_own


@pytest.mark.parametrize(
    ("name", "missing"), [("client.cert", "client.key"), ("client.key", "client.cert")]
)
def test_half_a_pair_is_one_line_that_names_the_other_half(
    etc: Path, name: str, missing: str
) -> None:
    folder = etc / "docker/certs.d" / REGISTRY
    put(folder, name)
    with pytest.raises(RegistryError) as caught:
        find_certificates(REGISTRY)
    assert str(folder / name) in caught.value.message
    assert missing in caught.value.hint
    assert ".crt" in caught.value.hint


def test_what_this_user_may_not_read_is_left_out_with_a_warning(
    etc: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = etc / "docker/certs.d" / REGISTRY
    put(folder, "ca.crt", "client.cert", "client.key")
    monkeypatch.setattr(os, "access", lambda path, mode: path.suffix != ".key")  # root may read all
    assert find_certificates(REGISTRY) == Certificates((folder / "ca.crt",))
    assert str(folder / "client.key") in caplog.text


def test_without_folders_there_is_nothing(etc: Path) -> None:
    put(etc / "docker", "certs.d")  # a file in place of the folder
    assert find_certificates(REGISTRY) == Certificates()


class Handshakes:
    """A server that only shakes hands; it wants a client certificate of ``authority``, if given."""

    def __init__(self, certificate: Certificate, authority: Certificate | None) -> None:
        self._context = certificate.server_context()
        if authority is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(authority.file)

    def greet(self, context: ssl.SSLContext) -> str:
        """Shake hands with a client; return what identifies it, and raise what it raises."""
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = context.wrap_bio(to_client, to_server, server_hostname="localhost")
        its = self._context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for side in (ours, its):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        return str(its.getpeercert())


def test_an_authority_of_the_folder_is_trusted(authority: Certificate, server: Certificate) -> None:
    server_side = Handshakes(server, None)
    with pytest.raises(ssl.SSLCertVerificationError):
        server_side.greet(tls_context(Certificates()))
    server_side.greet(tls_context(Certificates((authority.file,))))


def test_the_file_that_a_caller_names_is_trusted_as_well(
    authority: Certificate, server: Certificate, tmp_path: Path
) -> None:
    other = openssl.authority(tmp_path)
    for trusted in (str(authority.file), authority.file):
        Handshakes(server, None).greet(tls_context(Certificates((other.file,)), trusted))


@pytest.mark.parametrize("first", [None, "", "no PEM"])
def test_the_authorities_of_the_machine_are_trusted_although_python_does_not_know_them(
    authority: Certificate,
    server: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: str | None,
) -> None:
    nowhere = tmp_path / "first.pem"
    if first is not None:
        nowhere.write_text(first)
    monkeypatch.setattr(module, "SYSTEM_BUNDLES", (nowhere, authority.file))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=None))
    server_side = Handshakes(server, None)
    if first is None:
        server_side.greet(tls_context(Certificates()))
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            server_side.greet(tls_context(Certificates()))


def test_a_folder_of_authorities_that_this_user_may_not_search_is_passed_over(
    authority: Certificate,
    server: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    hidden, stat = tmp_path / "hidden.pem", os.stat

    def stat_of_this_user(path: Any, **options: Any) -> os.stat_result:
        if os.fspath(path) == str(hidden):
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(module, "SYSTEM_BUNDLES", (hidden, authority.file))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=None))
    monkeypatch.setattr(os, "stat", stat_of_this_user)
    Handshakes(server, None).greet(tls_context(Certificates()))


@pytest.mark.parametrize("variable", module.BUNDLE_VARIABLES)
def test_a_variable_names_the_usual_authorities(
    authority: Certificate, server: Certificate, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority.file))
    Handshakes(server, None).greet(tls_context(Certificates()))


def test_the_first_variable_counts(
    authority: Certificate, server: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(openssl.authority(tmp_path).file))
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshakes(server, None).greet(tls_context(Certificates()))


def test_an_authority_that_is_installed_on_the_machine_is_trusted(
    authority: Certificate, server: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    openssl.install(authority, tmp_path)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    Handshakes(server, None).greet(tls_context(Certificates()))


def test_a_certificate_as_windows_exports_it_is_trusted(
    authority: Certificate, server: Certificate, tmp_path: Path
) -> None:
    exported = tmp_path / "authority.cer"
    exported.write_bytes(ssl.PEM_cert_to_DER_cert(authority.file.read_text()))
    Handshakes(server, None).greet(tls_context(Certificates(), exported))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_certificate_that_windows_has_saved_as_text_is_trusted(
    authority: Certificate, server: Certificate, tmp_path: Path, encoding: str
) -> None:
    saved = tmp_path / "authority.crt"
    saved.write_text(f"# Über uns\n{authority.file.read_text()}", encoding)
    Handshakes(server, None).greet(tls_context(Certificates(), saved))


@pytest.mark.posix
def test_what_is_read_several_times_is_no_pipe(client: Certificate, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(
            RegistryError, match=f"cannot read the certificates in .*: it is {kind}"
        ):
            tls_context(Certificates(), path)
        for line in (refused(path, client.key), refused(client.file, path)):
            assert f"{path}: it is {kind}; write its content to a file first" in line


def test_a_client_certificate_that_is_marked_as_text_is_one_line(
    client: Certificate, tmp_path: Path
) -> None:
    marked = tmp_path / "client.pem"
    marked.write_text(client.file.read_text(), "utf-8-sig")
    assert "save it without that mark" in refused(marked, client.key)


def test_the_usual_authorities_stay_trusted(authority: Certificate) -> None:
    usual = len(tls_context(Certificates()).get_ca_certs())
    assert usual > 50
    assert len(tls_context(Certificates(), authority.file).get_ca_certs()) == usual + 1


def test_a_certificate_in_the_middle_of_a_chain_can_be_trusted(server: Certificate) -> None:
    Handshakes(server, None).greet(tls_context(Certificates((server.file,))))


def test_what_rfc_5280_wants_besides_is_not_demanded() -> None:
    assert not tls_context(Certificates()).verify_flags & ssl.VERIFY_X509_STRICT


@pytest.fixture(params=["two files", "one file"])
def argument(
    request: pytest.FixtureRequest, client: Certificate, tmp_path: Path
) -> Iterator[str | tuple[Path, Path]]:
    if request.param == "one file":
        both = tmp_path / "both.pem"
        both.write_bytes(client.key.read_bytes() + client.file.read_bytes())
        yield str(both)
    else:
        yield client.file, client.key


def test_the_client_certificate_is_shown_to_a_server_that_wants_it(
    authority: Certificate, server: Certificate, argument: str | tuple[Path, Path]
) -> None:
    certificates = Certificates((authority.file,), ClientCertificate.of(argument))
    assert "test client" in Handshakes(server, authority).greet(tls_context(certificates))


def refused(certificate: Path, key: Path) -> str:
    """Return the one line about a client certificate that cannot be used."""
    client = ClientCertificate.of((certificate, key))
    with pytest.raises(RegistryError) as caught:
        tls_context(Certificates((), client))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_encrypted_key_is_one_line_and_no_question(client: Certificate, tmp_path: Path) -> None:
    key = openssl.encrypted(client.key, tmp_path / "encrypted.key")
    done: list[str] = []
    asking = threading.Thread(target=lambda: done.append(refused(client.file, key)), daemon=True)
    asking.start()
    asking.join(30)
    assert done == [
        f"the private key in {key} is encrypted; decrypt it, for example with: "
        "openssl pkey -in KEY -out NEW-KEY"
    ]


def test_a_key_of_another_certificate_is_one_line_that_names_both(
    client: Certificate, server: Certificate
) -> None:
    line = refused(client.file, server.key)
    assert f"the private key in {server.key} does not belong to" in line
    assert str(client.file) in line


@pytest.mark.parametrize("content", [None, "", "no PEM", "half"])
@pytest.mark.parametrize("which", ["certificate", "private key"])
def test_what_is_not_pem_is_one_line_that_names_the_file(
    client: Certificate, tmp_path: Path, which: str, content: str | None
) -> None:
    file, key = client.file, client.key
    broken = tmp_path / "broken.pem"
    if content == "half":
        original = file if which == "certificate" else key
        broken.write_text(original.read_text()[:200])
    elif content is not None:
        broken.write_text(content)
    line = refused(broken, key) if which == "certificate" else refused(file, broken)
    assert str(broken) in line
    assert which in line


@pytest.mark.parametrize("content", [None, b"", b"no PEM", b"0\x82 half"])
def test_a_named_file_without_certificates_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_bytes(content)
    with pytest.raises(RegistryError, match=str(broken)):
        tls_context(Certificates(), broken)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(broken))
    with pytest.raises(RegistryError, match=f"{broken}, which REQUESTS_CA_BUNDLE names"):
        tls_context(Certificates())


def test_a_file_of_the_folder_without_certificates_is_ignored_with_a_warning(
    authority: Certificate, server: Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    put(tmp_path, "broken.crt")
    context = tls_context(Certificates((tmp_path / "broken.crt", authority.file)))
    Handshakes(server, None).greet(context)
    assert str(tmp_path / "broken.crt") in caplog.text


def test_usual_authorities_that_are_missing_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "missing.pem")
    monkeypatch.setattr(module, "DEFAULT_CA_BUNDLE_PATH", missing)
    with pytest.raises(
        RegistryError, match=f"cannot read the certificates in {missing}: No such file"
    ):
        tls_context(Certificates())
