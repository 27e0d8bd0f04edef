"""Answers about parts of a blob, and names in lists, whatever a registry sends."""

from __future__ import annotations

import io
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from docker_charon import DockerCharonError, make_inventory
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry.access import Access
from docker_charon.registry.blobs import BlobState
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.retry import ONCE, RetryPolicy
from fuzz.json_values import digests, scalars, written
from fuzz.line import check_line
from fuzz.mutation import ODD_TEXTS
from images import image, layer, put
from odd_registry import Answer, Call, OddRegistry

FEWER = settings(max_examples=settings().max_examples // 4)
"""Each example starts a registry."""

CONTENT = layer(1, 3_000)
BLOB = Descriptor("x", Digest.of(CONTENT), len(CONTENT))
SIZE = len(CONTENT)

offsets = st.sampled_from([0, 1, SIZE // 2, SIZE - 1, SIZE, SIZE + 1, 2**63]) | st.integers(0, SIZE)
spans = st.one_of(
    st.builds("bytes {}-{}/{}".format, offsets, offsets, offsets | st.just("*")),
    st.builds("bytes */{}".format, offsets),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
answers = st.builds(
    lambda status, start, end, headers, length: Answer(
        status, CONTENT[start:end], headers | ({} if length is None else {"Content-Length": length})
    ),
    st.sampled_from([200, 206, 206, 206, 416, 204, 404, 503]),
    offsets,
    offsets,
    st.dictionaries(st.sampled_from(["Content-Range", "Accept-Ranges", "Range"]), spans),
    st.none() | st.none() | offsets.map(str),
)


def a_registry(answer: Answer) -> OddRegistry:
    """Return a registry that cuts its first answer, and then answers about the blob like this."""

    def rule(call: Call) -> Answer | None:
        if call.reference != BLOB.digest:
            return None
        if "Range" in call.headers:
            return Answer(answer.status, answer.body, {**answer.headers, "Connection": "close"})
        length = {"Content-Length": str(SIZE), "Connection": "close"}
        return Answer(200, CONTENT[: SIZE // 2], length)

    return OddRegistry(rule)


QUICK = Access(secure=False, retry=RetryPolicy(tries=3, backoff=0.0001, when_away=False))


@given(answers)
@FEWER
def test_a_blob_that_goes_on_is_right_or_told(answer: Answer) -> None:
    with a_registry(answer) as registry, RegistryClient(registry.address, QUICK) as client:
        try:
            with client.get_blob("app", BLOB) as stream:
                content = b"".join(bytes(chunk) for chunk in BLOB.verified(stream))
        except DockerCharonError as error:
            check_line(error)
        else:
            assert content == CONTENT
        assert len(registry.calls) < 20


@given(answers)
@FEWER
def test_the_last_byte_of_a_blob_tells_its_state_or_nothing(answer: Answer) -> None:
    access = Access(secure=False, retry=ONCE)
    with a_registry(answer) as registry, RegistryClient(registry.address, access) as client:
        state = client.blob_state("app", BLOB)
        assert isinstance(state, BlobState)
        if answer.status == 404:
            assert state is BlobState.ABSENT
        assert len(registry.calls) <= 2


names = st.one_of(
    st.sampled_from(["app", "1", "latest", "team/app"]),
    st.sampled_from(ODD_TEXTS),
    st.from_regex(r"[a-z0-9]+([._/-][a-z0-9]+){0,3}", fullmatch=True),
    st.text(max_size=12),
    digests,
)
lists: st.SearchStrategy[Any] = st.lists(names, max_size=5) | st.lists(names | scalars, max_size=3)
NAME = r"[a-z0-9]+([._/-]+[a-z0-9]+)*"
PATH = re.compile(rf"/v2/(_catalog|{NAME}/(tags|manifests|blobs)/[\w.:%-]+)?")


@given(written(lists.map(lambda x: {"repositories": x})), written(lists.map(lambda x: {"tags": x})))
@FEWER
def test_names_in_lists_become_no_other_paths(repositories: bytes, tags: bytes) -> None:
    def lists(call: Call) -> Answer | None:
        path = call.url.partition("?")[0]
        if path == "/v2/_catalog":
            return Answer(200, repositories)
        return Answer(200, tags) if path.endswith("/tags/list") else None

    with OddRegistry(lists) as registry:
        put(registry.address, "app:1", image(layer(1)))
        registry.calls.clear()
        try:
            listed = make_inventory(
                registry.address, io.BytesIO(), secure=False, progress=False, jobs=1
            )
        except DockerCharonError as error:
            check_line(error)
        else:
            assert set(listed) <= {"app:1"}
        for call in registry.calls:
            assert PATH.fullmatch(call.url.partition("?")[0]), call.url
            assert ".." not in call.url
