"""What a registry says in headers: challenges, ranges and lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from responses import RequestsMock

from docker_charon.auth import parse_challenges
from docker_charon.blob_upload import UploadSession
from docker_charon.descriptor import Descriptor
from docker_charon.digest import Digest
from docker_charon.errors import DockerCharonError
from docker_charon.registry import RegistryClient, _is_rest
from fuzz.documents import anything
from fuzz.promise import kept

HOST = "registry.example"
URL = f"https://{HOST}/v2/"
BLOB = Descriptor("application/octet-stream", Digest.of(b"x"), 1000)
# What can arrive in a header: latin-1 without the ends of lines.
header_texts = st.text(
    st.characters(max_codepoint=255, exclude_categories=["Cc"]) | st.just("\t"), max_size=40
)
words = st.text("abcXYZ019!#$%&'*+.^_`|~-", min_size=1, max_size=8)
quoted = header_texts.map(lambda text: '"' + re.sub(r'(["\\])', r"\\\1", text) + '"')
realms = st.sampled_from(
    [
        "https://auth.example/token",
        "http://auth.example",
        "https://[",
        "https://a:b",
        "//x",
        "ftp:x",
    ]
    + [
        "https://auth.example:99999/",
        "https://auth.example/?a=b#c",
        "https://é.example",
        "https://",
    ]
    + ["https://" + "a" * 70 + ".example", "https://.", "https://a b/", "https://u:p@auth.example/"]
)
challenge_pieces = st.one_of(
    st.sampled_from(
        ["Bearer ", "Basic ", "realm=", "service=", "scope=", ",", " ", "=", '"', "\\"]
    ),
    st.sampled_from(
        ["Negotiate YWJj==", " " * 5000, "a" * 5000, '"' * 99, '\\"' * 99, ", " * 2000]
    ),
    realms.map(lambda realm: f'realm="{realm}"'),
    header_texts,
    quoted,
    words,
)
challenges = st.lists(challenge_pieces, max_size=12).map("".join)
ranges = st.one_of(
    header_texts,
    st.lists(
        st.sampled_from(["bytes", " ", "=", "-", "/", "*", "0", "1", "499", "500", "999", "1000"])
        | st.sampled_from(["1001", "²", "+1", "1_0", " 500", "9" * 18, "9" * 5000, "bytes 500-"])
        | st.sampled_from(["999/1000", "0-", "BYTES", "items", ",", "\xa0", "0x1"]),
        max_size=7,
    ).map("".join),
)


@pytest.fixture(scope="module")
def client() -> Iterator[RegistryClient]:
    with RegistryClient(HOST, username="user", password="password") as found:
        yield found


@given(challenges | st.text())
@example("a" * 65_000)
@example("a " * 32_000)
@example('a="' + "\\a" * 32_000)
@example("a" + " " * 65_000 + "b")
@example("a=" * 32_000)
@example("a" + "=" * 65_000 + '"')
def test_any_challenge_is_read(header: str) -> None:
    found = kept(lambda: parse_challenges(header))
    assert isinstance(found, list)
    for challenge in found:
        assert challenge.scheme == challenge.scheme.lower() != ""
        assert challenge.scheme in header.lower()


@given(
    st.lists(
        st.tuples(words, st.dictionaries(words.map(str.lower), header_texts, max_size=4)),
        max_size=3,
    )
)
def test_a_right_challenge_is_read_right(wanted: list[tuple[str, dict[str, str]]]) -> None:
    header = ", ".join(
        f"{scheme} "
        + ", ".join(
            f'{name}="' + re.sub(r'(["\\])', r"\\\1", value) + '"' for name, value in pairs.items()
        )
        for scheme, pairs in wanted
    )
    found = [(one.scheme, one.parameters) for one in parse_challenges(header)]
    assert found == [(scheme.lower(), pairs) for scheme, pairs in wanted]


@given(challenges, realms | st.none(), anything)
def test_a_login_is_made_or_refused(header: str, realm: str | None, token: bytes) -> None:
    said = header if realm is None else f'Bearer realm="{realm}",{header}'
    with RequestsMock(assert_all_requests_are_fired=False) as web:
        web.get(re.compile(r"https?://auth\.example"), body=token)
        web.get(re.compile(re.escape(URL)), status=401, headers={"WWW-Authenticate": said})
        with RegistryClient(HOST, username="user", password="xyzzy") as client:
            found = kept(lambda: client.tags("app"))
    assert isinstance(found, DockerCharonError)
    assert "xyzzy" not in str(found)


@given(ranges, st.sampled_from([1, 500, 999]))
@example("bytes 500-999/1000", 500)
@example("bytes 500-999/*", 500)
def test_a_rest_is_nothing_else(header: str, start: int) -> None:
    found = kept(lambda: _is_rest(header, start, BLOB))
    exact = re.fullmatch(rf"bytes\s+{start}-999\s*/\s*(1000|\*)", header.strip(), re.IGNORECASE)
    assert found is (exact is not None)


@given(ranges)
@example("bytes=0-499")
@example("0-²")
@example("0-" + "9" * 5000)
def test_an_upload_has_come_somewhere(client: RegistryClient, header: str) -> None:
    session = UploadSession(f"{URL}app/blobs/uploads/1", 100)
    with RequestsMock() as web:
        web.get(session.location, status=204, headers={"Range": header})
        found = kept(lambda: client.upload_status("app", session, "the upload"))
    if not isinstance(found, DockerCharonError):
        assert 0 <= found.received <= 10**18


@given(ranges, st.sampled_from([200, 206, 416]))
@example("²", 200)
@example("9" * 5000, 200)
@example("bytes 0-0/²", 206)
@example("bytes 0-0/" + "9" * 5000, 206)
def test_a_blob_has_a_size_or_none(client: RegistryClient, header: str, status: int) -> None:
    name = "Content-Length" if status == 200 else "Content-Range"
    with RequestsMock(assert_all_requests_are_fired=False) as web:
        web.head(
            f"{URL}app/blobs/{BLOB.digest}",
            headers={name: header},
            auto_calculate_content_length=False,
        )
        web.get(f"{URL}app/blobs/{BLOB.digest}", status=status, headers={name: header})
        found = kept(lambda: client.head_blob("app", BLOB.digest))
    if not isinstance(found, DockerCharonError):
        assert isinstance(found, int)
        assert str(found) in header
