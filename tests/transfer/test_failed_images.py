"""Images that cannot be read are left out of a payload, if the user wants the others."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import charon
from docker_charon import (
    AuthenticationError,
    BlobNotFound,
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    ManifestNotFound,
    RegistryError,
    Summary,
    inspect_payload,
    make_inventory,
    make_payload,
    verify_payload,
)
from docker_charon.transfer.layer_deltas import candidates
from images import OCI, OCI_INDEX, artifact, digest_of, image, layer, tag_of
from layered_images import SIZE, app_layer, image_of, release
from loose_registry import LooseRegistry, Reply
from payloads import carried
from registries import free_port

pytestmark = pytest.mark.usefixtures("_one_try")

APP = image(layer(1), layer(2))
OTHER = image(layer(1), layer(3))
BROKEN = layer(4, 1000)  # smaller than the others, so that they are fetched first
BAD = image(layer(1), BROKEN)


@pytest.fixture
def registry(quay: LooseRegistry) -> LooseRegistry:
    """Return a registry with two good images and one that a test spoils."""
    quay.put("app:1", APP)
    quay.put("other:1", OTHER)
    quay.put("bad:1", BAD)
    return quay


def make(
    registry: LooseRegistry,
    target: Any,
    names: list[str],
    already: tuple[str, ...] = (),
    **options: Any,
) -> Summary:
    """Make a payload of the images that can be read; warnings are those of `left_out`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return make_payload(
            registry.address, target, names, already, secure=False, keep_going=True, **options
        )


def made_of(registry: LooseRegistry, *names: str, **options: Any) -> bytes:
    """Return the payload of these images, made as usual."""
    file = io.BytesIO()
    make_payload(registry.address, file, names, secure=False, **options)
    return file.getvalue()


def remove_blob(registry: LooseRegistry) -> None:
    del registry.blobs[digest_of(BROKEN)]


def shorten_blob(registry: LooseRegistry) -> None:
    registry.blobs[digest_of(BROKEN)] = BROKEN[:-1]


def damage_blob(registry: LooseRegistry) -> None:
    registry.blobs[digest_of(BROKEN)] = BROKEN[::-1]


def refuse_blob(registry: LooseRegistry) -> None:
    registry.answer("GET|HEAD", f"/blobs/{digest_of(BROKEN)}", Reply(403))


def fail_for_blob(registry: LooseRegistry) -> None:
    registry.answer("GET|HEAD", f"/blobs/{digest_of(BROKEN)}", Reply(502))


def remove_manifest(registry: LooseRegistry) -> None:
    del registry.manifests["bad/1"]


def refuse_manifest(registry: LooseRegistry) -> None:
    registry.answer("GET", "/v2/bad/", Reply(401))


def fail_for_manifest(registry: LooseRegistry) -> None:
    registry.answer("GET", "/bad/manifests/", Reply(500))


def damage_manifest(registry: LooseRegistry) -> None:
    registry.put_bytes("bad", "1", b"[]", OCI)


BEFORE = [
    (remove_manifest, "has no bad:1; is the name spelled right"),
    (refuse_manifest, "wants a login for the manifest of bad:1"),
    (fail_for_manifest, "answers 500 to the manifest of bad:1"),
    (damage_manifest, "it is not a JSON object"),
    (remove_blob, f"has no blob {digest_of(BROKEN)} in bad; push the image again there"),
    (shorten_blob, f"has a damaged blob {digest_of(BROKEN)} in bad; push the image again there"),
]
"""What can be wrong with an image and is found before a blob is fetched, with the reason."""
LATER = [
    (damage_blob, "has a damaged blob in bad"),
    (refuse_blob, f"answers 403 to the blob {digest_of(BROKEN)} of bad"),
    (fail_for_blob, f"answers 502 to the blob {digest_of(BROKEN)} of bad"),
]
"""What is found when the blob is fetched."""

Spoil = Callable[[LooseRegistry], None]


@pytest.mark.parametrize(("spoil", "reason"), [*BEFORE, *LATER])
def test_the_payload_is_that_of_the_other_images(
    registry: LooseRegistry, tmp_path: Path, spoil: Spoil, reason: str
) -> None:
    spoil(registry)
    payload = tmp_path / "p.zip"
    with pytest.warns(UserWarning, match="left out") as warned:
        summary = make_payload(
            registry.address,
            payload,
            ["app:1", "bad:1", "other:1"],
            secure=False,
            keep_going=True,
        )
    (warning,) = warned
    assert str(warning.message).startswith("left out: bad:1: ")
    assert reason in str(warning.message)
    assert warning.filename == __file__
    assert summary.images == ("app:1", "other:1")
    assert list(summary.left_out) == ["bad:1"]
    assert payload.read_bytes() == made_of(registry, "app:1", "other:1")
    assert [path.name for path in tmp_path.iterdir()] == ["p.zip"]


@pytest.mark.parametrize("spoil", [spoil for spoil, _ in (*BEFORE, *LATER)])
def test_it_is_an_error_if_the_user_does_not_say_so(
    registry: LooseRegistry, tmp_path: Path, spoil: Spoil
) -> None:
    spoil(registry)
    with pytest.raises(DockerCharonError):
        make_payload(registry.address, tmp_path / "p.zip", ["app:1", "bad:1"], secure=False)
    assert not (tmp_path / "p.zip").exists()


@pytest.mark.parametrize(
    ("names", "already", "is_mentioned"),
    [
        (["app:1", "gone:1"], (), True),
        (["app:1", "gone:1", "lost:1"], (), True),
        (["gone:1"], (), False),
        (["gone:1", "lost:1"], (), False),
        (["app:1"], ("gone:1",), False),
    ],
)
def test_the_error_says_that_the_others_can_be_carried(
    registry: LooseRegistry, names: list[str], already: tuple[str, ...], is_mentioned: bool
) -> None:
    with pytest.raises(ManifestNotFound) as caught:
        make_payload(registry.address, io.BytesIO(), names, already, secure=False)
    assert ("keep_going=True" in (caught.value.hint or "")) == is_mentioned
    with pytest.raises(ManifestNotFound) as caught:
        make_inventory(registry.address, io.BytesIO(), [*names, *already], secure=False)
    assert "keep_going" not in str(caught.value)


def test_an_image_without_the_platform_and_a_choice_without_a_tag_are_left_out(
    registry: LooseRegistry,
) -> None:
    registry.put("windows:1", image(layer(5), platform="windows/amd64"))
    registry.answer("GET", "/app/tags/list", Reply(body=b'{"name": "app", "tags": ["1"]}'))
    file = io.BytesIO()
    names = ["app:1", "windows:1", "app:2.*"]
    left_out = make(registry, file, names, platforms=["linux/amd64"]).left_out
    assert left_out.keys() == {"windows:1", "app:2.*"}
    assert "has no platform linux/amd64" in left_out["windows:1"]
    assert "has no tag 2.* of app" in left_out["app:2.*"]
    assert file.getvalue() == made_of(registry, "app:1", platforms=["linux/amd64"])


def test_the_command_warns_once_for_each_image_and_ends_with_status_3(
    registry: LooseRegistry, tmp_path: Path
) -> None:
    damage_blob(registry)
    payload, report = tmp_path / "p.zip", tmp_path / "report.json"
    run = charon(
        *("make-payload", "-r", registry.address, "-i", "-f", payload, "--report", report),
        *("--keep-going", "app:1", "gone:1", "bad:1"),
    )
    assert run.status == 3
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    warned = [line for line in lines if "warning: left out: " in line]
    assert [line.split(": ")[3] for line in warned] == ["gone:1", "bad:1"]
    assert "1 image: " in lines[-1]
    assert "2 images left out" in lines[-1]
    document = json.loads(report.read_text())
    assert document["status"] == "incomplete"
    assert document["error"] is None
    states = {entry["name"]: entry["state"] for entry in document["images"]}
    assert states == {"app:1": "new", "gone:1": "left_out", "bad:1": "left_out"}
    reasons = [entry["reason"] for entry in document["images"]]
    assert reasons[0] is None
    assert all(reason in warned[n] for n, reason in enumerate(reasons[1:]))


def test_nothing_is_different_if_every_image_can_be_read(
    registry: LooseRegistry, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    command = ("make-payload", "-r", registry.address, "-i", "-q", "-f", payload, "--keep-going")
    run = charon(*command, "app:1")
    assert (run.status, run.stdout, run.stderr) == (0, "", "")
    assert payload.read_bytes() == made_of(registry, "app:1")


def test_a_dry_run_says_the_same_and_fetches_nothing(
    registry: LooseRegistry, tmp_path: Path
) -> None:
    remove_blob(registry)
    command = ("make-payload", "-r", registry.address, "-i", "-f", tmp_path / "p.zip")
    run = charon(*command, "--keep-going", "--dry-run", "app:1", "bad:1")
    assert run.status == 3
    assert "left out: bad:1: " in run.stderr
    assert "bad:1, sha256" not in run.stderr
    assert run.stderr.splitlines()[-1].endswith(", 1 image left out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [["bad:1"], ["bad:1", "gone:1"]])
@pytest.mark.parametrize(("spoil", "reason"), [BEFORE[0], BEFORE[4], LATER[0]])
def test_it_is_an_error_if_no_image_is_left(
    registry: LooseRegistry, tmp_path: Path, spoil: Spoil, reason: str, names: list[str]
) -> None:
    spoil(registry)
    kinds = (ManifestNotFound, BlobNotFound, DigestMismatch)
    with pytest.raises(kinds) as raised:
        make(registry, tmp_path / "p.zip", names)
    assert reason.partition(";")[0] in str(raised.value)
    assert all(name in str(raised.value) for name in names[1:])
    assert not (tmp_path / "p.zip").exists()


def test_an_image_that_was_already_transferred_has_to_be_there(registry: LooseRegistry) -> None:
    with pytest.raises(ManifestNotFound, match="has no app:0"):
        make(registry, io.BytesIO(), ["app:1"], ("app:0",))
    with pytest.raises(ManifestNotFound, match=r"2 of 3 .* has no gone:1 .* has no app:0"):
        make(registry, io.BytesIO(), ["app:1", "gone:1"], ("app:0",))


def test_a_registry_that_cannot_be_reached_or_refuses_the_login_is_an_error(
    registry: LooseRegistry,
) -> None:
    with pytest.raises(ConnectionFailed):
        make_payload(
            f"127.0.0.1:{free_port()}", io.BytesIO(), ["app:1"], secure=False, keep_going=True
        )
    challenge = Reply(401, {"WWW-Authenticate": 'Basic realm="push"'})
    registry.answer("GET", "", challenge)
    with pytest.raises(AuthenticationError, match="check the username and the password"):
        make(registry, io.BytesIO(), ["app:1", "other:1"], username="me", password="wrong")


@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_in_trouble_is_an_error(registry: LooseRegistry, status: int) -> None:
    registry.answer("GET", "/v2/$|/bad/manifests/", Reply(status))
    with pytest.raises(RegistryError, match=f"answers.* {status}"):
        make(registry, io.BytesIO(), ["app:1", "bad:1"])


def test_of_several_registries_the_images_of_one_that_is_away_are_left_out(
    registry: LooseRegistry,
) -> None:
    away = f"127.0.0.1:{free_port()}"
    names = [f"{registry.address}/app:1", f"{away}/app:1", f"{away}/other:1"]
    file = io.BytesIO()
    with pytest.warns(UserWarning, match="nothing listens") as warned:
        summary = make_payload(None, file, names, secure=False, keep_going=True)
    assert len(warned) == 2
    assert list(summary.left_out) == names[1:]
    assert carried(file) == APP.contents()


def test_a_blob_that_another_repository_has_is_fetched_from_there(registry: LooseRegistry) -> None:
    registry.put("copy:1", BAD)
    registry.answer("GET|HEAD", f"/v2/bad/blobs/{digest_of(BROKEN)}", Reply(404))
    file = io.BytesIO()
    assert not make(registry, file, ["bad:1", "copy:1"]).left_out
    assert carried(file) == BAD.contents()


@pytest.mark.parametrize("options", [{}, {"volume_size": 1000}])
def test_a_payload_whose_beginning_may_be_away_is_not_made_again(
    registry: LooseRegistry, tmp_path: Path, options: dict[str, Any]
) -> None:
    target: Any = tmp_path / "p.zip" if options else io.BytesIO()
    damage_blob(registry)
    with pytest.raises(DigestMismatch, match="damaged blob in bad"):
        make(registry, target, ["app:1", "bad:1"], **options)
    remove_blob(registry)
    assert list(make(registry, target, ["app:1", "bad:1"], **options).left_out) == ["bad:1"]


def test_no_blob_is_fetched_twice_because_another_one_is_damaged(
    registry: LooseRegistry, tmp_path: Path
) -> None:
    damage_blob(registry)
    registry.put("bad:2", image(layer(5)))
    registry.blobs[digest_of(layer(5))] = layer(6)
    names = ["app:1", "bad:1", "other:1", "bad:2"]
    assert list(make(registry, tmp_path / "p.zip", names).left_out) == ["bad:1", "bad:2"]
    for seed in (1, 2, 3):
        # Once for its last byte, and once for all of it.
        assert len(registry.matching("GET", f"/blobs/{digest_of(layer(seed))}")) == 2


def test_a_run_goes_on_from_one_in_which_other_images_failed(
    registry: LooseRegistry, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    names = ["app:1", "bad:1", "other:1"]
    registry.answer("GET|HEAD", f"/blobs/{digest_of(BROKEN)}", Reply(429))
    with pytest.raises(RegistryError, match="429"):
        make(registry, payload, names, jobs=1)
    assert payload.with_name("p.zip.partial").exists()
    registry.rules.clear()
    registry.asked.clear()
    del registry.manifests["other/1"]
    assert list(make(registry, payload, names).left_out) == ["other:1"]
    for seed in (1, 2):  # only for its last byte
        assert len(registry.matching("GET", f"/blobs/{digest_of(layer(seed))}")) == 1
    assert payload.read_bytes() == made_of(registry, "app:1", "bad:1")


def test_a_ledger_lists_only_what_is_carried(registry: LooseRegistry, tmp_path: Path) -> None:
    damage_blob(registry)
    ledger, lock = tmp_path / "site.zip", tmp_path / "images.lock"
    first = make(registry, tmp_path / "1.zip", ["app:1", "bad:1"], ledger=ledger, lock=lock)
    assert first.delivery == 1
    assert [entry.name for entry in inspect_payload(ledger).images] == ["app:1"]
    assert "bad" not in lock.read_text()
    registry.put("bad:1", BAD)
    second = make(registry, tmp_path / "2.zip", ["app:1", "bad:1"], ledger=ledger)
    assert not second.left_out
    assert digest_of(BROKEN) in carried(tmp_path / "2.zip")


@pytest.mark.parametrize("lost", ["manifest", "blob"])
def test_an_image_whose_sbom_cannot_be_read_is_left_out(registry: LooseRegistry, lost: str) -> None:
    sbom = artifact(b"sbom", subject=BAD.descriptor)
    listed = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [sbom.descriptor]}
    registry.put_bytes("bad", tag_of(BAD), json.dumps(listed).encode(), OCI_INDEX)
    if lost == "blob":
        registry.put("bad:sbom", sbom)
        del registry.blobs[digest_of(b"sbom")]
    names = ["app:1", "bad:1", "other:1"]
    file = io.BytesIO()
    assert list(make(registry, file, names, include_referrers=True).left_out) == ["bad:1"]
    assert file.getvalue() == made_of(registry, "app:1", "other:1")
    with pytest.raises((ManifestNotFound, BlobNotFound)):
        made_of(registry, *names, include_referrers=True)


def test_a_new_layer_that_cannot_be_compared_leaves_out_its_image(
    registry: LooseRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "LEAST_SIZE", SIZE // 2)
    registry.put("week:1", release(1))
    registry.put("week:2", release(2))
    registry.put("spoilt:1", image_of(app_layer(1), app_layer(1, "spoilt")))
    registry.put("spoilt:2", image_of(app_layer(1), app_layer(2, "spoilt")))
    spoilt = app_layer(2, "spoilt")
    registry.blobs[digest_of(spoilt)] = spoilt[::-1]
    payload = tmp_path / "p.zip"
    old = ("week:1", "spoilt:1")
    summary = make(registry, payload, ["week:2", "spoilt:2"], old, layer_deltas=True)
    assert list(summary.left_out) == ["spoilt:2"]
    assert summary.deltas == 1
    verify_payload(payload)
    assert [path.name for path in tmp_path.iterdir()] == ["p.zip"]
