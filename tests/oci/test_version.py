"""Versions in tags: what is one, and which is newer."""

from __future__ import annotations

import random

import pytest

from docker_charon.oci.version import Version


def parsed(text: str) -> Version:
    version = Version.parse(text)
    assert version is not None
    return version


@pytest.mark.parametrize(
    "ordered",
    [
        "1.8.0 1.8.1 1.8.9 1.8.10 1.9 1.10 2",
        "v1.0.1 1.0.9 v1.0.10",
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0",
        "v1.0.1-rc9 v1.0.1-rc10 v1.0.1-RC11 v1.0.1",
        "3.8.0a1 3.8.0b1 3.8.0b10 3.8.0rc1 3.8.0 3.8.1",
        "2.0.0-M1 2.0.0-M10 2.0.0-RC1 2.0.0 2.0.0.1",
        "v0.8.5.dev3 v0.8.5 v0.8.5.post1 v0.8.5.post2 v0.9.0 v0.9.0.1 v0.20.1",
        "1.2.3 1.2.3.4 1.2.3.10 1.2.4",
        "2024.01 2024.2 2024.03.1 2024.11",
        "21.05.3 21.5.4 21.10.0",
        "2022.5.1 2022.5.9 2022.5.10",
        "1.0.0 1.0.0-9 1.0.0-14",
        "v2.8.1 v2.8.1-9-gfafafaf v2.8.1-11-gfafafaf v2.8.2",
        "1.2.3_build4 1.2.3_build10",
        "17.0.1_9-jre 17.0.1_12-jre",
        "1.2.3-debian-12-r9 1.2.3-debian-12-r10 1.2.4-debian-12-r0",
        "17.9-alpine 17.11-alpine",
        "20240828 2025-03-26 20250327 20250327-1 2025-04-01T10-20-30Z 2025-04-01T10-21",
        # Dates, counters and commits of digits only are not newer than versions.
        "12345678 20240828 0.0.1 2021.12.1 2022.04",
    ],
)
def test_versions_have_an_order(ordered: str) -> None:
    expected = ordered.split()
    shuffled = random.Random(1).sample(expected, len(expected))  # noqa: S311
    assert sorted(shuffled, key=lambda text: parsed(text).key) == expected


@pytest.mark.parametrize(
    "same",
    [
        "1.8 1.8.0 v1.8 V1.8.0.0",
        "1.08 1.8",
        "1.0-rc1 1.0.0-rc.1 1.0.0rc1 1.0c1",
        "1.2.3 1.2.3.Final 1.2.3-GA",
        "20250326 2025-03-26",
    ],
)
def test_one_version_is_written_in_several_ways(same: str) -> None:
    assert len({parsed(text).key for text in same.split()}) == 1


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("3.13-alpine", "-alpine"),
        ("3.14.0rc1-slim", "-slim"),
        ("1.8.0-rc.1-alpine3.20", "-alpine3.20"),
        ("3.22-rfcurated-amd64", "-rfcurated-amd64"),
        ("17.0.1_12-jre", "-jre"),
        ("8.0.300-alpine3.18-amd64", "-alpine3.18-amd64"),
        ("3.12-dev", "-dev"),
        ("1.0-preview-tools", "-tools"),
        ("1.8-betamax", "-betamax"),
        ("1.8-1", ""),
        ("1.8-rc1", ""),
        ("1.2.3-nonroot.2", "-nonroot.2"),
    ],
)
def test_a_suffix_that_is_no_pre_release_is_a_variant(text: str, suffix: str) -> None:
    assert parsed(text).suffix == suffix


@pytest.mark.parametrize("text", ["latest", "", "v", "stable-1.8", "1e10abc", "8u292", "a1", "²"])
def test_other_tags_are_no_versions(text: str) -> None:
    assert Version.parse(text) is None


def test_long_tags_are_read_in_linear_time() -> None:
    for part in ("1", "1.", "rc1", "-1", "1-rc1", "0_"):
        for tag in (part * 64, "1" + part * 60 + "x", "1.0rc" + part * 60 + "!", "1" * 128):
            Version.parse(tag[:128])
