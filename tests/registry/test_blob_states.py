"""The state of a blob in a repository: what reading one byte tells that a question does not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

import images
from clock import Clock
from docker_charon.errors import AuthenticationError, BlobNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry import rate_limit
from docker_charon.registry.access import Access, waiting_for
from docker_charon.registry.blobs import BlobState
from docker_charon.registry.client import RegistryClient
from images import image, layer
from odd_registry import Answer, Call, OddRegistry, refusal

CONTENT = layer(1, 100_000)
BLOB = Descriptor("x", Digest.of(CONTENT), len(CONTENT))


@pytest.fixture
def registry() -> Iterator[OddRegistry]:
    """Run a registry that has the blob in ``app``."""
    with OddRegistry() as registry:
        images.put(registry.address, "app:1", image(CONTENT))
        registry.calls.clear()
        yield registry


def state(registry: OddRegistry, repository: str = "app", blob: Descriptor = BLOB) -> BlobState:
    with RegistryClient(registry.address, Access(secure=False)) as client:
        return client.blob_state(repository, blob)


def replace_answers(registry: OddRegistry, **answers: Answer) -> None:
    """Answer questions about the blob, by their methods."""

    def rule(call: Call) -> Answer | None:
        return answers.get(call.method) if call.reference == BLOB.digest else None

    registry.rules.append(rule)


def test_one_request_reads_one_byte(registry: OddRegistry) -> None:
    assert state(registry) is BlobState.PRESENT
    assert state(registry, "other") is BlobState.ABSENT
    assert [call.method for call in registry.calls] == ["GET", "GET"]
    assert {call.headers["Range"] for call in registry.calls} == {
        f"bytes={BLOB.size - 1}-{BLOB.size - 1}"
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(404, "NAME_UNKNOWN"), BlobState.NO_REPOSITORY),
        (refusal(404, "BLOB_UNKNOWN", "no such repository: NAME_UNKNOWN"), BlobState.ABSENT),
        (refusal(404, "NOT_FOUND"), BlobState.ABSENT),
        (Answer(404, b"NAME_UNKNOWN"), BlobState.ABSENT),
        (Answer(404), BlobState.ABSENT),
    ],
)
def test_only_a_code_says_that_there_is_no_repository(
    registry: OddRegistry, answer: Answer, expected: BlobState
) -> None:
    replace_answers(registry, GET=answer)
    assert state(registry) is expected
    assert expected.needs_upload
    assert len(registry.calls) == 1


def test_an_empty_blob_has_no_last_byte(registry: OddRegistry) -> None:
    empty = Descriptor("x", Digest.of(b""), 0)
    assert state(registry, blob=empty) is BlobState.ABSENT
    registry.blobs["app", empty.digest] = b""
    assert state(registry, blob=empty) is BlobState.PRESENT


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1])
def test_a_blob_that_was_cut_is_damaged(registry: OddRegistry, size: int) -> None:
    registry.blobs["app", BLOB.digest] = CONTENT[:size]
    assert state(registry) is BlobState.DAMAGED


def test_a_blob_whose_bytes_do_not_come_is_damaged(registry: OddRegistry) -> None:
    last = BLOB.size - 1
    span = {"Content-Range": f"bytes {last}-{last}/{BLOB.size}", "Content-Length": "1"}
    replace_answers(registry, GET=Answer(206, b"", {**span, "Connection": "close"}))
    assert state(registry) is BlobState.DAMAGED


def test_a_registry_without_ranges_answers_with_the_whole(registry: OddRegistry) -> None:
    replace_answers(registry, GET=Answer(200, CONTENT))
    assert state(registry) is BlobState.PRESENT


@pytest.mark.parametrize(
    "content", [gzip.compress(b"a layer"), b"ends with\x1f", b""], ids=["gzip", "1f", "empty"]
)
@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_blob_that_is_announced_as_encoded_is_looked_at_as_it_is_stored(
    registry: OddRegistry, content: bytes, has_ranges: bool
) -> None:
    blob = Descriptor("x", Digest.of(content), len(content))
    registry.blobs["app", blob.digest] = content
    answer = Answer(200, content, {"Content-Encoding": "gzip"})
    if has_ranges and content:
        last = {"Content-Range": f"bytes {blob.size - 1}-{blob.size - 1}/{blob.size}"}
        answer = Answer(206, content[-1:], {"Content-Encoding": "gzip", **last})
    registry.rules.append(lambda call: answer if call.method == "GET" else None)
    assert state(registry, blob=blob) is BlobState.PRESENT


def test_the_length_of_a_blob_that_is_compressed_on_its_way_says_nothing(
    registry: OddRegistry,
) -> None:
    compressed = gzip.compress(CONTENT)
    replace_answers(registry, GET=Answer(200, compressed, {"Content-Encoding": "gzip"}))
    assert state(registry) is BlobState.PRESENT
    assert [call.method for call in registry.calls] == ["GET", "HEAD"]


def test_storage_that_cannot_be_reached_from_here_is_not_asked_again(
    registry: OddRegistry,
) -> None:
    replace_answers(registry, GET=Answer(307, headers={"Location": "http://localhost:1/blob"}))
    with RegistryClient(registry.address, Access(secure=False)) as client:
        for _ in range(3):
            assert client.blob_state("app", BLOB) is BlobState.PRESENT
    methods = [call.method for call in registry.calls]
    assert methods.count("HEAD") == 3
    assert methods[-2:] == ["HEAD", "HEAD"]


def test_a_registry_that_never_answers_the_question_is_waited_for_once(
    registry: OddRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock().replace_time(monkeypatch, rate_limit)
    busy = Answer(429, headers={"Retry-After": "1"})
    replace_answers(registry, GET=busy, HEAD=busy)
    access = Access(secure=False, retry=waiting_for(30))
    with RegistryClient(registry.address, access) as client:
        for _ in range(3):
            assert client.blob_state("app", BLOB) is BlobState.UNKNOWN
            client.check_blob("app", BLOB)
    assert 25 < sum(clock.slept) < 35


def test_a_login_that_is_refused_is_an_error() -> None:
    with OddRegistry() as registry:
        realm = f'Bearer realm="http://{registry.address}/token"'
        registry.rules.append(
            lambda call: (
                Answer(401)
                if call.url.startswith("/token")
                else Answer(401, headers={"WWW-Authenticate": realm})
            )
        )
        access = Access(secure=False, username="me", password="wrong")
        with (
            RegistryClient(registry.address, access) as client,
            pytest.raises(AuthenticationError) as raised,
        ):
            client.blob_state("app", BLOB)
        assert raised.value.login_refused


def test_a_blob_that_was_taken_and_is_lost_is_named(registry: OddRegistry) -> None:
    replace_answers(registry, GET=refusal(404, "BLOB_UNKNOWN"))
    with (
        RegistryClient(registry.address, Access(secure=False)) as client,
        pytest.raises(BlobNotFound, match="has lost the blob") as raised,
    ):
        client.check_blob("app", BLOB)
    assert "push again" in raised.value.hint
