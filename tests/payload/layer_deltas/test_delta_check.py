"""Verifying and inspecting payloads whose layers come as their difference to older ones."""

from __future__ import annotations

import io
import json
import logging
import tempfile
from pathlib import Path

import pytest

from command_line import charon
from delta_payloads import delta_of, payload_with_deltas, release, update, version
from docker_charon import PayloadError, inspect_payload, verify_payload
from docker_charon.deltas import extra
from docker_charon.errors import DeltaError
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.paths import delta_path
from images import digest_of, image
from payloads import changed, payload_of

V1, V2 = version(1), version(2)


pytestmark = pytest.mark.usefixtures("temporary")


def first() -> io.BytesIO:
    return io.BytesIO(payload_of({"app:1": release(1)}))


def verify(payload: bytes, *earlier: io.BytesIO) -> list[str]:
    findings = verify_payload(io.BytesIO(payload), payloads_already_transferred=earlier)
    assert [*Path(tempfile.gettempdir()).iterdir()] == []
    return findings


def with_delta(delta: bytes) -> bytes:
    """Return the update to version 2, with something else as its delta."""
    return payload_with_deltas(
        {"app:2": release(2)},
        {V2: [V1]},
        {"app:1": release(1)},
        contents_of_deltas={V2: delta},
    )


def test_right_deltas_have_no_findings() -> None:
    assert verify(update(2)) == []
    assert verify(update(2), first()) == []


def test_a_check_without_the_earlier_payloads_says_what_it_did_not_rebuild(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "docker_charon")
    assert verify(update(2)) == []
    (message,) = caplog.messages
    assert message.startswith("1 layer not rebuilt from older ones: give the earlier payloads")
    caplog.clear()
    assert verify(update(2), first()) == []
    assert "not rebuilt" not in caplog.text


def test_a_chain_of_deltas_is_rebuilt_from_payloads_alone() -> None:
    updates = [io.BytesIO(update(n)) for n in (2, 3)]
    assert verify(update(4), first(), *updates) == []


def test_a_layer_is_rebuilt_although_an_earlier_payload_carries_it_whole() -> None:
    whole = io.BytesIO(payload_of({"app:1": release(1), "app:2": release(2)}))
    delta = delta_of(V2, (V1,))
    wrong = with_delta(delta[:-40] + bytes([delta[-40] ^ 1]) + delta[-39:])
    assert verify(update(2), whole) == []
    assert len(verify(wrong, whole)) == 1


def test_a_base_that_no_earlier_payload_has_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert verify(update(3), first()) == []
    assert f"{digest_of(version(3))} is not rebuilt" in caplog.text
    assert digest_of(V2) in caplog.text


@pytest.mark.parametrize(
    "delta", [b"", b"x", delta_of(version(3), (V1,)), delta_of(V2, (version(3),))]
)
def test_a_header_that_does_not_fit_is_found_without_any_base(delta: bytes) -> None:
    [finding] = verify(with_delta(delta))
    assert f"the delta of {digest_of(V2)}" in finding


def test_a_content_that_is_wrong_is_found_with_the_bases() -> None:
    delta = delta_of(V2, (V1,))
    wrong = with_delta(delta[:-40] + bytes([delta[-40] ^ 1]) + delta[-39:])
    assert verify(wrong) == []
    [finding] = verify(wrong, first())
    assert f"{digest_of(V2)} cannot be rebuilt" in finding


def test_bytes_that_changed_on_the_way_are_found_without_bases() -> None:
    payload = bytearray(update(2))
    payload[payload.index(delta_of(V2, (V1,))) + 200] ^= 1
    [finding] = verify(bytes(payload))
    assert delta_path(Digest.of(V2)) in finding


def test_a_wrong_size_in_the_descriptor_is_found() -> None:
    def shrink(document: dict[str, dict[str, dict[str, int]]]) -> None:
        document["layer_deltas"][digest_of(V2)]["size"] -= 1

    [finding] = verify(changed(io.BytesIO(update(2)), shrink).getvalue())
    assert "bytes instead of" in finding


def test_layers_are_only_rebuilt_with_the_packages_for_deltas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extra, "_NEEDED", ("nobody.has_this",))
    assert verify(update(2)) == []
    assert verify(first().getvalue(), first()) == []
    with pytest.raises(DeltaError, match=r"docker-charon\[deltas\]"):
        verify(update(2), first())


def test_an_earlier_payload_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(PayloadError):
        verify(update(2), io.BytesIO(b"nothing"))
    with pytest.raises(TypeError, match="not a single one"):
        verify_payload(io.BytesIO(update(2)), payloads_already_transferred="payload.zip")


def test_the_command_takes_earlier_payloads(tmp_path: Path) -> None:
    (tmp_path / "1.zip").write_bytes(first().getvalue())
    (tmp_path / "2.zip").write_bytes(update(2))
    (tmp_path / "3.zip").write_bytes(update(3))
    earlier = [f"--already-transferred-payload={tmp_path}/{n}.zip" for n in (1, 2)]
    done = charon("verify-payload", tmp_path / "3.zip", *earlier)
    assert (done.status, done.stdout) == (0, "")
    assert "complete and undamaged" in done.stderr


def test_the_summary_shows_what_comes_as_a_delta() -> None:
    summary = inspect_payload(io.BytesIO(update(2)))
    [delta] = summary.deltas
    assert (delta.digest, delta.size) == (digest_of(V2), len(V2))
    assert delta.carried == len(delta_of(V2, (V1,)))
    assert delta.bases == (digest_of(V1),)
    shown = next(image for image in summary.images if image.name == "app:2")
    assert shown.lacking == 1  # the layer that both versions have
    assert summary.saved >= len(V2) - delta.carried
    assert summary.carried + summary.saved == summary.size


def test_the_summary_is_shown_as_a_table_and_as_json(tmp_path: Path) -> None:
    payload = tmp_path / "2.zip"
    payload.write_bytes(update(2))
    table = charon("inspect-payload", payload).stdout
    assert f"{digest_of(V2)}: {len(V2) / 1000:.1f} kB rebuilt from " in table
    assert digest_of(V1) in table
    [delta] = json.loads(charon("inspect-payload", payload, "--json").stdout)["deltas"]
    assert delta == {
        "digest": digest_of(V2),
        "size": len(V2),
        "carried": len(delta_of(V2, (V1,))),
        "bases": [digest_of(V1)],
    }


def test_a_payload_without_deltas_shows_none() -> None:
    assert inspect_payload(io.BytesIO(payload_of({"app:1": image(V1)}))).deltas == ()
