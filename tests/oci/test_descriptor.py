"""Descriptors: parsed from JSON, and compared with content."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from docker_charon.errors import DigestMismatch, InvalidManifest
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.platform import Platform
from images import descriptor as json_descriptor

CONTENT = b"some content that is short"
GOOD = json_descriptor("application/vnd.example.part", CONTENT)


def of(content: bytes, algorithm: str = "sha256") -> Descriptor:
    return Descriptor("application/octet-stream", Digest.of(content, algorithm), len(content))


def pieces(content: bytes, size: int) -> Iterable[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def test_media_type_digest_and_size_are_all_that_a_descriptor_needs() -> None:
    parsed = Descriptor.parse(GOOD, "here")
    assert parsed == Descriptor("application/vnd.example.part", Digest.of(CONTENT), len(CONTENT))
    assert parsed.urls == ()
    assert parsed.platform is None
    assert parsed.annotations == {}


def test_what_more_it_has_is_read_too() -> None:
    more = {
        "urls": ["https://example.com/layer"],
        "platform": {"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"},
        "annotations": {"org.example.key": "value"},
        "data": "e30=",
        "unheard.of": [1, 2, 3],
    }
    parsed = Descriptor.parse({**GOOD, **more}, "here")
    assert parsed.urls == ("https://example.com/layer",)
    assert parsed.platform == Platform("linux", "arm", "v7", "1")
    assert parsed.annotations == {"org.example.key": "value"}


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("mediaType", [None, "", 7, [], ...]),
        ("urls", [None, "https://example.com", [1], {}]),
        ("platform", [None, "linux/amd64", {"os": ["linux"]}, {"os": "linux"}, []]),
        ("annotations", [None, [], "text", {"key": 1}, {"key": None}]),
    ],
)
def test_a_malformed_member_that_only_describes_content_counts_as_missing(
    member: str, values: list[Any]
) -> None:
    without = {key: value for key, value in GOOD.items() if key != member}
    expected = Descriptor.parse(without, "here")
    for value in values:
        malformed = without if value is ... else {**without, member: value}
        assert Descriptor.parse(malformed, "here") == expected


def test_annotations_that_are_text_are_read_beside_others() -> None:
    mixed = {**GOOD, "annotations": {"key": 1, "other": "text", "third": None}}
    assert Descriptor.parse(mixed, "here").annotations == {"other": "text"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"digest": None}, "is not a digest"),
        ({"digest": "sha256:../../etc/passwd"}, "is not a digest"),
        ({"size": None}, "the size is not"),
        ({"size": -1}, "the size is not"),
        ({"size": "26"}, "the size is not"),
        ({"size": 26.0}, "the size is not"),
        ({"size": True}, "the size is not"),
        ({"size": 2**63}, "the size is not"),
    ],
)
def test_a_malformed_descriptor_is_refused_with_its_place(
    change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidManifest, match=problem) as raised:
        Descriptor.parse({**GOOD, **change}, "layers[3]")
    assert str(raised.value).startswith("layers[3]")


@pytest.mark.parametrize("value", [None, [], "sha256", 1, [GOOD]])
def test_a_value_that_is_not_an_object_is_not_a_descriptor(value: object) -> None:
    with pytest.raises(InvalidManifest, match="config is not a descriptor"):
        Descriptor.parse(value, "config")


def test_the_largest_size_is_that_of_a_signed_64_bit_integer() -> None:
    assert Descriptor.parse({**GOOD, "size": 2**63 - 1}, "here").size == 2**63 - 1


def test_descriptors_can_be_keys_whatever_their_annotations() -> None:
    annotated = Descriptor.parse({**GOOD, "annotations": {"a": "b"}}, "here")
    assert {annotated: 1}[Descriptor.parse({**GOOD, "annotations": {"a": "b"}}, "there")] == 1


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        (Platform("linux", "amd64"), "linux/amd64"),
        (Platform("linux", "arm", "v7"), "linux/arm/v7"),
        (Platform("linux", ""), "linux"),
    ],
)
def test_a_platform_is_written_with_slashes(platform: Platform, text: str) -> None:
    assert str(platform) == text


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [1, 7, len(CONTENT), 1000])
def test_the_right_content_passes_in_pieces_of_any_size(size: int, algorithm: str) -> None:
    assert b"".join(of(CONTENT, algorithm).verified(pieces(CONTENT, size))) == CONTENT


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
def test_nothing_is_content_too(chunks: list[bytes]) -> None:
    assert b"".join(of(b"").verified(chunks)) == b""


def test_empty_pieces_do_no_harm() -> None:
    chunks = [b"", CONTENT[:5], b"", CONTENT[5:], b""]
    assert b"".join(of(CONTENT).verified(chunks)) == CONTENT


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (CONTENT[:-1], f"ends after {len(CONTENT) - 1} of {len(CONTENT)} bytes"),
        (b"", "ends after 0 of"),
        (CONTENT + b"!", "is longer than"),
        (CONTENT[:-1] + b"T", "is damaged"),
        (b"S" + CONTENT[1:], "is damaged"),
    ],
)
def test_wrong_content_is_never_handed_on_as_a_whole(
    content: bytes, problem: str, size: int
) -> None:
    taken = bytearray()
    with pytest.raises(DigestMismatch, match=problem) as raised:
        taken.extend(itertools.chain.from_iterable(of(CONTENT).verified(pieces(content, size))))
    assert str(of(CONTENT).digest) in str(raised.value)
    assert len(taken) < len(CONTENT) or (taken == CONTENT and content.startswith(CONTENT))


def test_something_in_the_place_of_nothing_is_noticed() -> None:
    with pytest.raises(DigestMismatch, match="is longer than the 0 bytes"):
        list(of(b"").verified([b"x"]))


def test_the_digest_of_nothing_is_checked_too() -> None:
    wrong = Descriptor("application/octet-stream", Digest.of(b"something"), 0)
    with pytest.raises(DigestMismatch, match="is damaged"):
        list(wrong.verified([]))


def test_a_verifier_counts_what_has_passed() -> None:
    check = of(CONTENT).verifier()
    check.update(CONTENT[:4])
    check.update(memoryview(CONTENT)[4:])
    assert check.size == len(CONTENT)
    check.finish()


def test_content_is_passed_on_as_it_arrives() -> None:
    arrived = []

    def source() -> Iterable[bytes]:
        for chunk in pieces(CONTENT, 5):
            arrived.append(chunk)
            yield chunk

    next(iter(of(CONTENT).verified(source())))
    assert len(arrived) == 1


def test_a_layer_with_urls_is_non_distributable() -> None:
    assert not Descriptor.parse(GOOD, "here").is_non_distributable
    assert not Descriptor.parse({**GOOD, "urls": []}, "here").is_non_distributable
    assert Descriptor.parse({**GOOD, "urls": ["https://example.com"]}, "here").is_non_distributable


def test_an_index_lists_content_with_a_type_and_annotations_only_where_there_are_any() -> None:
    parsed = Descriptor.parse({**GOOD, "annotations": {"of": "the descriptor"}}, "here")
    assert parsed.as_json() == GOOD
    entry = parsed.as_json(artifact_type="a/b", annotations={"c": "d"})
    assert entry == {**GOOD, "artifactType": "a/b", "annotations": {"c": "d"}}
