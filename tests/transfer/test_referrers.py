"""Referrers: signatures, SBOMs and attestations that travel with their images."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

import images
from conftest import require
from docker_charon import (
    BlobNotFound,
    ManifestNotFound,
    PayloadError,
    PushIncomplete,
    RegistryError,
    inspect_payload,
    make_payload,
    push_payload_to_registry,
    serve,
    verify_payload,
)
from docker_charon.oci.digest import Digest
from docker_charon.oci.referrers import cosign_tags
from docker_charon.registry.client import RegistryClient
from images import TestImage, artifact, image, index_of, layer, refer, signature, tag_of
from odd_registry import Answer, Call, OddRegistry, refusal
from payloads import carried, changed, with_json

WITH_BOTH_REGISTRIES = True

AMD = image(layer(1))
ARM = image(layer(2), platform="linux/arm64")
APP = index_of({"linux/amd64": AMD, "linux/arm64": ARM}, "linux/amd64", "linux/arm64")
SBOM = artifact(b"sbom", subject=APP.descriptor, annotations={"made": "by us"})
SCAN = artifact(b"scan", subject=ARM.descriptor)
SIGNED_SBOM = artifact(b"signature of the sbom", subject=SBOM.descriptor)
COSIGNED = signature(APP)


def make(registry: str, *names: str, already: tuple[str, ...] = ()) -> io.BytesIO:
    file = io.BytesIO()
    make_payload(registry, file, names, already, secure=False, include_referrers=True)
    file.seek(0)
    return file


@pytest.fixture
def signed(source: str) -> str:
    """Put an image with all kinds of referrers, and referrers of referrers, into a registry."""
    images.put(source, "app:1", APP)
    refer(source, "app", APP, SBOM)
    refer(source, "app", ARM, SCAN)
    refer(source, "app", SBOM, SIGNED_SBOM)
    images.put(source, f"app:{tag_of(APP, '.sig')}", COSIGNED)
    images.put(source, f"app:{tag_of(AMD, '.att')}", signature(AMD))
    images.put(source, f"app:{tag_of(SBOM, '.sig')}", signature(SBOM))
    return source


def listed(registry: str, subject: TestImage) -> list[dict[str, object]]:
    """Return the referrers that the API lists or, without an API, the list under the spec's tag."""
    answer = requests.get(f"http://{registry}/v2/app/referrers/{subject.digest}", timeout=20)
    if answer.status_code == 200:
        return [*answer.json()["manifests"]]
    content = images.read_manifest(registry, "app", tag_of(subject))
    return [] if content is None else [*json.loads(content)["manifests"]]


def test_all_of_them_arrive_and_are_found_again(signed: str, destination: str) -> None:
    payload = make(signed, "app:1")
    assert verify_payload(payload) == []
    assert push_payload_to_registry(destination, payload, True, secure=False) == ["app:1"]
    assert images.read(destination, "app:1") == APP.contents()
    for subject, referrer in ((APP, SBOM), (ARM, SCAN), (SBOM, SIGNED_SBOM)):
        assert [entry["digest"] for entry in listed(destination, subject)] == [referrer.digest]
        assert images.read(destination, f"app:{referrer.digest}") == referrer.contents()
    for subject, suffix in ((APP, ".sig"), (AMD, ".att"), (SBOM, ".sig")):
        name = f"app:{tag_of(subject, suffix)}"
        assert images.read(destination, name) == signature(subject).contents()
    entry = listed(destination, APP)[0]
    assert entry["artifactType"] == "application/vnd.example.thing"
    assert entry["annotations"] == {"made": "by us"}


def test_they_are_left_alone_unless_they_are_asked_for(signed: str, destination: str) -> None:
    file = io.BytesIO()
    make_payload(signed, file, ["app:1"], secure=False)
    assert carried(file) == APP.contents()
    assert "referrers" not in described_in(file)


def described_in(file: io.BytesIO) -> dict[str, object]:
    with zipfile.ZipFile(file) as archive:
        return dict(json.loads(archive.read("payload_descriptor.json")))


def test_a_second_push_changes_nothing(signed: str, destination: str) -> None:
    payload = make(signed, "app:1")
    push_payload_to_registry(destination, payload, True, secure=False)
    before = images.read_manifest(destination, "app", tag_of(APP))
    push_payload_to_registry(destination, payload, True, secure=False)
    assert images.read_manifest(destination, "app", tag_of(APP)) == before


def test_what_the_destination_lists_already_stays_listed(
    only_docker_registry: None, signed: str, destination: str
) -> None:
    own = artifact(b"scanned here", subject=APP.descriptor)
    images.put(destination, "app:1", APP)
    refer(destination, "app", APP, own)
    push_payload_to_registry(destination, make(signed, "app:1"), True, secure=False)
    assert [entry["digest"] for entry in listed(destination, APP)] == [own.digest, SBOM.digest]
    assert listed(destination, APP)[0]["artifactType"] == "application/example"


def test_a_newer_signature_under_cosigns_tag_replaces_the_older(
    signed: str, destination: str
) -> None:
    name = f"app:{tag_of(APP, '.sig')}"
    push_payload_to_registry(destination, make(signed, "app:1"), True, secure=False)
    document = json.loads(COSIGNED.manifest)
    document["layers"].append(images.descriptor("application/other", b"second"))
    both = TestImage(json.dumps(document).encode(), images.OCI, [*COSIGNED.blobs, b"second"])
    images.put(signed, name, both)
    push_payload_to_registry(destination, make(signed, "app:1"), True, secure=False)
    assert images.read(destination, name) == both.contents()


def test_a_signature_of_the_destinations_own_is_not_lost(signed: str, destination: str) -> None:
    name = f"app:{tag_of(APP, '.sig')}"
    own = images.put(destination, name, signature(ARM))
    with pytest.warns(UserWarning, match=r"content under app:.*\.sig that the payload lacks"):
        push_payload_to_registry(destination, make(signed, "app:1"), True, secure=False)
    assert images.read(destination, name) == own.contents()
    assert images.read(destination, "app:1") == APP.contents()


def test_a_tag_that_is_no_list_is_not_overwritten(
    only_docker_registry: None, signed: str, destination: str
) -> None:
    images.put(destination, f"app:{tag_of(APP)}", AMD)
    with pytest.raises(PushIncomplete, match="where the list of referrers belongs") as raised:
        push_payload_to_registry(destination, make(signed, "app:1"), True, secure=False)
    assert raised.value.pushed == ["app:1"]
    assert list(raised.value.failed_referrers) == [f"app@{SBOM.digest}"]
    assert images.read(destination, "app:1") == APP.contents()


def test_a_list_that_cannot_be_updated_is_a_failure_for_each_image_of_its_referrer() -> None:
    """The signature is a direct referrer of one image, whose tag fails, and also of a referrer."""
    refused = (f"/manifests/{tag_of(SBOM)}", "/manifests/2")

    def no_list(call: Call) -> Answer | None:
        is_refused = call.method == "PUT" and call.url.endswith(refused)
        return refusal(400, "DENIED") if is_refused else None

    with OddRegistry() as source, OddRegistry(no_list) as registry:
        images.put(source.address, "app:1", APP)
        refer(source.address, "app", APP, SBOM)
        refer(source.address, "app", SBOM, SIGNED_SBOM)
        images.put(source.address, "app:2", SBOM)
        with pytest.raises(PushIncomplete) as raised:
            push_payload_to_registry(
                registry.address, make(source.address, "app:1", "app:2"), True, secure=False
            )
    assert list(raised.value.failed) == ["app:2"]
    assert list(raised.value.failed_referrers) == [f"app@{SIGNED_SBOM.digest}"]


def test_what_else_the_destinations_list_says_stays(
    only_docker_registry: None, signed: str, destination: str
) -> None:
    content = {
        "schemaVersion": 2,
        "mediaType": images.OCI_INDEX,
        "manifests": None,  # how Go writes an empty list
        "annotations": {"kept": "yes"},
    }
    present = TestImage(json.dumps(content).encode(), images.OCI_INDEX)
    images.put(destination, f"app:{tag_of(APP)}", present)
    push_payload_to_registry(destination, make(signed, "app:1"), True, secure=False)
    assert [entry["digest"] for entry in listed(destination, APP)] == [SBOM.digest]
    index = images.read_manifest(destination, "app", tag_of(APP))
    assert index is not None
    assert json.loads(index)["annotations"] == {"kept": "yes"}


@pytest.mark.parametrize(
    "annotations",
    [
        {"org.opencontainers.image.ref.name": "latest", "made": "here"},
        {"half of a character": "\ud83d"},
        {"nothing": None},
        {},
    ],
)
def test_whatever_one_says_of_itself_it_arrives(
    source: str, destination: str, annotations: dict[str, object]
) -> None:
    odd = artifact(b"odd", subject=AMD.descriptor, annotations=annotations)
    images.put(source, "app:1", AMD)
    refer(source, "app", AMD, odd)
    payload = make(source, "app:1")
    assert verify_payload(payload) == []
    assert push_payload_to_registry(destination, payload, True, secure=False) == ["app:1"]
    assert images.read(destination, f"app:{odd.digest}") == odd.contents()
    assert [entry["digest"] for entry in listed(destination, AMD)] == [odd.digest]


def test_they_come_before_the_tag(signed: str, destination: str, sent: list[object]) -> None:
    payload = make(signed, "app:1")
    sent.clear()
    push_payload_to_registry(destination, payload, True, secure=False, jobs=1)
    puts = [r.url.partition("/manifests/")[2] for r in sent if r.is_for("PUT", "/manifests/")]  # type: ignore[attr-defined]
    assert puts[-1] == "1"
    assert puts.index(APP.digest) < puts.index(SBOM.digest) < puts.index(SIGNED_SBOM.digest)


def test_those_of_an_image_that_is_there_are_brought_too(signed: str, destination: str) -> None:
    images.put(destination, "app:1", APP)
    payload = make(signed, "app:1", already=("app:1",))
    assert inspect_payload(payload).images[0].skipped
    assert push_payload_to_registry(destination, payload, True, secure=False) == ["app:1"]
    assert images.read(destination, f"app:{SBOM.digest}") == SBOM.contents()
    assert [entry["digest"] for entry in listed(destination, APP)] == [SBOM.digest]


def test_those_of_an_image_that_is_left_out_are_left_out(signed: str, destination: str) -> None:
    payload = make(signed, "app:1", already=("app:1",))
    with pytest.warns(UserWarning, match="left out"):
        assert push_payload_to_registry(destination, payload, secure=False) == []
    assert images.read_manifest(destination, "app", SBOM.digest) is None
    with pytest.raises(ManifestNotFound):
        push_payload_to_registry(destination, payload, True, secure=False)


def test_one_that_is_announced_and_not_there_is_an_error(
    only_docker_registry: None, signed: str
) -> None:
    refer(signed, "app", AMD, artifact(b"lost", subject=AMD.descriptor))
    lost = artifact(b"lost", subject=AMD.descriptor)
    images.delete_manifest(signed, "app", lost.digest)
    with pytest.raises(ManifestNotFound, match="among the referrers of app@"):
        make(signed, "app:1")


def test_a_blob_of_one_that_is_not_there_is_an_error(
    only_docker_registry: None, signed: str
) -> None:
    images.delete_blob(signed, "app", images.digest_of(b"sbom"))
    with pytest.raises(BlobNotFound, match=images.digest_of(b"sbom")):
        make(signed, "app:1")


def test_one_of_a_kind_that_cannot_be_carried_is_left_out_and_said(
    only_docker_registry: None, signed: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd = images.descriptor("application/vnd.oci.artifact.manifest.v1+json", b"sbom")
    document = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [odd]}
    content = json.dumps(document).encode()
    images.put(signed, f"app:{tag_of(AMD)}", TestImage(content, images.OCI_INDEX))
    payload = make(signed, "app:1")
    assert "its media type is application/vnd.oci.artifact.manifest.v1+json" in caplog.text
    assert SBOM.digest in carried(payload)
    assert verify_payload(payload) == []


def test_what_is_listed_and_refers_to_something_else_is_left_out_and_said(
    only_docker_registry: None, signed: str, caplog: pytest.LogCaptureFixture
) -> None:
    refer(signed, "app", AMD, SCAN)
    assert [entry["digest"] for entry in listed(signed, AMD)] == [SCAN.digest]
    payload = make(signed, "app:1")
    assert "is left out: it is listed among the referrers of" in caplog.text
    assert verify_payload(payload) == []


def test_an_image_that_is_itself_a_referrer_is_listed_there(source: str, destination: str) -> None:
    images.put(source, "app:sbom", SBOM)
    file = io.BytesIO()
    make_payload(source, file, ["app:sbom"], secure=False)
    push_payload_to_registry(destination, file, True, secure=False)
    assert [entry["digest"] for entry in listed(destination, APP)] == [SBOM.digest]


def test_an_inspection_names_their_types(signed: str) -> None:
    summary = inspect_payload(make(signed, "app:1"))
    (app,) = summary.images
    assert len(app.referrers) == 6
    assert app.referrers.count("application/vnd.example.thing") == 3
    assert app.carried == app.size == summary.carried
    assert summary.as_table().count("  + application/vnd.example.thing") == 3


def test_an_unzipped_payload_lists_them_and_names_those_under_cosigns_tags(signed: str) -> None:
    with zipfile.ZipFile(make(signed, "app:1")) as archive:
        entries = json.loads(archive.read("index.json"))["manifests"]
    names = {
        entry["digest"]: entry["annotations"]["org.opencontainers.image.ref.name"]
        for entry in entries
        if "org.opencontainers.image.ref.name" in entry.get("annotations", {})
    }
    tagged = {
        signature(subject).digest: f"app:{tag_of(subject, suffix)}"
        for subject, suffix in ((APP, ".sig"), (AMD, ".att"), (SBOM, ".sig"))
    }
    assert names == {APP.digest: "app:1", **tagged}
    assert SBOM.digest in [entry["digest"] for entry in entries]


def test_other_tools_copy_a_signature_out_of_an_unzipped_payload(
    signed: str, destination: str, tmp_path: Path
) -> None:
    require(shutil.which("skopeo") is not None, "skopeo")
    with zipfile.ZipFile(make(signed, "app:1")) as archive:
        archive.extractall(tmp_path / "layout")
    tag = tag_of(APP, ".sig")
    copy = ["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false"]
    layout, target = f"oci:{tmp_path}/layout:app:{tag}", f"docker://{destination}/app:{tag}"
    subprocess.run([*copy, layout, target], check=True, capture_output=True)
    assert images.read(destination, f"app:{tag}") == COSIGNED.contents()


def test_a_signature_that_is_named_as_an_image_too_has_one_name(
    signed: str, destination: str
) -> None:
    name = f"app:{tag_of(APP, '.sig')}"
    file = make(signed, "app:1", name)
    assert verify_payload(file) == []
    assert push_payload_to_registry(destination, file, True, secure=False) == ["app:1", name]


def test_a_name_in_the_index_that_nothing_has_is_refused(signed: str) -> None:
    def rename(index: Any) -> None:
        for entry in index["manifests"]:
            if entry["digest"] == COSIGNED.digest:
                entry["annotations"]["org.opencontainers.image.ref.name"] = "app:other"

    content = with_json(make(signed, "app:1").getvalue(), "index.json", rename)
    with pytest.raises(PayloadError, match="name different images"):
        inspect_payload(io.BytesIO(content))


def test_a_payload_that_lists_a_signature_without_a_name_is_read(
    signed: str, destination: str
) -> None:
    def unname(index: Any) -> None:
        for entry in index["manifests"]:
            if entry["digest"] == COSIGNED.digest:
                del entry["annotations"]

    content = with_json(make(signed, "app:1").getvalue(), "index.json", unname)
    file = io.BytesIO(content)
    assert push_payload_to_registry(destination, file, True, secure=False) == ["app:1"]
    assert images.read(destination, f"app:{tag_of(APP, '.sig')}") == COSIGNED.contents()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "not those of its images"),
        ({"other:1": []}, "not those of its images"),
        ({"app:1": {}}, "not a list"),
        ({"app:1": ["x"]}, "not a JSON object"),
        ({"app:1": [{"digest": "x"}]}, "not a digest"),
        ({"app:1": [{"digest": Digest.of(b"")}]}, "lacks sha256"),
        ({"app:1": [{"digest": SBOM.digest, "tag": "../x"}]}, "not a tag"),
        ({"app:1": [{"digest": SBOM.digest, "tag": "latest"}]}, "does not refer to app:1"),
        ({"app:1": [{"digest": COSIGNED.digest}]}, "does not refer to app:1"),
        ({"app:1": [{"digest": SIGNED_SBOM.digest}]}, "does not refer to app:1"),
    ],
)
def test_a_payload_cannot_set_other_tags_by_way_of_referrers(
    signed: str, value: object, problem: str
) -> None:
    payload = changed(make(signed, "app:1"), lambda document: document.update(referrers=value))
    with pytest.raises(PayloadError, match=problem):
        push_payload_to_registry(signed, payload, secure=False)


def test_a_payload_that_is_served_lists_them(signed: str, tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(make(signed, "app:1").getvalue())
    with serve([tmp_path / "p.zip"]) as server:
        assert images.read(server.address, "app:1") == APP.contents()
        for subject, referrer in ((APP, SBOM), (ARM, SCAN), (SBOM, SIGNED_SBOM)):
            assert [entry["digest"] for entry in listed(server.address, subject)] == [
                referrer.digest
            ]
            assert images.read(server.address, f"app:{referrer.digest}") == referrer.contents()
        name = f"app:{tag_of(APP, '.sig')}"
        assert images.read(server.address, name) == COSIGNED.contents()


# --- The referrers API ----------------------------------------------------------------------------

API = "https://registry.example/v2/app/referrers"


@contextmanager
def api() -> Iterator[tuple[RegistryClient, responses.RequestsMock]]:
    with responses.RequestsMock() as web, RegistryClient("registry.example") as client:
        yield client, web


def test_the_api_is_read_to_its_last_page() -> None:
    subject = Digest(APP.digest)
    with api() as (client, web):
        link = {"Link": f'</v2/app/referrers/{subject}?page=2>; rel="next"'}
        web.get(f"{API}/{subject}", json={"manifests": [SBOM.descriptor]}, headers=link)
        web.get(f"{API}/{subject}?page=2", json={"manifests": [SCAN.descriptor]})
        descriptors = client.referrers("app", subject)
    assert descriptors is not None
    assert [descriptor.digest for descriptor in descriptors] == [SBOM.digest, SCAN.digest]


def test_no_tag_is_asked_for_that_cannot_be_one() -> None:
    assert [len(tag) for tag in cosign_tags(Digest.of(b""))] == [75, 75, 76]
    assert cosign_tags(Digest.of(b"", "sha512")) == []


@pytest.mark.parametrize("status", [400, 404, 405, 406, 501])
def test_a_registry_may_not_know_the_api(status: int) -> None:
    subject = Digest(APP.digest)
    with api() as (client, web):
        web.get(f"{API}/{subject}", status=status)
        assert client.referrers("app", subject) is None


def test_a_web_page_is_no_api() -> None:
    subject = Digest(APP.digest)
    with api() as (client, web):
        web.get(f"{API}/{subject}", body="<html>", content_type="text/html")
        assert client.referrers("app", subject) is None


def test_a_list_that_ends_half_way_is_an_error() -> None:
    subject = Digest(APP.digest)
    with api() as (client, web):
        link = {"Link": f'</v2/app/referrers/{subject}?page=2>; rel="next"'}
        web.get(f"{API}/{subject}", json={"manifests": [SBOM.descriptor]}, headers=link)
        web.get(f"{API}/{subject}?page=2", status=404)
        with pytest.raises(RegistryError, match="answers 404"):
            client.referrers("app", subject)


@pytest.mark.parametrize("body", ["[]", "x", '{"manifests": [1]}'])
def test_nonsense_is_no_list(body: str) -> None:
    subject = Digest(APP.digest)
    with api() as (client, web):
        web.get(f"{API}/{subject}", body=body)
        with pytest.raises(RegistryError, match="the referrers of app@sha256"):
            client.referrers("app", subject)
