"""Digests: the grammar, and what follows from it."""

from __future__ import annotations

import hashlib

import pytest

from docker_charon.errors import DockerCharonError, InvalidDigest
from docker_charon.oci.digest import Digest

SHA256_OF_NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SHA512 = f"sha512:{'0123456789abcdef' * 8}"


@pytest.mark.parametrize("text", [SHA256_OF_NOTHING, SHA512])
def test_a_digest_of_either_algorithm_is_taken_as_it_is(text: str) -> None:
    assert Digest(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        SHA256_OF_NOTHING.upper(),
        SHA256_OF_NOTHING.replace("e3b0", "E3B0"),
        SHA256_OF_NOTHING[:-1],
        SHA256_OF_NOTHING + "0",
        SHA256_OF_NOTHING + "\n",
        " " + SHA256_OF_NOTHING,
        SHA256_OF_NOTHING.removeprefix("sha256:"),
        SHA256_OF_NOTHING.replace("sha256", "sha512"),
        SHA512.replace("sha512", "sha256"),
        f"md5:{'0' * 32}",
        f"sha256:{'../' * 21}a",
        f"sha256:{'g' * 64}",
        "sha256:" + "\N{ARABIC-INDIC DIGIT ONE}" * 64,
        None,
        256,
        SHA256_OF_NOTHING.encode(),
        [SHA256_OF_NOTHING],
    ],
)
def test_anything_else_is_not_a_digest(text: object) -> None:
    with pytest.raises(InvalidDigest, match="is not a digest"):
        Digest(text)


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidDigest) as raised:
        Digest("line\n" * 100_000)
    assert len(str(raised.value)) < 250
    assert "\n" not in str(raised.value)


def test_an_invalid_digest_is_an_error_of_this_package() -> None:
    with pytest.raises(DockerCharonError):
        Digest("sha256:")


def test_the_digest_of_nothing_is_the_one_that_everybody_knows() -> None:
    assert Digest.of(b"") == SHA256_OF_NOTHING


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_digest_of_content_has_its_parts(algorithm: str) -> None:
    digest = Digest.of(b"content", algorithm)
    assert isinstance(digest, Digest)
    assert digest.algorithm == algorithm
    assert digest.encoded == hashlib.new(algorithm, b"content").hexdigest()
    assert digest == f"{digest.algorithm}:{digest.encoded}"


def test_there_are_no_digests_of_weak_algorithms() -> None:
    with pytest.raises(InvalidDigest):
        Digest.of(b"content", "sha1")


@pytest.mark.parametrize("text", [SHA256_OF_NOTHING, SHA512])
def test_its_hasher_is_new_each_time_and_of_its_algorithm(text: str) -> None:
    digest = Digest(text)
    digest.hasher().update(b"something else")
    fresh = digest.hasher()
    assert fresh.name == digest.algorithm
    assert fresh.digest() == hashlib.new(digest.algorithm).digest()


def test_a_digest_is_found_where_its_text_is_a_key() -> None:
    assert {SHA256_OF_NOTHING: 1}[Digest(SHA256_OF_NOTHING)] == 1
