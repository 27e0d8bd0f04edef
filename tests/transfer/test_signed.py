"""Signed payloads: who made them is verified before anything else, on every way in."""

from __future__ import annotations

import io
import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import images
from conftest import Sent, require
from docker_charon import (
    DigestMismatch,
    DockerCharonError,
    PayloadError,
    inspect_payload,
    make_payload,
    push_payload_to_registry,
    serve,
    verify_payload,
)
from docker_charon.payload.format.signed_text import signed_text
from docker_charon.payload.reader import open_payload
from docker_charon.payload.signature.signature import Signature, sign
from images import TestImage, image, layer
from payloads import unzipped, zipped
from signers import allow, make_key

WITH_BOTH_REGISTRIES = True


@pytest.fixture(autouse=True)
def _with_ssh_keygen() -> None:
    require(shutil.which("ssh-keygen") is not None, "ssh-keygen")


@pytest.fixture
def app(source: str) -> TestImage:
    return images.put(source, "app:1", image(layer(1), layer(2)))


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    return make_key(tmp_path, "alice")


@pytest.fixture
def allowed(tmp_path: Path, alice: Path) -> Path:
    return allow(tmp_path / "allowed", alice)


@pytest.fixture
def payload(source: str, app: TestImage, alice: Path, tmp_path: Path) -> Path:
    path = tmp_path / "p.zip"
    make_payload(source, path, ["app:1"], secure=False, sign=alice)
    return path


def test_a_signed_payload_is_pushed_and_its_signer_is_told(
    destination: str,
    app: TestImage,
    payload: Path,
    allowed: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    pushed = push_payload_to_registry(destination, payload, secure=False, allowed_signers=allowed)
    assert pushed == ["app:1"]
    assert images.read(destination, "app:1") == app.contents()
    assert (
        f"{payload} is signed by alice@example.com, with the key ssh-ed25519 SHA256:"
        in (caplog.messages[0])
    )


def test_who_gives_no_signers_takes_it_all_the_same(
    destination: str, app: TestImage, payload: Path
) -> None:
    assert push_payload_to_registry(destination, payload, secure=False) == ["app:1"]


def test_only_the_signature_is_added(
    source: str, payload: Path, alice: Path, tmp_path: Path
) -> None:
    make_payload(source, tmp_path / "unsigned.zip", ["app:1"], secure=False)
    signed, unsigned = (
        unzipped(path.read_bytes()) for path in (payload, tmp_path / "unsigned.zip")
    )
    del signed["signature"]
    assert list(signed.items()) == list(unsigned.items())
    with zipfile.ZipFile(payload) as archive:
        assert archive.namelist()[3] == "signature"  # before the first blob
    make_payload(source, tmp_path / "again.zip", ["app:1"], secure=False, sign=alice)
    assert (tmp_path / "again.zip").read_bytes() == payload.read_bytes()


def test_an_inspection_shows_the_key_and_does_not_call_it_verified(
    payload: Path, allowed: Path
) -> None:
    summary = inspect_payload(payload)
    assert summary.signer is None
    assert summary.signing_key
    assert f"signed (not verified) with {summary.signing_key}" in summary.as_table()
    summary = inspect_payload(payload, allowed_signers=allowed)
    assert f"signed by alice@example.com with {summary.signing_key}" in summary.as_table()
    assert json.loads(summary.as_json())["signer"] == "alice@example.com"


def test_an_unsigned_payload_has_nothing_to_show(source: str, app: TestImage) -> None:
    unsigned = io.BytesIO()
    make_payload(source, unsigned, ["app:1"], secure=False)
    summary = inspect_payload(unsigned)
    assert summary.signing_key is None
    assert "signed" not in summary.as_table()


def push(payload: Any, allowed: Path) -> None:
    push_payload_to_registry("127.0.0.1:1", payload, secure=False, allowed_signers=allowed)


def serve_it(payload: Any, allowed: Path) -> None:
    with serve([payload], allowed_signers=allowed):
        pass


def verify(payload: Any, allowed: Path) -> None:
    verify_payload(payload, allowed_signers=allowed)


def inspect(payload: Any, allowed: Path) -> None:
    inspect_payload(payload, allowed_signers=allowed)


WAYS = pytest.mark.parametrize("way", [push, serve_it, verify, inspect])


@WAYS
def test_an_unsigned_payload_is_refused(
    source: str, app: TestImage, allowed: Path, sent: list[Sent], way: Callable[[Any, Path], None]
) -> None:
    unsigned = io.BytesIO()
    make_payload(source, unsigned, ["app:1"], secure=False)
    sent.clear()
    with pytest.raises(
        PayloadError, match=rf"is not signed, and only signers in {allowed} .*sign="
    ):
        way(unsigned, allowed)
    assert not sent


@WAYS
def test_somebody_elses_payload_is_refused(
    source: str,
    app: TestImage,
    allowed: Path,
    tmp_path: Path,
    sent: list[Sent],
    way: Callable[[Any, Path], None],
) -> None:
    path = tmp_path / "p.zip"
    make_payload(source, path, ["app:1"], secure=False, sign=make_key(tmp_path, "mallory"))
    sent.clear()
    with pytest.raises(PayloadError, match=f"which is not in {allowed}"):
        way(path, allowed)
    assert not sent


def rename_image(content: dict[str, bytes]) -> None:
    for path in ("index.json", "payload_descriptor.json"):
        content[path] = content[path].replace(b"app:1", b"app:2")


def add_space(content: dict[str, bytes]) -> None:
    content["payload_descriptor.json"] += b" "


def change_layout(content: dict[str, bytes]) -> None:
    content["oci-layout"] = b'{"imageLayoutVersion":"2.0.0"}'


def drop_layout(content: dict[str, bytes]) -> None:
    del content["oci-layout"]


def add_document(content: dict[str, bytes]) -> None:
    content["ledger"] = b"{}"


def add_hidden_document(content: dict[str, bytes]) -> None:
    content["index.json\nx"] = b"{}"


@WAYS
@pytest.mark.parametrize(
    "change",
    [rename_image, add_space, change_layout, drop_layout, add_document, add_hidden_document],
)
def test_a_changed_payload_is_refused(
    payload: Path,
    allowed: Path,
    sent: list[Sent],
    way: Callable[[Any, Path], None],
    change: Callable[[dict[str, bytes]], None],
) -> None:
    content = unzipped(payload.read_bytes())
    change(content)
    sent.clear()
    with pytest.raises(PayloadError):
        way(io.BytesIO(zipped(content)), allowed)
    assert not sent


def test_a_payload_that_was_zipped_again_is_what_was_signed(payload: Path, allowed: Path) -> None:
    assert (
        verify_payload(io.BytesIO(zipped(unzipped(payload.read_bytes()))), allowed_signers=allowed)
        == []
    )


def test_a_changed_manifest_or_blob_is_refused_by_its_digest(
    destination: str, app: TestImage, payload: Path, allowed: Path
) -> None:
    for digest, error in ((app.digest, PayloadError), (images.digest_of(layer(1)), DigestMismatch)):
        content = unzipped(payload.read_bytes())
        path = "blobs/" + digest.replace(":", "/")
        content[path] = content[path][:-1] + bytes([content[path][-1] ^ 1])
        changed = io.BytesIO(zipped(content))
        with pytest.raises(error):
            push_payload_to_registry(destination, changed, secure=False, allowed_signers=allowed)
        assert images.read(destination, "app:1") is None


def test_what_was_verified_is_what_is_read(
    payload: Path, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A medium may give other bytes when it is read a second time."""
    content = unzipped(payload.read_bytes())
    file = io.BytesIO(zipped(content))
    rename_image(content)
    verify_text = Signature.verify

    def verify_then_change(self: Signature, *arguments: Any) -> str:
        signer = verify_text(self, *arguments)
        file.seek(0)
        file.write(zipped(content))
        return signer

    monkeypatch.setattr(Signature, "verify", verify_then_change)
    with open_payload(file, allowed_signers=allowed) as opened:
        assert opened.names == ("app:1",)


def test_a_payload_of_an_older_release_cannot_be_signed(
    payload: Path, alice: Path, allowed: Path, tmp_path: Path
) -> None:
    """Its manifests are found by their paths, and a signature does not cover their content."""
    content = unzipped(payload.read_bytes())
    document = json.loads(content["payload_descriptor.json"])
    del document["format_version"]
    content["payload_descriptor.json"] = json.dumps(document).encode()
    documents = {p: c for p, c in content.items() if "/" not in p and p != "signature"}
    content["signature"] = sign(signed_text(documents), alice)
    with pytest.raises(PayloadError, match=r"docker-charon 0\.4 or older cannot be signed"):
        inspect_payload(io.BytesIO(zipped(content)), allowed_signers=allowed)


def test_a_signature_is_of_all_volumes(
    source: str, destination: str, app: TestImage, alice: Path, allowed: Path, tmp_path: Path
) -> None:
    base = tmp_path / "v.zip"
    make_payload(source, base, ["app:1"], secure=False, sign=alice, volume_size=2000)
    assert push_payload_to_registry(destination, base, secure=False, allowed_signers=allowed)
    with pytest.raises(PayloadError, match=r"v\.zip\.002 is only one volume.*volumes\.json"):
        verify_payload(base.with_name("v.zip.002"), allowed_signers=allowed)


def test_a_dry_run_signs_too_and_tells_the_exact_size(
    source: str, alice: Path, payload: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    make_payload(source, io.BytesIO(), ["app:1"], secure=False, sign=alice, dry_run=True)
    assert f"in a payload of {payload.stat().st_size:,} bytes" in caplog.text


def test_a_key_that_is_missing_is_told_before_a_blob_is_fetched(
    source: str, app: TestImage, tmp_path: Path, sent: list[Sent]
) -> None:
    with pytest.raises(PayloadError, match="cannot read the key"):
        make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False, sign=tmp_path / "none")
    assert not [request for request in sent if "/blobs/" in request.url]
    assert not (tmp_path / "p.zip").exists()


def test_a_receipt_is_signed_and_only_signed_ones_correct_a_ledger(
    source: str, destination: str, app: TestImage, alice: Path, allowed: Path, tmp_path: Path
) -> None:
    ledger, payload = tmp_path / "ledger.zip", tmp_path / "week-1.zip"
    site = {"secure": False, "ledger": ledger, "sign": alice}
    make_payload(source, payload, ["app:1"], **site)  # type: ignore[arg-type]
    signed, unsigned = tmp_path / "signed.zip", tmp_path / "unsigned.zip"
    push_payload_to_registry(destination, payload, secure=False, receipt=signed, sign=alice)
    push_payload_to_registry(destination, payload, secure=False, receipt=unsigned)
    assert inspect_payload(signed, allowed_signers=allowed).signer == "alice@example.com"
    again = tmp_path / "week-2.zip"
    with pytest.raises(PayloadError, match="not signed"):
        make_payload(
            source,
            again,
            ["app:1"],
            receipts=[unsigned],
            allowed_signers=allowed,
            **site,  # type: ignore[arg-type]
        )
    make_payload(
        source,
        again,
        ["app:1"],
        receipts=[signed],
        allowed_signers=allowed,
        **site,  # type: ignore[arg-type]
    )


def test_a_push_without_a_receipt_has_nothing_to_sign(
    destination: str, payload: Path, alice: Path
) -> None:
    with pytest.raises(DockerCharonError, match="signs its receipt"):
        push_payload_to_registry(destination, payload, secure=False, sign=alice)
