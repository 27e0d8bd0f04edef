"""One payload from several registries: names, logins, shared layers, and registries that fail."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import certificates
import images
import logins
import registries
from conftest import Sent, require, require_registry
from docker_charon import (
    AuthenticationError,
    DockerCharonError,
    InvalidReference,
    ManifestNotFound,
    RegistryError,
    inspect_payload,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    serve,
)
from docker_charon.registry import session
from guarded_registry import guarded, htpasswd, htpasswd_is_installed
from images import TestImage, digest_of, image, layer
from loose_registry import LooseRegistry, Reply
from registries import free_port

BASE = layer(1, 20_000)
ONE = image(BASE, layer(2))
TWO = image(BASE, layer(3))


def document_of(payload: Path | io.BytesIO) -> dict[str, Any]:
    """Return the ``payload_descriptor.json`` of a payload."""
    with zipfile.ZipFile(payload) as archive:
        document: dict[str, Any] = json.loads(archive.read("payload_descriptor.json"))
        return document


def names_in_index(payload: Path) -> list[str]:
    with zipfile.ZipFile(payload) as archive:
        index = json.loads(archive.read("index.json"))
    key = "org.opencontainers.image.ref.name"
    return [entry["annotations"][key] for entry in index["manifests"]]


def carried_in(payload: Path | io.BytesIO) -> list[str]:
    """Return the digests of what a payload carries."""
    with zipfile.ZipFile(payload) as archive:
        paths = [name for name in archive.namelist() if name.startswith("blobs/")]
    return [f"sha256:{path.rpartition('/')[2]}" for path in paths]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LooseRegistry]:
    """Run a registry in the place of Docker Hub, which only the names without a registry mean."""
    with LooseRegistry() as registry:
        monkeypatch.setattr(session, "DOCKER_HUB", registry.address)
        yield registry


# --- Three registries and 40 images ---------------------------------------------------------------


def forty_images() -> list[TestImage]:
    """Return images on one base, in groups with a second layer, each with a layer of its own."""
    groups = [layer(100 + n, 5_000) for n in range(4)]
    return [image(BASE, groups[n % 4], layer(200 + n, 500)) for n in range(40)]


@pytest.fixture
def three_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run two registries with different logins, one over TLS, and the embedded one: 40 images.

    Yield the images by their full names, and the authority of the TLS.
    """
    require_registry()
    require(htpasswd_is_installed(), "htpasswd")
    authority = certificates.authority(tmp_path)
    certificate = certificates.server_certificate(authority, tmp_path)
    tls = {"certificate": str(certificate.file), "key": str(certificate.key)}
    roots = [tmp_path / name for name in ("private", "over-tls")]
    names = [[f"team-{m}/app-{n}:1.{n}" for n in range(m, 40, 3)] for m in range(3)]
    wanted = forty_images()
    for root, own_names, first in zip(roots, names, range(2), strict=False):
        with registries.docker_registry(root) as address:
            for name, own in zip(own_names, wanted[first::3], strict=True):
                images.put(address, name, own)
    with contextlib.ExitStack() as stack:
        addresses = [
            stack.enter_context(guarded(roots[0], htpasswd(roots[0], "ann", "first secret"))),
            stack.enter_context(
                guarded(roots[1], htpasswd(roots[1], "bob", "second secret"), http={"tls": tls})
            ),
            stack.enter_context(serve(storage=tmp_path / "embedded")).address,
        ]
        for name, own in zip(names[2], wanted[2::3], strict=True):
            images.put(addresses[2], name, own)
        home = logins.Home(tmp_path)
        home.docker(
            auths={
                addresses[0]: logins.entry("ann", "first secret"),
                addresses[1]: logins.entry("bob", "second secret"),
            }
        )
        monkeypatch.setenv("DOCKER_CONFIG", str(home.config.parent))
        full = {f"{addresses[n % 3]}/{names[n % 3][n // 3]}": own for n, own in enumerate(wanted)}
        yield full, authority.file, addresses


@pytest.mark.slow  # four registries are started, and 40 images put into three of them
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_forty_images_of_three_registries_are_one_payload(
    three_registries: Any, tmp_path: Path, sent: list[Sent]
) -> None:
    wanted, authority, addresses = three_registries
    payload, report = tmp_path / "p.zip", tmp_path / "report.json"
    sent.clear()
    make_payload(
        None,
        payload,
        list(wanted),
        insecure_registries=[addresses[0], addresses[2]],
        cacert=authority,
        report=report,
        progress=False,
    )
    # Each manifest is requested once, and each blob from one of the registries that have it.
    distinct = {digest for own in wanted.values() for digest in own.contents()}
    assert sum(request.is_for("GET", "/manifests/") for request in sent) == len(wanted)
    blobs = Counter(
        request.url.rpartition("/")[2] for request in sent if request.is_for("GET", "/blobs/")
    )
    assert set(blobs.values()) == {1}
    assert sum(request.url.endswith("/v2/") for request in sent) <= 2 * len(addresses)
    assert Counter(carried_in(payload)) == Counter(distinct)
    assert len(distinct) == 40 + 40 + 40 + 4 + 1  # manifests, configs, layers
    document = document_of(payload)
    assert (document["format_version"], document["registries"]) == (2, sorted(addresses))
    assert names_in_index(payload) == list(wanted)
    assert json.loads(report.read_text())["registries"] == sorted(addresses)
    with serve([payload]) as server:
        for name, own in wanted.items():
            assert images.read(server.address, name.partition("/")[2]) == own.contents()
    with registries.docker_registry(tmp_path / "fourth") as fourth:
        sent.clear()
        pushed = push_payload_to_registry(
            fourth,
            payload,
            strict=True,
            secure=False,
            repository_map={address: f"mirror/{n}" for n, address in enumerate(addresses)},
            progress=False,
        )
        assert pushed == list(wanted)
        # Each blob is uploaded once, whichever images share it.
        uploaded = [request.url for request in sent if request.is_for("PUT", "/blobs/uploads/")]
        assert len(uploaded) == len(distinct) - len(wanted)
        for name, own in wanted.items():
            host, _, rest = name.partition("/")
            place = f"mirror/{addresses.index(host)}/{rest}"
            assert images.read(fourth, place) == own.contents()


# --- Names ----------------------------------------------------------------------------------------


def test_images_of_docker_hub_make_the_same_payload_as_with_its_name(
    hub: LooseRegistry, tmp_path: Path
) -> None:
    hub.put("library/python:3", ONE)
    hub.put("team/app:1", TWO)
    payloads: list[bytes] = []
    for registry, names in (
        (None, ["docker.io/python:3", "library/python:3", "index.docker.io/team/app:1"]),
        ("docker.io", ["python:3", "docker.io/library/python:3", "team/app:1"]),
    ):
        payload = tmp_path / f"{len(payloads)}.zip"
        make_payload(registry, payload, names, secure=False)
        payloads.append(payload.read_bytes())
    assert payloads[0] == payloads[1]
    document = document_of(payload)
    assert document["format_version"] == 1
    assert "registries" not in document
    assert list(document["manifests_paths"]) == ["python:3", "library/python:3", "team/app:1"]


def test_names_stay_as_the_user_gave_them(
    hub: LooseRegistry, quay: LooseRegistry, tmp_path: Path
) -> None:
    hub.put("library/python:3", ONE)
    quay.put("pause:latest", TWO)
    payload = tmp_path / "p.zip"
    wanted = ["python:3", f"{quay.address}/pause", f"{quay.address}/pause@{TWO.digest}"]
    make_payload(None, payload, wanted, secure=False)
    assert names_in_index(payload) == wanted
    assert document_of(payload)["registries"] == [quay.address]
    assert [summary.name for summary in inspect_payload(payload).images] == wanted


def test_the_same_lists_give_the_same_bytes(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    for registry in (quay, ghcr):
        registry.put("app:1", ONE)
        registry.put("app:2", TWO)
    names = [f"{registry.address}/app:{n}" for n in (1, 2) for registry in (quay, ghcr)]
    payloads = []
    for jobs in (1, 4):
        payload = tmp_path / f"{jobs}.zip"
        make_payload(None, payload, names, secure=False, jobs=jobs)
        payloads.append(payload.read_bytes())
    assert payloads[0] == payloads[1]


# --- Registries that fail -------------------------------------------------------------------------


def test_one_error_names_all_images_that_cannot_be_read_of_all_registries(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    quay.put("app:1", ONE)
    ghcr.answer("GET", "/v2/$", Reply(401, {"WWW-Authenticate": 'Basic realm="r"'}))
    ghcr.answer("GET", "/v2/.+", Reply(401, {"WWW-Authenticate": 'Basic realm="r"'}))
    gone = f"127.0.0.1:{free_port()}"
    wanted = [
        *(f"{gone}/a:1", f"{quay.address}/app:1", f"{ghcr.address}/b:1", f"{gone}/c:1"),
        f"{quay.address}/missing:1",
    ]
    with pytest.raises(ManifestNotFound) as caught:
        make_payload(None, tmp_path / "p.zip", wanted, secure=False)
    message = caught.value.message
    assert message.startswith("4 of 5 images cannot be transferred from ")
    assert f"{gone}/a:1, {gone}/c:1: " in message
    assert f"{ghcr.address}/b:1: " in message
    assert f"{quay.address} has no missing:1" in message
    assert "app:1" not in message.replace("missing:1", "")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "p.zip").exists()


def test_a_registry_that_stops_answering_is_left_after_the_first_image(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    quay.put("app:1", ONE)
    ghcr.answer("GET", "manifests", Reply(503))
    wanted = [f"{quay.address}/app:1", *(f"{ghcr.address}/app:{n}" for n in range(10))]
    with pytest.raises(ManifestNotFound, match="10 of 11 images"):
        make_payload(None, tmp_path / "p.zip", wanted, secure=False, jobs=1)
    assert len({asked.path for asked in ghcr.matching("GET", "manifests")}) == 1


def test_a_single_registry_that_is_down_is_the_error_itself(tmp_path: Path) -> None:
    gone = f"127.0.0.1:{free_port()}"
    with pytest.raises(RegistryError) as caught:
        make_payload(None, tmp_path / "p.zip", [f"{gone}/a:1", f"{gone}/b:1"], secure=False)
    assert not isinstance(caught.value, ManifestNotFound)
    assert gone in caught.value.message


def test_a_registry_that_is_a_web_server_is_doubted_for_its_own_images(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    quay.put("app:1", ONE)
    ghcr.answer("GET", "/v2/$", Reply(404))
    wanted = [f"{quay.address}/app:1", f"{ghcr.address}/a:1", f"{ghcr.address}/b:1"]
    with pytest.raises(ManifestNotFound, match="it does not look like a registry"):
        make_payload(None, tmp_path / "p.zip", wanted, secure=False)


def test_an_interrupted_run_is_continued(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    big = layer(9, 3_000_000)
    quay.put("app:1", image(big, layer(2)))
    ghcr.put("app:2", TWO)
    missing = digest_of(layer(3))
    rules = list(ghcr.rules)
    ghcr.answer("GET", f"blobs/{missing}", Reply(500))
    names = [f"{quay.address}/app:1", f"{ghcr.address}/app:2"]
    payload = tmp_path / "p.zip"
    with pytest.raises(RegistryError):
        make_payload(None, payload, names, secure=False, jobs=1)
    ghcr.rules = rules
    for registry in (quay, ghcr):
        registry.asked.clear()
    make_payload(None, payload, names, secure=False, jobs=1)
    again = {asked.path for r in (quay, ghcr) for asked in r.matching("GET", "blobs")}
    assert f"/v2/app/blobs/{missing}" in again
    assert f"/v2/app/blobs/{digest_of(big)}" not in again


# --- What the other side has ----------------------------------------------------------------------


def test_an_earlier_payload_and_a_ledger_know_full_names(
    hub: LooseRegistry, quay: LooseRegistry, tmp_path: Path
) -> None:
    hub.put("library/app:1", ONE)
    quay.put("team/app:1", TWO)
    first, ledger = tmp_path / "1.zip", tmp_path / "ledger.zip"
    names = ["app:1", f"{quay.address}/team/app:1"]
    make_payload(None, first, names, secure=False, ledger=ledger)
    newer = image(BASE, layer(3), layer(4))
    quay.put("team/app:2", newer)
    wanted = [f"{quay.address}/team/app:2"]
    by_payload, by_ledger = tmp_path / "2.zip", tmp_path / "3.zip"
    make_payload(None, by_payload, wanted, secure=False, payloads_already_transferred=[first])
    make_payload(None, by_ledger, wanted, secure=False, ledger=ledger)
    for payload in (by_payload, by_ledger):
        assert digest_of(BASE) not in carried_in(payload)
        assert digest_of(layer(4)) in carried_in(payload)
        document = document_of(payload)
        assert document["registries"] == [quay.address]
        assert document["blobs_paths"][digest_of(layer(3))] == {
            "repository": f"{quay.address}/team/app"
        }
    assert document_of(ledger)["registries"] == [quay.address]
    assert set(document_of(ledger)["manifests_paths"]) == {*names, *wanted}


def test_an_image_that_was_already_transferred_has_a_full_name(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    quay.put("app:1", ONE)
    ghcr.put("app:2", TWO)
    payload = tmp_path / "p.zip"
    old, new = f"{quay.address}/app:1", f"{ghcr.address}/app:2"
    make_payload(None, payload, [new], [old], secure=False)
    assert digest_of(BASE) not in carried_in(payload)
    assert document_of(payload)["registries"] == sorted([quay.address, ghcr.address])
    make_payload(None, payload, [new, old], [old], secure=False)
    assert document_of(payload)["manifests_paths"][old] is None


def test_a_ledger_of_other_images_does_not_change_a_payload_of_one_registry(
    hub: LooseRegistry, quay: LooseRegistry, tmp_path: Path
) -> None:
    hub.put("library/app:1", image(layer(7)))
    quay.put("app:1", ONE)
    ledger, payload = tmp_path / "ledger.zip", tmp_path / "p.zip"
    make_payload(None, payload, [f"{quay.address}/app:1"], secure=False, ledger=ledger)
    make_payload(None, payload, ["app:1"], secure=False, ledger=ledger)
    assert "registries" not in document_of(payload)
    assert document_of(payload)["format_version"] == 1
    assert document_of(ledger)["registries"] == [quay.address]


def test_a_receipt_has_full_names_and_corrects_the_ledger(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    quay.put("app:1", ONE)
    ghcr.put("other:1", TWO)
    ledger, payload, receipt = (tmp_path / name for name in ("ledger.zip", "1.zip", "r.zip"))
    names = [f"{quay.address}/app:1", f"{ghcr.address}/other:1"]
    make_payload(None, payload, names, secure=False, ledger=ledger)
    with serve(storage=tmp_path / "site") as site:
        push_payload_to_registry(site.address, payload, secure=False, receipt=receipt)
    document = document_of(receipt)
    assert document["registries"] == sorted([quay.address, ghcr.address])
    assert set(document["manifests_paths"]) == set(names)
    repositories = {place["repository"] for place in document["blobs_paths"].values()}
    assert repositories == {f"{quay.address}/app", f"{ghcr.address}/other"}
    quay.put("app:2", image(BASE, layer(2), layer(8)))
    second = tmp_path / "2.zip"
    wanted = [f"{quay.address}/app:2"]
    make_payload(None, second, wanted, secure=False, ledger=ledger, receipts=[receipt])
    assert digest_of(layer(2)) not in carried_in(second)
    assert set(document_of(ledger)["manifests_paths"]) == {*names, *wanted}


def test_a_relative_name_that_begins_with_a_registry_of_an_earlier_payload_is_refused(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    quay.put("app:1", ONE)
    earlier = tmp_path / "1.zip"
    make_payload(None, earlier, [f"{quay.address}/app:1"], secure=False)
    # A relative name has no port; such a payload is written by hand.
    content = earlier.read_bytes().replace(quay.address.encode(), b"quay.example.com")
    document = document_of(earlier)
    document["registries"] = ["quay.io"]
    document["manifests_paths"] = {"quay.io/app:1": None}
    document["blobs_paths"] = {d: {"repository": "quay.io/app"} for d in document["blobs_paths"]}
    with zipfile.ZipFile(earlier) as old:
        entries = {name: old.read(name) for name in old.namelist() if "blobs" not in name}
        manifest = f"blobs/sha256/{ONE.digest[7:]}"
        entries[manifest] = old.read(manifest)
    index = entries["index.json"].replace(f"{quay.address}/app:1".encode(), b"quay.io/app:1")
    entries |= {"payload_descriptor.json": json.dumps(document).encode(), "index.json": index}
    with zipfile.ZipFile(earlier, "w") as new:
        for name, data in entries.items():
            new.writestr(name, data)
    assert content
    ghcr.put("quay.io/app:1", TWO)
    with pytest.raises(InvalidReference, match=r"quay\.io is a registry in .*1\.zip"):
        make_payload(
            ghcr.address,
            tmp_path / "2.zip",
            ["quay.io/app:1"],
            secure=False,
            payloads_already_transferred=[earlier],
        )


def test_referrers_are_carried_from_every_registry(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path
) -> None:
    signatures = {}
    for registry, own in ((quay, ONE), (ghcr, TWO)):
        registry.put("app:1", own)
        signatures[registry.address] = images.signature(own)
        registry.put(f"app:{images.tag_of(own, '.sig')}", signatures[registry.address])
    names = [f"{registry.address}/app:1" for registry in (quay, ghcr)]
    payload = tmp_path / "p.zip"
    make_payload(None, payload, names, secure=False, include_referrers=True)
    assert {signature.digest for signature in signatures.values()} <= set(carried_in(payload))
    assert set(document_of(payload)["referrers"]) == set(names)
    assert all(summary.referrers for summary in inspect_payload(payload).images)


def test_a_dry_run_says_where_each_blob_would_be_fetched(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    quay.put("app:1", ONE)
    ghcr.put("app:2", TWO)
    names = [f"{quay.address}/app:1", f"{ghcr.address}/app:2"]
    make_payload(None, tmp_path / "p.zip", names, secure=False, dry_run=True)
    assert f"fetch {digest_of(BASE)} from {quay.address}/app" in caplog.text
    assert f"fetch {digest_of(layer(3))} from {ghcr.address}/app" in caplog.text
    assert not quay.matching("GET", "blobs")


# --- Inventories ----------------------------------------------------------------------------------


@pytest.fixture
def two_served(tmp_path: Path) -> Iterator[list[str]]:
    with serve(storage=tmp_path / "a") as first, serve(storage=tmp_path / "b") as second:
        images.put(first.address, "app:1", ONE)
        images.put(second.address, "team/app:2", TWO)
        yield [first.address, second.address]


def test_an_inventory_of_several_registries_has_full_names(
    two_served: list[str], tmp_path: Path
) -> None:
    first, second = two_served
    inventory, payload = tmp_path / "inventory.zip", tmp_path / "p.zip"
    names = make_inventory(two_served, inventory, secure=False)
    assert names == sorted([f"{first}/app:1", f"{second}/team/app:2"])
    assert document_of(inventory)["registries"] == sorted(two_served)
    images.put(first, "app:3", image(layer(3), layer(9)))
    make_payload(
        None,
        payload,
        [f"{first}/app:3"],
        secure=False,
        payloads_already_transferred=[inventory],
    )
    assert digest_of(layer(3)) not in carried_in(payload)


def test_an_inventory_of_several_registries_may_be_of_some_images(
    two_served: list[str], tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory.zip"
    names = [f"{two_served[1]}/team/app:2"]
    assert make_inventory(two_served, inventory, names, secure=False) == names
    with pytest.raises(InvalidReference, match=r"images of quay\.io are named"):
        make_inventory(two_served, inventory, ["quay.io/app:1"], secure=False)


def test_an_inventory_of_a_list_with_one_registry_is_that_of_the_registry(
    two_served: list[str], tmp_path: Path
) -> None:
    files = [tmp_path / "list.zip", tmp_path / "one.zip"]
    for file, registry in zip(files, (two_served[:1], two_served[0]), strict=True):
        assert make_inventory(registry, file, secure=False) == ["app:1"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_inventory_names_all_registries_that_are_down(tmp_path: Path) -> None:
    gone = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with pytest.raises(RegistryError, match="2 registries cannot be read") as caught:
        make_inventory(gone, tmp_path / "inventory.zip", secure=False)
    assert all(address in caught.value.message for address in gone)


def test_an_inventory_of_no_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DockerCharonError, match="there is no registry"):
        make_inventory([], tmp_path / "inventory.zip")


# --- Access ---------------------------------------------------------------------------------------


def test_a_password_needs_the_name_of_its_registry(tmp_path: Path) -> None:
    login: dict[str, Any] = {"username": "me", "password": "secret"}
    with pytest.raises(AuthenticationError, match="none is named") as caught:
        make_payload(None, tmp_path / "p.zip", ["quay.io/app:1"], **login)
    assert "docker login" in caught.value.hint
    with pytest.raises(AuthenticationError, match="none is named"):
        make_payload(None, tmp_path / "p.zip", ["python:3", "quay.io/app:1"], **login)
    with pytest.raises(AuthenticationError, match="several are named"):
        make_inventory(["quay.io", "ghcr.io"], tmp_path / "p.zip", **login)


def test_insecure_registries_are_a_list(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="insecure_registries"):
        make_payload(None, tmp_path / "p.zip", ["quay.io/app:1"], insecure_registries="quay.io")


def test_the_only_registry_may_be_on_plain_http(quay: LooseRegistry, tmp_path: Path) -> None:
    quay.put("app:1", ONE)
    payload = tmp_path / "p.zip"
    name = f"{quay.address}/app:1"
    make_payload(quay.address, payload, [name], insecure_registries=[quay.address])
    assert names_in_index(payload) == ["app:1"]


# --- Served without the registry in front ---------------------------------------------------------


def test_two_served_images_for_one_tag_are_told(
    quay: LooseRegistry, ghcr: LooseRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quay.put("app:1", ONE)
    ghcr.put("app:1", TWO)
    payload = tmp_path / "p.zip"
    names = [f"{quay.address}/app:1", f"{ghcr.address}/app:1"]
    make_payload(None, payload, names, secure=False)
    with serve([payload]) as server:
        assert images.read(server.address, "app:1") == TWO.contents()
        assert images.read(server.address, f"app:{ONE.digest}") == ONE.contents()
    assert f"{names[0]} is not served: {names[1]} is another image" in caplog.text
