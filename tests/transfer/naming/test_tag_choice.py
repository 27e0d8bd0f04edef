"""Choices of tags: which tags a pattern and a range choose, and which of them are the newest."""

from __future__ import annotations

import random

import pytest

from docker_charon import InvalidReference
from docker_charon.transfer.naming.image_choice import split_choice
from docker_charon.transfer.naming.tag_choice import newest_first

APP = [
    *("latest", "1", "1.7", "1.7.0", "1.7.9", "1.7.10", "1.8", "1.8.0-rc1", "1.8.0-rc2", "1.8.0"),
    *("1.8.1", "1.8.2", "1.8.2-alpine", "1.8.1-alpine", "1.8.3-beta.1", "1.9.0", "1.10.0"),
    *("2.0.0-rc1", "2.0.0", "nightly", "20240828", "12345678"),
    *(f"sha256-{'a' * 64}{suffix}" for suffix in ("", ".sig", ".att", ".sbom")),
    f"sha512-{'b' * 64}",
]


def chosen(text: str, tags: list[str] | str = APP, newest: int | None = None) -> str:
    repository, choice = split_choice(f"app:{text}")
    assert repository == "app"
    assert choice is not None
    return " ".join(choice.choose(tags.split() if isinstance(tags, str) else tags, newest))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.7.*", "1.7.0 1.7.9 1.7.10"),
        ("1.8.?", "1.8.0 1.8.1 1.8.2"),
        ("1.8.*", "1.8.0-rc1 1.8.0-rc2 1.8.0 1.8.1 1.8.1-alpine 1.8.2 1.8.2-alpine 1.8.3-beta.1"),
        ("1.8.*-alpine", "1.8.1-alpine 1.8.2-alpine"),
        ("1.8.[01]", "1.8.0 1.8.1"),
        ("*-rc*", "1.8.0-rc1 1.8.0-rc2 2.0.0-rc1"),
        ("late*", "latest"),
        ("LATE*", ""),  # tags have upper and lower case
        ("1.6.*", ""),
        ("sha256-*", ""),
    ],
)
def test_a_pattern_chooses_tags_by_their_text(text: str, expected: str) -> None:
    assert chosen(text) == expected


def test_a_star_alone_chooses_every_tag_except_those_of_referrers() -> None:
    assert sorted(chosen("*").split()) == sorted(t for t in APP if not t.startswith("sha"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">=1.8,<2", "1.8 1.8.0 1.8.1 1.8.2 1.9.0 1.10.0"),
        (">=1.8, <2", "1.8 1.8.0 1.8.1 1.8.2 1.9.0 1.10.0"),
        (">= 1.8 < 2", "1.8 1.8.0 1.8.1 1.8.2 1.9.0 1.10.0"),
        (">=v1.8,<v2.0.0", "1.8 1.8.0 1.8.1 1.8.2 1.9.0 1.10.0"),
        ("~1.8", "1.8 1.8.0 1.8.1 1.8.2"),
        ("~1.8.1", "1.8.1 1.8.2"),
        ("~1", "1 1.7 1.7.0 1.7.9 1.7.10 1.8 1.8.0 1.8.1 1.8.2 1.9.0 1.10.0"),
        ("^1.8.1", "1.8.1 1.8.2 1.9.0 1.10.0"),
        ("=1.8", "1.8 1.8.0 1.8.1 1.8.2"),
        ("==1.8.*", "1.8 1.8.0 1.8.1 1.8.2"),
        ("<=1.7", "1 1.7 1.7.0 1.7.9 1.7.10"),
        (">1.8", "1.9.0 1.10.0 2.0.0"),
        (">=1.8,<1.9,!=1.8.1", "1.8 1.8.0 1.8.2"),
        (">=1.8,!=1.8", "1.9.0 1.10.0 2.0.0"),
        (">=1.8.0-rc2,<1.8.2", "1.8.0-rc2 1.8 1.8.0 1.8.1"),
        (">=1.8-0,<1.9", "1.8 1.8.0 1.8.1 1.8.2 1.8.3-beta.1"),
        # The next version's candidate is not below the next version.
        (">=1.9-0,<2", "1.9.0 1.10.0"),
        (">=1.8-alpine,<2", "1.8.1-alpine 1.8.2-alpine"),
        (">2", ""),
        (">=20240101", "20240828"),
    ],
)
def test_a_range_chooses_versions(text: str, expected: str) -> None:
    assert chosen(text) == expected


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        # What users of other tools have reported, each as they expected it.
        (">=3.22", "3.21 3.22 3.22-amd64 3.23", "3.22 3.23"),
        (">=3.22-rfcurated", "3.22-rfcurated 3.22-rfcurated-amd64 3.22", "3.22-rfcurated"),
        (">=3.22-rfcurated-*", "3.22-rfcurated 3.22-rfcurated-amd64", "3.22-rfcurated-amd64"),
        (">= 1.26.4", "1.26.3 1.26.4 1.27.0", "1.26.4 1.27.0"),
        ("~22", "20.04 22.04 22.10 23.04", "22.04 22.10"),
        (">=1.13", "1.9.0 1.13.0 1.20.1", "1.13.0 1.20.1"),
        (">=2.0.300", "2.0.299 2.0.330-63-gc1cfb6864", "2.0.330-63-gc1cfb6864"),
        (">=1.0.0", "2021.12.1 2022.04 2022.04.3", "2021.12.1 2022.04 2022.04.3"),
        (">=1.0", "v1.0.1 1.0.1 1.0.0", "1.0.0 1.0.1 v1.0.1"),
        (">=1.0", "1.2.3_build5 1.2.4_build10", "1.2.3_build5 1.2.4_build10"),
        ("~12.5.5", "12.5.5.201 12.5.5.99 12.6.0", "12.5.5.99 12.5.5.201"),
        ("=12.5.5", "12.5.5.201 12.5.5.99 12.5.6", "12.5.5.99 12.5.5.201"),
        (">=1.0.0-2", "1.0.0-1 1.0.0-2 1.0.0-10", "1.0.0-2 1.0.0-10"),
        (">1.0.0-2", "1.0.0-1 1.0.0-2 1.0.0-10", "1.0.0-10"),
        ("^0.3", "0.2.9 0.3.0 0.3.7 0.4.0 1.0.0", "0.3.0 0.3.7"),
        ("^0.0.3", "0.0.2 0.0.3 0.0.4", "0.0.3"),
        ("^0", "0.1 0.9 1.0", "0.1 0.9"),
        ("~2024.01", "2024.01 2024.01.5 2024.02", "2024.01 2024.01.5"),
        (">=2025-01-01", "2024-12-31 20250326 2025-03-27 1.0", "20250326 2025-03-27"),
        (">=1.11-debian-12-r*", "1.11-debian-12-r9 1.12-debian-11-r0", "1.11-debian-12-r9"),
    ],
)
def test_a_range_chooses_what_its_words_mean(text: str, tags: str, expected: str) -> None:
    assert chosen(text, tags) == expected


@pytest.mark.parametrize(
    ("text", "newest", "expected"),
    [
        ("*", 2, "1.10.0 2.0.0"),
        ("1.8.*", 2, "1.8.1 1.8.2"),
        ("1.8.*-alpine", 1, "1.8.2-alpine"),
        ("*-alpine", 9, "1.8.1-alpine 1.8.2-alpine"),
        ("1.8.*-rc*", 1, "1.8.0-rc2"),
        ("*rc*", 1, "2.0.0-rc1"),
        (">=1.8,<2", 2, "1.9.0 1.10.0"),
        ("1.[0-8].*", 1, "1.8.2"),
        ("1.7*", 3, "1.7 1.7.0 1.7.9 1.7.10"),  # 1.7 and 1.7.0 are one version
        ("nightly*", 1, ""),
        ("2024*", 1, "20240828"),
    ],
)
def test_the_newest_are_the_highest_versions(text: str, newest: int, expected: str) -> None:
    assert chosen(text, newest=newest) == expected


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("*", "0.0.2-8 0.0.2-18", "0.0.2-18"),
        ("*", "v2.8.1-9-gfafafaf v2.8.1-11-gfafafaf", "v2.8.1-11-gfafafaf"),
        ("*", "v0.9.2 v0.20.1 v0.20.1-cu129 v0.21.0rc1", "v0.20.1"),
        ("*", "20240828 2025-03-26", "2025-03-26"),
        ("*", "2025.11.1 2026.02.0 latest", "2026.02.0"),
        ("*", "3.8.0 3.8.0b1 3.8.0b1-alpine3.10", "3.8.0"),
        ("*-alpine*", "17.9-alpine 17.11-alpine 17.11-alpine3.20", "17.11-alpine3.20"),
        ("*-alpine", "17.9-alpine 17.11-alpine 17.12", "17.11-alpine"),
        ("*-debian-11-r*", "7.0.8-debian-11-r9 7.0.8-debian-11-r26", "7.0.8-debian-11-r26"),
        ("*", "v1.1 v1.0.0", "v1.1"),
        ("*", "2.013 2.1.5", "2.013"),
        (
            "RELEASE.*",
            "RELEASE.2024-01-16T16-07-38Z RELEASE.2023-12-31T01-02-03Z RELEASE.edge",
            "RELEASE.2024-01-16T16-07-38Z",
        ),
        (
            "RELEASE.2024-*",
            "RELEASE.2024-01-16T16-07-38Z RELEASE.2024-01-16T16-07-38Z.fips",
            "RELEASE.2024-01-16T16-07-38Z",
        ),
        ("version-v*", "version-v1.9 version-v1.10 latest", "version-v1.10"),
        (
            "bookworm-*",
            "bookworm-20240110 bookworm-20240211 bookworm-20240211-slim bookworm-slim",
            "bookworm-20240211",
        ),
        ("v*", "v1.9 v1.10 vnext 1.11", "v1.10"),
        ("1.*-rc*-alpine", "1.8-rc1-alpine 1.9-rc1-alpine 1.9-rc2-slim", "1.9-rc1-alpine"),
        ("1.[0-8]-alpine", "1.7-alpine 1.8-alpine 1.9-alpine", "1.8-alpine"),
        ("*", "v1.0.1 1.0.1 1.0.0", "1.0.1 v1.0.1"),
        ("*-M*", "2.0.0-M9 2.0.0-M10 2.0.0", "2.0.0-M10"),
    ],
)
def test_the_newest_of_a_pattern_is_what_users_expect(text: str, tags: str, expected: str) -> None:
    assert chosen(text, tags, newest=1) == expected


def test_the_order_of_the_listing_does_not_matter() -> None:
    assert chosen("*", [*reversed(APP)]) == chosen("*")
    assert chosen("*", [*reversed(APP)], newest=3) == chosen("*", newest=3)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (">=", "is not a choice"),
        (">=latest", "is not a choice"),
        ("~>1.8", "is not a choice"),
        (">=1.8,<2,redis:7", "is not a choice"),
        (">=1.8 || <1.2", "is not a choice"),
        (">=1.8,1.9", "is not a choice"),
        (">=1.8-alpine,<2-slim", "exclude each other"),
        (">=1.8,<20240101", "exclude each other"),
        ("1.*@sha256:" + "a" * 64, "has a digest too"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(text: str, part: str) -> None:
    with pytest.raises(InvalidReference, match=part) as caught:
        split_choice(f"app:{text}")
    assert caught.value.hint


def test_any_text_is_a_choice_a_name_or_refused() -> None:
    source = random.Random(5)  # noqa: S311  # repeatable on purpose
    parts = [
        "1.8",
        "*",
        "?",
        "[",
        "]",
        ">=",
        "<",
        "~",
        "^",
        "!=",
        ",",
        " ",
        "-",
        "rc1",
        "alpine",
        "v",
        "_5",
        "²",
        "2024-01-01",
        ":",
        "@",
        "/",
        "x",
        "\0",
        "1" * 300,
        "-0",
    ]
    for _ in range(3000):
        name = "app:" + "".join(source.choices(parts, k=source.randint(1, 8)))
        try:
            _, choice = split_choice(name)
        except InvalidReference:
            continue
        if choice is not None:
            assert set(choice.choose(APP)) <= set(APP)
            assert set(choice.choose(APP, 1)) <= set(choice.choose(APP))


def test_long_patterns_and_tags_are_compared_in_little_time() -> None:
    tags = ["a" * 128, "1." * 64, "1-rc1" * 25, "1.0-" + "1" * 124]
    for text in ("*a" * 60 + "b", "*?" * 60, "1" + "*1" * 60, ">=1" + "-a*" * 40):
        assert not chosen(text, tags).endswith("b")


def test_tags_are_shown_with_the_newest_first() -> None:
    assert newest_first(APP)[:3] == ["2.0.0", "2.0.0-rc1", "1.10.0"]
    assert newest_first(APP)[-2:] == ["nightly", "latest"]
