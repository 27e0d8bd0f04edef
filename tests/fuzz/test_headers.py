"""Headers of registries: challenges, ranges, lengths, whatever stands in them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import responses
from hypothesis import example, given
from hypothesis import strategies as st
from requests import PreparedRequest, Response

from docker_charon.errors import RegistryError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.registry import listing
from docker_charon.registry.auth import _granted
from docker_charon.registry.blobs import _is_rest
from docker_charon.registry.challenge import parse_challenges
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.credentials import Credentials, FoundLogin
from docker_charon.registry.errors import answer_error
from docker_charon.registry.http import parse_number
from fuzz.json_values import members, scalars, values, written
from fuzz.line import check_line

WORDS = [
    "Bearer",
    "Basic",
    "realm",
    "service",
    "scope",
    "=",
    '"',
    "\\",
    ",",
    " ",
    "\t",
    "abc==",
    "x",
]
headers = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.lists(st.sampled_from(WORDS), max_size=30).map("".join),
)
parameters = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    min_size=1,
    max_size=4,
)


@given(headers)
@example('Bearer realm="' + "\\" * 65_535)
@example("Bearer " + "a" * 65_000 + '"')
@example("a " * 30_000 + '"')
@example("a=" * 30_000)
@example("," * 65_000 + '"')
@example("a" + " " * 65_000 + '"')
def test_a_challenge_is_read_whatever_it_is(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(
    st.lists(st.tuples(st.sampled_from(["Bearer", "Basic", "Negotiate"]), parameters), max_size=3)
)
def test_challenges_that_are_well_formed_come_back(
    wanted: list[tuple[str, dict[str, str]]],
) -> None:
    def quoted(text: str) -> str:
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'

    header = ", ".join(
        f"{scheme} " + ", ".join(f"{key}={quoted(value)}" for key, value in pairs.items())
        for scheme, pairs in wanted
    )
    found = [(one.scheme, one.parameters) for one in parse_challenges(header)]
    assert found == [(scheme.lower(), pairs) for scheme, pairs in wanted]


numbers = st.integers(-5, 2**70).map(str) | st.sampled_from(
    ["", "٣", "²", "+1", "1_0", " 1", "1e3"]
)


@given(
    st.text(max_size=30)
    | st.builds("{} {}-{}/{}".format, st.just("bytes"), numbers, numbers, numbers | st.just("*")),
    st.integers(0, 50),
    st.integers(1, 50),
)
def test_only_the_rest_of_a_blob_is_its_rest(text: str, start: int, size: int) -> None:
    blob = Descriptor("a", Digest.of(b""), size)
    right = {f"bytes {start}-{size - 1}/{total}" for total in (size, "*")}
    if text in right:
        assert _is_rest(text, start, blob)
    if _is_rest(text, start, blob):
        assert re.sub(r"\s+", " ", text.strip()).lower().replace("/ ", "/") in {
            *right,
            *(one.replace("/", " /") for one in right),
        }
    assert all(_is_rest(one, start, blob) for one in right)


@given(numbers | st.text(max_size=5))
def test_a_number_is_one_that_fits(text: str) -> None:
    number = parse_number(text)
    if number is not None:
        assert 0 <= number == int(text) < 2**63
        assert re.fullmatch("[0-9]+", text)


@given(written(members(token=scalars, access_token=scalars, expires_in=scalars) | values))
def test_a_token_is_one_that_fits_into_a_header(content: bytes) -> None:
    try:
        grant = _granted(content, "the token service")
    except RegistryError as error:
        check_line(error)
        return
    assert re.fullmatch(r"Bearer [!-~]+", grant.header)


@pytest.mark.parametrize(
    "content", [b"[" * 500_000, b'{"token":' * 100_000, b'{"expires_in":' + b"9" * 900_000 + b"}"]
)
def test_hard_answers_of_a_token_service_hold_no_token(content: bytes) -> None:
    with pytest.raises(RegistryError, match="without a token"):
        _granted(content, "the token service")


def test_a_list_of_tags_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_PAGES", 20)
    pages = 0

    def page(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        nonlocal pages
        pages += 1
        return 200, {"Link": f'</v2/app/tags/list?n={pages}>; rel="next"'}, '{"tags":[]}'

    with responses.RequestsMock() as mocked, RegistryClient("r.example") as client:
        mocked.add_callback("GET", re.compile(".*/tags/list"), page)
        with pytest.raises(RegistryError, match="sends the tags of app without an end"):
            client.tags("app")
    assert pages == 20


def test_deep_or_crowded_lists_of_tags_are_no_lists() -> None:
    for body in (b"[" * 100_000, b'{"tags":[' + b"{}," * 1_000_000 + b"{}]}"):
        with responses.RequestsMock() as mocked, RegistryClient("r.example") as client:
            mocked.add("GET", "https://r.example/v2/app/tags/list", body=body)
            with pytest.raises(RegistryError, match="sends something else"):
                client.tags("app")


errors: st.SearchStrategy[Any] = members(
    errors=st.lists(members(code=scalars, message=scalars, detail=scalars), max_size=2)
)


@given(
    written(errors | values) | st.binary(max_size=80),
    st.sampled_from([400, 401, 403, 404, 405, 413, 429, 500, 507]),
    st.booleans(),
)
@example(b"[" * 65_536, 500, True)
@example(b'{"errors":' * 6_000, 500, True)
def test_a_refusal_is_one_line_whatever_the_body(body: bytes, status: int, known: bool) -> None:
    answer = Response()
    answer.status_code = status
    login = FoundLogin(Credentials("user", "secret") if known else None)
    error = answer_error(answer, body, "the check", "registry.example", secure=True, login=login)
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    assert error.status == status
