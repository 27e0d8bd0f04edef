"""Names and digests: what is taken for one follows the grammar, whatever is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_charon.errors import DockerCharonError, InvalidDigest, InvalidReference
from docker_charon.oci.digest import Digest
from docker_charon.oci.host import check_host
from docker_charon.oci.reference import Reference
from fuzz.json_values import values
from fuzz.line import check_line
from fuzz.mutation import ODD_TEXTS
from images import digest_of

PARTS = ["a", "app", "lib/app", "9", "A", "-", "_", "__", ".", "..", "/", "//", ":", "@", "\n", " "]
names = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from([*PARTS, *ODD_TEXTS, digest_of(b""), ":1.0"]), max_size=8).map(
        "".join
    ),
)


@given(names)
def test_a_reference_is_refused_or_is_safe_in_a_path(name: str) -> None:
    try:
        reference = Reference.parse(name)
    except InvalidReference as error:
        check_line(error)
        return
    assert name.isascii()
    assert name.isprintable()
    tag = "" if reference.tag is None else f":{reference.tag}"
    digest = "" if reference.digest is None else f"@{reference.digest}"
    again = f"{reference.repository}{tag}{digest}"
    assert again in (name, f"{name}:latest")
    assert Reference.parse(again) == reference
    for part in reference.repository.split("/"):
        assert part.strip("._-") == part != ""
    assert "/" not in reference.target


@given(st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?(/[a-z0-9]{1,5})?", fullmatch=True))
def test_a_good_name_is_taken(name: str) -> None:
    assert Reference.parse(name) == Reference(name, "latest", None)
    assert Reference.parse(f"{name}:1.0").tag == "1.0"


@given(values | names | st.integers(0, 130).map(lambda n: f"sha256:{'0' * n}"))
def test_a_digest_is_refused_or_exact(text: Any) -> None:
    try:
        digest = Digest(text)
    except InvalidDigest as error:
        check_line(error)
        return
    assert digest == text
    assert len(digest.encoded) == digest.hasher().digest_size * 2
    assert int(digest.encoded, 16) >= 0


@given(names | st.builds("{}:{}".format, names, st.integers()))
def test_a_host_is_refused_or_stays_one(name: str) -> None:
    try:
        check_host(name)
    except DockerCharonError as error:
        check_line(error)
        return
    assert not set(name) & set("/@?#\\ \n")


@pytest.mark.parametrize("length", [10_000, 1_000_000])
@pytest.mark.parametrize("piece", ["a", "a/", "a.", "a--", "a__", "_", ":", "@", "\n"])
def test_a_long_name_is_refused_at_once(piece: str, length: int) -> None:
    with pytest.raises(InvalidReference) as raised:
        Reference.parse(piece * length)
    assert len(str(raised.value)) < 1500
