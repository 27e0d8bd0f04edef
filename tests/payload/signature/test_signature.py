"""Signatures: who signed is told, and what was changed or signed by others is refused."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import require
from docker_charon import PayloadError
from docker_charon.payload.format.signed_text import signed_text
from docker_charon.payload.signature.signature import Signature, sign
from signers import allow, make_key

TEXT = signed_text({"payload_descriptor.json": b"{}", "index.json": b"[]", "oci-layout": b""})


@pytest.fixture(scope="module", autouse=True)
def _with_ssh_keygen() -> None:
    require(shutil.which("ssh-keygen") is not None, "ssh-keygen")


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    return make_key(tmp_path, "alice")


@pytest.fixture
def bob(tmp_path: Path) -> Path:
    return make_key(tmp_path, "bob")


@pytest.fixture
def allowed(tmp_path: Path, alice: Path) -> Path:
    return allow(tmp_path / "allowed", alice)


def verify(content: bytes, allowed: Path, text: bytes = TEXT) -> str:
    return Signature.parse(content).verify(text, allowed, "p.zip")


def test_the_name_is_that_of_the_file_of_allowed_signers(alice: Path, allowed: Path) -> None:
    assert verify(sign(TEXT, alice), allowed) == "alice@example.com"


@pytest.mark.skipif(os.name == "nt", reason="permissions are something else on Windows")
def test_a_key_that_others_may_read_is_refused_with_the_reason(alice: Path) -> None:
    alice.chmod(0o644)
    reason = r"cannot sign with .* \(Permissions 0644 for .*too open.*\); .*chmod 600"
    with pytest.raises(PayloadError, match=reason):
        sign(TEXT, alice)


def test_the_one_of_many_who_signed_is_named(tmp_path: Path, alice: Path, bob: Path) -> None:
    both = allow(tmp_path / "both", alice, bob)
    assert verify(sign(TEXT, alice), both) == "alice@example.com"
    assert verify(sign(TEXT, bob), both) == "bob@example.com"


def test_a_key_may_stand_for_several_names(tmp_path: Path, alice: Path) -> None:
    key = " ".join(alice.with_name("alice.pub").read_text().split()[:2])
    file = tmp_path / "allowed"
    file.write_text(f"alice@example.com,release@example.com {key}\n")
    assert verify(sign(TEXT, alice), file) == "alice@example.com"
    file.write_text(f"*@example.com {key}\n")
    assert verify(sign(TEXT, alice), file) == "*@example.com"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_key_signs(tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path, kind, kind)
    assert verify(sign(TEXT, key), allow(tmp_path / "allowed", key)) == f"{kind}@example.com"


def test_an_ed25519_key_signs_with_the_same_bytes_again(alice: Path) -> None:
    assert sign(TEXT, alice) == sign(TEXT, alice)


def test_a_key_with_a_passphrase_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path, "carol", passphrase="secret phrase")
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho secret phrase\n")
    ask.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(ask))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    assert verify(sign(TEXT, key), allow(tmp_path / "allowed", key)) == "carol@example.com"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run an agent."""
    socket = f"{tmp_path.parent}/{hashlib.sha256(bytes(tmp_path)).hexdigest()[:8]}"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.usefixtures("agent")
def test_a_key_in_an_agent_signs(alice: Path, allowed: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(alice)], check=True)
    alice.unlink()
    assert verify(sign(TEXT, alice.with_name("alice.pub")), allowed) == "alice@example.com"


def test_anyone_can_check_it_with_the_programs_of_the_system(
    tmp_path: Path, alice: Path, allowed: Path
) -> None:
    (tmp_path / "signature").write_bytes(sign(TEXT, alice))
    who = ["-f", "allowed", "-I", "alice@example.com"]
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", *who, "-n", "docker-charon", "-s", "signature"],
        cwd=tmp_path,
        input=TEXT,
        check=True,
        capture_output=True,
    )


def test_the_key_is_shown_as_ssh_keygen_shows_it(alice: Path) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{alice}.pub"], check=True, capture_output=True, text=True
    ).stdout
    key = Signature.parse(sign(TEXT, alice)).key
    assert key == f"ssh-ed25519 {shown.split()[1]}"


def test_another_text_is_refused(alice: Path, allowed: Path) -> None:
    with pytest.raises(PayloadError, match=r"is not what alice@example\.com signed"):
        verify(sign(TEXT, alice), allowed, TEXT + b"x")


def test_somebody_elses_signature_is_refused(bob: Path, allowed: Path) -> None:
    with pytest.raises(
        PayloadError, match=rf"^p[.]zip is signed with .*SHA256:.*, which is not in {allowed}"
    ):
        verify(sign(TEXT, bob), allowed)


@pytest.mark.parametrize(
    "options", ['namespaces="git"', 'valid-before="20200101"', 'valid-after="20990101"']
)
def test_a_key_that_may_not_sign_payloads_now_is_refused(
    tmp_path: Path, alice: Path, options: str
) -> None:
    with pytest.raises(PayloadError):
        verify(sign(TEXT, alice), allow(tmp_path / "allowed", alice, options=options))
    fine = 'namespaces="docker-charon",valid-after="20200101"'
    assert verify(sign(TEXT, alice), allow(tmp_path / "allowed", alice, options=fine))


def test_a_signature_for_something_else_is_refused(
    tmp_path: Path, alice: Path, allowed: Path
) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(alice), str(tmp_path / "text")],
        check=True,
    )
    with pytest.raises(PayloadError, match="was made for something else than payloads"):
        verify((tmp_path / "text.sig").read_bytes(), allowed)


def armored(blob: bytes) -> bytes:
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    begin, end = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
    return "\n".join([begin, *lines, end, ""]).encode()


def dearmored(content: bytes) -> bytes:
    return base64.b64decode(b"".join(content.splitlines()[1:-1]))


def test_every_bit_of_it_counts(alice: Path) -> None:
    """A signature has one way to be written: another one is not read at all, or another one."""
    content = sign(TEXT, alice)
    right = dearmored(content)
    for position in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            try:
                read = Signature.parse(bytes(changed)).content
            except PayloadError:
                continue
            assert dearmored(read) != right


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff", b"-" * 100, armored(b""), armored(b"SSHSIG"), armored(bytes(1000))],
)
def test_what_is_no_signature_is_refused(content: bytes) -> None:
    with pytest.raises(PayloadError, match="is not a signature of ssh-keygen"):
        Signature.parse(content)


def test_bytes_that_ssh_keygen_ignores_are_refused(alice: Path) -> None:
    content = sign(TEXT, alice)
    blob = dearmored(content)
    empty = blob.index(b"docker-charon") + len(b"docker-charon")
    assert blob[empty : empty + 4] == bytes(4)
    stuffed = blob[:empty] + b"\0\0\0\1x" + blob[empty + 4 :]
    with pytest.raises(PayloadError, match="was made for something else"):
        Signature.parse(armored(stuffed))
    for other in (blob + b"x", blob + bytes(4), blob[:-1], blob.replace(b"\0\0\0\1", b"\0\0\0\2")):
        with pytest.raises(PayloadError):
            Signature.parse(armored(other))
    for text in (content[:-1], content + b"\n", content.replace(b"\n", b"\r\n"), b" " + content):
        with pytest.raises(PayloadError):
            Signature.parse(text)
    assert armored(blob) == content


@pytest.mark.posix
def test_a_key_is_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PayloadError, match=r"cannot read the key .*: it is a pipe"):
        sign(TEXT, tmp_path / "pipe")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the path of a descriptor")
def test_a_key_may_be_an_open_file(alice: Path) -> None:
    with alice.open("rb") as key:
        assert sign(TEXT, f"/dev/fd/{key.fileno()}") == sign(TEXT, alice)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=f"cannot read the key {tmp_path}/none: No such file"):
        sign(TEXT, tmp_path / "none")


@pytest.mark.parametrize("content", ["", "nonsense\n", "alice@example.com ssh-ed25519 AAAA\n"])
def test_a_file_of_allowed_signers_that_names_nobody_is_told(
    tmp_path: Path, alice: Path, content: str
) -> None:
    (tmp_path / "allowed").write_text(content)
    with pytest.raises(PayloadError, match=f"is not in {tmp_path}/allowed"):
        verify(sign(TEXT, alice), tmp_path / "allowed")


@pytest.mark.parametrize("name", ["ssh-release@example.com", "ecdsa-team", "sk-ssh-desk"])
def test_a_name_may_begin_as_the_type_of_a_key_does(tmp_path: Path, alice: Path, name: str) -> None:
    file = tmp_path / "signers"
    file.write_text(f"{name} {alice.with_suffix('.pub').read_text()}")
    assert verify(sign(TEXT, alice), file) == name


def test_without_ssh_keygen_it_is_said_what_to_install(
    tmp_path: Path, alice: Path, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = sign(TEXT, alice)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    for attempt in (lambda: sign(TEXT, alice), lambda: verify(content, allowed)):
        with pytest.raises(PayloadError, match=r"no ssh-keygen .*; install OpenSSH"):
            attempt()
