"""Registries that refuse, deceive or forget: a failure of one image is not one of the others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import images
from command_line import charon
from docker_charon import (
    AuthenticationError,
    BlobNotFound,
    ConnectionFailed,
    DigestMismatch,
    PushIncomplete,
    RegistryError,
    make_payload,
    push_payload_to_registry,
)
from images import TestImage, artifact, digest_of, image, index, layer, refer, signature, tag_of
from odd_registry import Answer, Call, OddRegistry, Rule, refusal
from payloads import flip, path_of, payload_of

LAYER = layer(1)
APP = image(LAYER, layer(2))
OTHER = image(layer(3))


def push(
    registry: OddRegistry, payload: Mapping[str, TestImage] | io.BytesIO, **options: Any
) -> list[str]:
    file = payload if isinstance(payload, io.BytesIO) else io.BytesIO(payload_of(payload))
    return push_payload_to_registry(registry.address, file, secure=False, **options)


def answering(answer: Answer, method: str, *parts: str, times: int = 1_000_000) -> Rule:
    """Return a rule that answers the first requests of a kind."""
    left = [times]

    def rule(call: Call) -> Answer | None:
        if left[0] and all(call.is_for(method, part) for part in parts):
            left[0] -= 1
            return answer
        return None

    return rule


def deceiving(digest: str, states: Mapping[str, Answer]) -> Rule:
    """Return a rule for questions about one blob: an answer for each method."""
    return lambda call: states.get(call.method) if call.reference == digest else None


IMMUTABLE = refusal(412, "PRECONDITION", "configured as immutable")


@pytest.mark.parametrize("digest", [None, digest_of(b"something else")])
def test_a_wrong_answer_about_a_tag_stops_neither_a_push_nor_its_dry_run(
    digest: str | None,
) -> None:
    headers = {} if digest is None else {"Docker-Content-Digest": digest}
    wrong = Answer(200, b"this is no manifest", headers)

    def before_the_push(call: Call) -> Answer | None:
        is_question = call.kind == "manifests" and call.method in ("HEAD", "GET")
        if is_question and not registry.count("PUT", "/manifests/"):
            return Answer(405) if call.method == "HEAD" else wrong
        return None

    with OddRegistry(before_the_push) as registry:
        assert push(registry, {"app:1": APP}, dry_run=True) == ["app:1"]
        assert push(registry, {"app:1": APP}) == ["app:1"]


# --- One refusal stops nobody ---------------------------------------------------------------------


def test_of_thirty_images_all_arrive_that_can_and_a_second_run_says_the_same(
    tmp_path: Path,
) -> None:
    names = [f"team{n % 3}/app{n}:1" for n in range(28)] + ["fixed:1", "missing/app:1"]
    wanted = {name: image(layer(n), layer(100 + n % 5)) for n, name in enumerate(names)}
    sbom = artifact(b"sbom", subject=wanted[names[0]].descriptor)
    file = tmp_path / "p.zip"
    with OddRegistry() as source:
        for name, content in wanted.items():
            images.put(source.address, name, content)
        repository = names[0].partition(":")[0]
        refer(source.address, repository, wanted[names[0]], sbom)
        make_payload(source.address, file, names, secure=False, include_referrers=True)
    flip(file, path_of(layer(7)))
    rules = (
        answering(IMMUTABLE, "PUT", "/v2/fixed/manifests/1"),
        lambda call: (
            refusal(404, "NOT_FOUND", "project missing not found")
            if call.url.startswith("/v2/missing/")
            else None
        ),
        answering(refusal(400, "MANIFEST_INVALID"), "PUT", f"/manifests/{sbom.digest}"),
    )
    with OddRegistry(*rules) as registry:
        runs = [
            charon("push-payload", "-r", registry.address, "-i", "-q", "-f", file) for _ in range(2)
        ]
        arrived = set(names) - {"fixed:1", "missing/app:1", names[7]}
        assert registry.names - {f"{repository}:{tag_of(wanted[names[0]])}"} == arrived
        for run in runs:
            assert run.status == 1
            assert set(run.stdout.splitlines()) == arrived
            lines = run.stderr.splitlines()
            assert len(lines) == 5
            assert lines[0].startswith(f"docker-charon: {names[7]}: the payload is damaged")
            assert "fixed:1" in lines[1]
            assert "immutable" in lines[1]
            assert "missing/app:1" in lines[2]
            assert "project missing not found" in lines[2]
            assert f"{repository}@{sbom.digest}" in lines[3]
            assert f"27 of 30 images are at {registry.address}" in lines[4]
            assert lines[4].endswith("3 images and 1 referrer could not be pushed")
        calls_before = len(registry.calls)
        with pytest.raises(PushIncomplete) as raised:
            push_payload_to_registry(registry.address, file, secure=False)
        assert raised.value.pushed == [name for name in names if name in arrived]
        assert list(raised.value.failed) == [names[7], "fixed:1", "missing/app:1"]
        assert isinstance(raised.value.failed[names[7]], DigestMismatch)
        assert list(raised.value.failed_referrers) == [f"{repository}@{sbom.digest}"]
        # Once one of the blobs of an image has failed, the others are not sent any more.
        sent_again = [c for c in registry.calls[calls_before:] if c.is_for("PUT", "/blobs/uploads")]
        assert {call.query["digest"] for call in sent_again} <= set(
            map(digest_of, wanted[names[7]].blobs)
        )


def test_a_tag_that_is_not_replaced_is_told_with_what_it_is_there() -> None:
    not_replaced = answering(refusal(400, "UNKNOWN", "no updates"), "PUT", "/manifests/1")
    with OddRegistry() as registry:
        images.put(registry.address, "app:1", OTHER)
        registry.rules.append(not_replaced)
        with pytest.raises(RegistryError, match=f"{OTHER.digest} has this tag there") as caught:
            push(registry, {"app:1": APP})
        assert "no updates" in caught.value.message


def test_an_image_that_a_policy_keeps_back_counts_as_there_if_its_blobs_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Harbor answers so to a pull of what was not scanned yet."""
    payload = payload_of({"app:2": OTHER, "app:1": APP}, {"app:1": APP})
    kept_back = refusal(412, "PROJECTPOLICYVIOLATION", "not scanned, cannot be pulled")
    rules = [answering(kept_back, method, "/manifests/1") for method in ("GET", "HEAD")]
    with OddRegistry() as registry:
        images.put(registry.address, "app:1", APP)
        registry.rules += rules
        assert push(registry, io.BytesIO(payload), strict=True) == ["app:2", "app:1"]
        assert "app:1 is taken to be there, but cannot be looked at" in caplog.text
        del registry.blobs["app", digest_of(LAYER)]
        with pytest.raises(BlobNotFound, match="app:1 needs 1 blob that"):
            push(registry, io.BytesIO(payload), strict=True)


def test_a_single_image_that_cannot_be_pushed_is_its_own_error() -> None:
    refused = answering(IMMUTABLE, "PUT", "/manifests/1")
    with (
        OddRegistry(refused) as registry,
        pytest.raises(RegistryError, match="immutable") as raised,
    ):
        push(registry, {"app:1": APP})
    assert not isinstance(raised.value, PushIncomplete)


def test_a_blob_that_one_repository_refuses_is_uploaded_to_the_next() -> None:
    refused = answering(refusal(403, "DENIED"), "POST", "/v2/first/")
    with OddRegistry(refused) as registry:
        with pytest.raises(PushIncomplete) as raised:
            push(registry, {"first/a:1": APP, "second/a:1": APP, "third/a:1": APP}, jobs=1)
        assert list(raised.value.failed) == ["first/a:1"]
        assert registry.names == {"second/a:1", "third/a:1"}
        assert registry.count("POST", "/v2/first/") == 1


def test_a_login_that_is_needed_for_everything_is_one_error() -> None:
    refused = answering(refusal(401, "UNAUTHORIZED"), "POST", "/blobs/uploads/")
    with OddRegistry(refused) as registry, pytest.raises(AuthenticationError):
        push(registry, {"a:1": APP, "b:1": OTHER})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("_one_try")
def test_a_registry_that_has_enough_ends_the_push(status: int) -> None:
    with OddRegistry(answering(Answer(status), "POST", "/blobs/uploads/")) as registry:
        if status == 503:
            registry.rules.append(lambda call: Answer(503) if len(registry.calls) > 1 else None)
        with pytest.raises(RegistryError) as raised:
            push(registry, {"a:1": APP, "b:1": OTHER}, jobs=1)
    assert not isinstance(raised.value, PushIncomplete)
    assert raised.value.status == status


@pytest.mark.usefixtures("_one_try")
def test_a_registry_that_is_gone_ends_the_push() -> None:
    with OddRegistry() as registry:

        def ends(call: Call) -> Answer | None:
            if call.method == "POST":
                raise ConnectionAbortedError  # the connection closes without an answer
            return None

        registry.rules.append(ends)
        with pytest.raises(ConnectionFailed):
            push(registry, {"a:1": APP, "b:1": OTHER})


def signed_payload(*more: TestImage) -> io.BytesIO:
    """Return a payload of an image with an SBOM, a signature of that, and cosign's signature."""
    sbom = artifact(b"sbom", subject=APP.descriptor)
    file = io.BytesIO()
    with OddRegistry() as source:
        images.put(source.address, "app:1", APP)
        images.put(source.address, f"app:{tag_of(APP, '.sig')}", signature(APP))
        refer(source.address, "app", APP, sbom)
        refer(source.address, "app", sbom, artifact(b"signed", subject=sbom.descriptor), *more)
        make_payload(source.address, file, ["app:1"], secure=False, include_referrers=True)
    return file


def test_a_refused_signature_does_not_keep_its_image_away_and_can_be_left_out() -> None:
    refused = answering(IMMUTABLE, "PUT", ".sig")
    with OddRegistry(refused) as registry:
        file = signed_payload()
        with pytest.raises(PushIncomplete, match=r"1 referrer could not be pushed") as raised:
            push(registry, file)
        assert raised.value.pushed == ["app:1"]
        assert list(raised.value.failed_referrers) == [f"app:{tag_of(APP, '.sig')}"]
        assert "app:1" in registry.names
        assert push(registry, file, skip_referrers=True) == ["app:1"]


def test_referrers_go_level_by_level() -> None:
    def strict(call: Call) -> Answer | None:
        if call.method == "PUT" and call.kind == "manifests" and b'"subject"' in call.body:
            known = [digest for _, digest in registry.manifests]
            if not any(f'"{digest}"'.encode() in call.body for digest in known):
                return refusal(404, "MANIFEST_UNKNOWN", "subject unknown")
        return None

    with OddRegistry(strict) as registry:
        assert push(registry, signed_payload()) == ["app:1"]


@pytest.mark.parametrize(
    "refused",
    [
        refusal(404, "MANIFEST_UNKNOWN", "subject"),
        refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown", {"digest": APP.digest}),
        refusal(400, "MANIFEST_INVALID"),
    ],
    ids=["404", "names the subject", "invalid"],
)
def test_a_registry_that_knows_no_subjects_gets_the_image(refused: Answer) -> None:
    def no_subjects(call: Call) -> Answer | None:
        return refused if call.method == "PUT" and b'"subject"' in call.body else None

    with OddRegistry(no_subjects) as registry:
        with pytest.raises(PushIncomplete) as raised:
            push(registry, signed_payload())
        assert raised.value.pushed == ["app:1"]
        assert len(raised.value.failed_referrers) == 2
        assert {"app:1", f"app:{tag_of(APP, '.sig')}"} <= registry.names


@pytest.mark.parametrize("subject", [APP, index(APP)], ids=["image", "index"])
def test_a_registry_that_shows_the_subject_as_the_list_of_its_referrers_gets_a_list(
    subject: TestImage,
) -> None:
    file, sbom = io.BytesIO(), artifact(b"sbom", subject=subject.descriptor)
    with OddRegistry() as source:
        images.put(source.address, "app:1", subject)
        refer(source.address, "app", subject, sbom)
        make_payload(source.address, file, ["app:1"], secure=False, include_referrers=True)
    with OddRegistry() as registry:

        def shows_subject(call: Call) -> Answer | None:
            is_asked = call.method != "PUT" and call.reference == tag_of(subject)
            if is_asked and ("app", call.reference) not in registry.tags:
                return registry.manifest(replace(call, reference=subject.digest))
            return None

        registry.rules.append(shows_subject)
        assert push(registry, file) == ["app:1"]
        content, _ = registry.manifests["app", registry.tags["app", tag_of(subject)]]
        assert [entry["digest"] for entry in json.loads(content)["manifests"]] == [sbom.digest]


def test_tags_that_may_not_be_overwritten_are_each_named_where_the_registry_answers_403() -> None:
    refused = answering(refusal(403, "DENIED", "tag exists"), "PUT", "/manifests/1")
    with OddRegistry(refused) as registry, pytest.raises(PushIncomplete) as raised:
        push(registry, {"a:1": APP, "b:1": OTHER})
    assert list(raised.value.failed) == ["a:1", "b:1"]


def test_a_missing_project_costs_few_requests() -> None:
    def missing(call: Call) -> Answer | None:
        return refusal(404, "NOT_FOUND") if call.url.startswith("/v2/missing/") else None

    wanted = {f"missing/a:{n}": image(*(layer(n * 10 + m) for m in range(5))) for n in range(4)}
    with OddRegistry(missing) as registry:
        with pytest.raises(PushIncomplete):
            push(registry, {**wanted, "there:1": APP}, jobs=1)
        assert registry.names == {"there:1"}
        assert registry.count("POST", "/v2/missing/") == len(wanted)


# --- The deed outweighs the question --------------------------------------------------------------

BLOB = digest_of(LAYER)
QUESTIONS = {
    "HEAD says zero": {"HEAD": Answer(200, headers={"Content-Length": "0"})},
    "HEAD says something else": {"HEAD": Answer(200, headers={"Content-Length": "5"})},
    "HEAD is not allowed": {"HEAD": Answer(405)},
    "GET is not allowed": {"GET": Answer(403)},
    "nothing is allowed": {"HEAD": Answer(405), "GET": Answer(403)},
    "an empty link file": {"HEAD": Answer(500), "GET": Answer(500)},
    "HEAD is broken": {"HEAD": Answer(500)},
    "a web page": {"GET": Answer(200, b"<html>", {"Content-Type": "text/html"})},
}


@pytest.mark.parametrize("answers", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("is_there", [True, False])
def test_no_answer_to_a_question_fails_a_push(
    answers: Mapping[str, Answer], is_there: bool
) -> None:
    with OddRegistry(deceiving(BLOB, answers)) as registry:
        if is_there:
            images.put(registry.address, "app:0", APP)
        assert push(registry, {"app:1": APP}, strict=True) == ["app:1"]
        assert "app:1" in registry.names


def test_a_question_about_a_tag_that_is_refused_fails_nothing() -> None:
    with OddRegistry() as registry:
        refused = refusal(403, "DENIED")  # how Artifactory may answer for what is not there
        registry.rules.append(
            lambda call: (
                refused
                if call.method in ("GET", "HEAD") and call.kind == "manifests" and not registry.tags
                else None
            )
        )
        nested = index(image(layer(4)), image(layer(5)))
        assert push(registry, {"app:1": APP, "nested:1": nested}) == ["app:1", "nested:1"]


def test_a_delta_relies_on_a_blob_about_which_there_is_no_answer() -> None:
    base, update = image(LAYER), image(LAYER, layer(2))
    file = io.BytesIO(payload_of({"app:2": update}, {"app:1": base}))
    with OddRegistry(deceiving(BLOB, QUESTIONS["nothing is allowed"])) as registry:
        images.put(registry.address, "app:1", base)
        assert push(registry, file, strict=True) == ["app:2"]
        assert registry.names == {"app:1", "app:2"}


DETAILS: dict[str, Callable[[str], Answer]] = {
    "text": lambda digest: refusal(404, "MANIFEST_BLOB_UNKNOWN", "", digest),
    "object": lambda digest: refusal(400, "BLOB_UNKNOWN", "", {"digest": digest}),
    "list": lambda digest: refusal(400, "MANIFEST_BLOB_UNKNOWN", "", [{"Digest": digest}]),
    "message": lambda digest: refusal(400, "BLOB_UNKNOWN", f"unknown blob {digest}", {}),
    "plain text": lambda digest: Answer(404, f"blob {digest} unknown".encode()),
    "not named": lambda _: refusal(400, "MANIFEST_BLOB_UNKNOWN"),
}


@pytest.mark.parametrize("refused", DETAILS.values(), ids=DETAILS)
def test_a_blob_that_is_only_said_to_be_there_is_uploaded(
    refused: Callable[[str], Answer],
) -> None:
    with OddRegistry() as registry:

        def forgetful(call: Call) -> Answer | None:
            if ("app", BLOB) in registry.blobs:
                return None
            if call.reference == BLOB:
                span = {"Content-Range": f"bytes {len(LAYER) - 1}-{len(LAYER) - 1}/{len(LAYER)}"}
                return Answer(206, b"x", span) if call.method == "GET" else None
            return refused(BLOB) if call.is_for("PUT", "/v2/app/manifests/") else None

        registry.rules.append(forgetful)
        assert push(registry, {"app:1": APP, "other:1": OTHER}) == ["app:1", "other:1"]
        assert registry.names == {"app:1", "other:1"}


def test_a_child_that_is_only_said_to_be_there_is_put() -> None:
    child = image(layer(5))
    with OddRegistry(
        answering(
            Answer(200, headers={"Docker-Content-Digest": child.digest}), "HEAD", child.digest
        )
    ) as registry:
        assert push(registry, {"app:1": index(child)}) == ["app:1"]
        assert registry.names == {"app:1"}


def test_a_mount_that_did_not_happen_becomes_an_upload() -> None:
    with OddRegistry(answering(Answer(201), "POST", "mount=")) as registry:
        assert push(registry, {"a:1": APP, "b:1": APP}) == ["a:1", "b:1"]
        assert registry.names == {"a:1", "b:1"}


def test_a_lost_race_for_a_blob_is_no_failure() -> None:
    with OddRegistry() as registry:

        def late(call: Call) -> Answer | None:
            if call.method == "PUT" and call.query.get("digest") == BLOB:
                registry.upload(call)
                return refusal(400, "BLOB_UPLOAD_INVALID")
            return None

        registry.rules.append(late)
        assert push(registry, {"app:1": APP}) == ["app:1"]


def test_a_lost_race_for_a_manifest_is_no_failure() -> None:
    with OddRegistry() as registry:

        def late(call: Call) -> Answer | None:
            if call.method == "PUT" and call.kind == "manifests":
                registry.manifest(call)
                return refusal(409, "CONFLICT")
            return None

        registry.rules.append(late)
        assert push(registry, {"app:1": index(APP)}) == ["app:1"]


# --- Done means looked at -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [b"", LAYER[:-1]], ids=["nothing", "not all"])
def test_a_registry_that_keeps_a_damaged_copy_is_named(kept: bytes) -> None:
    with OddRegistry() as registry:
        images.put(registry.address, "app:0", APP)
        registry.blobs["app", BLOB] = kept

        def keeps(call: Call) -> Answer | None:
            is_upload = call.method == "PUT" and call.query.get("digest") == BLOB
            return Answer(201) if is_upload else None

        registry.rules.append(keeps)
        with pytest.raises(BlobNotFound, match="keeps a damaged copy of the blob") as raised:
            push(registry, {"app:1": APP})
        assert BLOB in raised.value.message
        assert "delete the file of that blob" in raised.value.hint
        assert "app:1" not in registry.names


def test_a_damaged_copy_that_an_upload_mends_is_mended() -> None:
    with OddRegistry() as registry:
        images.put(registry.address, "app:1", APP)
        registry.blobs["app", BLOB] = b""
        assert push(registry, {"app:1": APP}) == ["app:1"]
        assert registry.blobs["app", BLOB] == LAYER


def test_a_blob_of_which_only_the_cache_knows_is_uploaded() -> None:
    cached = Answer(200, headers={"Content-Length": str(len(LAYER))})
    with OddRegistry(deceiving(BLOB, {"HEAD": cached})) as registry:
        assert push(registry, {"app:1": APP}) == ["app:1"]
        assert registry.blobs["app", BLOB] == LAYER


def test_a_tag_that_is_taken_and_not_kept_is_named() -> None:
    with (
        OddRegistry(answering(Answer(201), "PUT", "/manifests/1")) as registry,
        pytest.raises(RegistryError, match=r"has taken app:1, but does not show it"),
    ):
        push(registry, {"app:1": APP})


def test_a_tag_that_shows_another_image_afterwards_is_named() -> None:
    with OddRegistry(answering(Answer(201), "PUT", "/manifests/1")) as registry:
        images.put(registry.address, "app:0", OTHER)
        registry.tags["app", "1"] = OTHER.digest
        with pytest.raises(RegistryError, match=f"but shows {OTHER.digest}"):
            push(registry, {"app:1": APP})


def test_reads_that_lag_behind_writes_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with OddRegistry() as registry:
        late = answering(refusal(404, "MANIFEST_UNKNOWN"), "GET", "/manifests/", times=6)
        registry.rules.append(lambda call: late(call) if registry.tags else None)
        assert push(registry, {"app:1": APP}) == ["app:1"]
    assert "spelled" not in caplog.text


def test_a_registry_that_lets_nobody_read_is_believed() -> None:
    with OddRegistry(answering(refusal(403, "DENIED"), "GET", "/manifests/")) as registry:
        assert push(registry, {"app:1": APP}) == ["app:1"]


# --- Nothing is written that is there already -----------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 405])
def test_a_second_push_into_a_registry_that_takes_nothing_is_done(status: int) -> None:
    nested = index(index(image(layer(6))), image(layer(7)))
    file = signed_payload()
    wanted = {"app:1": nested, "b:1": OTHER, "c:1": APP}
    with OddRegistry() as registry:
        push(registry, wanted)
        push(registry, file)
        refused = refusal(status, "DENIED", "updating assets is not allowed")
        registry.rules.append(
            lambda call: refused if call.method in ("PUT", "POST", "PATCH") else None
        )
        assert push(registry, {"b:1": OTHER, "c:1": APP}, strict=True) == ["b:1", "c:1"]
        assert push(registry, file, strict=True) == ["app:1"]
        calls = [call.method for call in registry.calls[-8:]]
        assert set(calls) <= {"GET", "HEAD"}


def test_a_child_that_is_there_is_not_put_again() -> None:
    shared = image(layer(6))
    with OddRegistry() as registry:
        push(registry, {"app:1": index(shared)})
        before = registry.count("PUT", shared.digest)
        push(registry, {"app:2": index(shared, image(layer(7)))})
        assert registry.count("PUT", shared.digest) == before == 1


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / "p.zip"
    path.write_bytes(payload_of({"app:1": APP, "plain": OTHER}))
    return path


def test_images_that_are_left_out_give_status_3(tmp_path: Path) -> None:
    delta = tmp_path / "d.zip"
    delta.write_bytes(payload_of({"app:2": APP, "other:1": OTHER}, {"app:1": image(LAYER)}))
    with OddRegistry() as registry:
        pushed = charon("push-payload", "-r", registry.address, "-i", "-q", "-f", delta)
    assert (pushed.status, pushed.stdout) == (3, "other:1\n")
    assert "left out" in pushed.stderr


def test_the_names_that_are_printed_can_be_pulled(payload: Path) -> None:
    options = ["-i", "-q", "-f", payload, "--repository-prefix", "mirror"]
    with OddRegistry() as registry:
        new = charon("push-payload", "-r", registry.address, *options)
        old = charon("push-payload", "-r", registry.address, *options, "--names", "source")
        assert registry.names == {"mirror/app:1", "mirror/plain:latest"}
    assert new.stdout.split() == ["mirror/app:1", "mirror/plain:latest"]
    assert old.stdout.split() == ["app:1", "plain"]


def test_no_image_is_called_complete_before_its_tag_is_there(payload: Path) -> None:
    refused = answering(IMMUTABLE, "PUT", "/v2/plain/manifests/")
    with OddRegistry(refused) as registry:
        pushed = charon("push-payload", "-r", registry.address, "-i", "-f", payload)
    assert pushed.status == 1
    assert "app:1 is complete (1 of 2 images)" in pushed.stderr
    assert "plain is complete" not in pushed.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("make-payload", "--platform", "amd64", "app"),
        ("make-payload", "-j", "0", "app"),
        ("make-payload", "UPPER"),
        ("make-payload", "-r", "https://registry.lan", "app"),
        ("push-payload", "-j", "0"),
        ("push-payload", "--repository-prefix", "Up/"),
        ("push-payload", "-r", "registry.lan/path"),
        ("push-payload", "--names", "all"),
        ("verify-payload", "-j", "0"),
        ("make-inventory", "-j", "0"),
        ("make-inventory", "a b"),
    ],
    ids=" ".join,
)
def test_wrong_usage_has_status_2(words: tuple[str, ...], payload: Path, tmp_path: Path) -> None:
    command, *rest = words
    file = payload if command.endswith("push-payload") else tmp_path / "new.zip"
    if command == "verify-payload":
        file = payload
    done = charon(command, "-f", file, *rest)
    assert done.status == 2, done
    assert len(done.stderr.splitlines()) == 1
