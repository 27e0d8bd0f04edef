"""Platforms: how they are written, and which runs on which."""

from __future__ import annotations

import pytest

from docker_charon.errors import InvalidPlatform
from docker_charon.oci.platform import Platform


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("Linux/AMD64", "linux/amd64"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/i386", "linux/386"),
        ("windows/amd64", "windows/amd64"),
        ("windows/x86_64:10.0.20348", "windows/amd64"),
    ],
)
def test_a_platform_has_one_canonical_form(text: str, meant: str) -> None:
    assert str(Platform.parse(text)) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux amd64", "linux/am\nd64"),
        *("windows/amd64:", "windows/amd64:a b", "windows/amd64:1:2"),
    ],
)
def test_text_that_is_not_a_platform_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidPlatform, match="write it as OS/ARCH"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("wanted", "offered", "distance"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm", "linux/arm/v7", 0),
        ("linux/arm/v7", "linux/arm/v6", 1),
        ("linux/arm/v7", "linux/arm/v5", 2),
        ("linux/arm/v6", "linux/arm/v7", None),
        ("linux/amd64/v3", "linux/amd64", 2),
        ("linux/amd64", "linux/amd64/v2", None),
        ("linux/arm64", "linux/arm/v7", None),
        ("linux/amd64", "linux/386", None),
        ("linux/amd64", "windows/amd64", None),
        ("linux/riscv64", "linux/riscv64", 0),
        ("linux/mips64le/hardfloat", "linux/mips64le/softfloat", None),
    ],
)
def test_a_processor_runs_what_was_built_for_an_earlier_one(
    wanted: str, offered: str, distance: int | None
) -> None:
    assert Platform.parse(wanted).distance(Platform.parse(offered)) == distance


def test_a_variant_as_it_stands_in_an_index_is_the_same() -> None:
    assert Platform.parse("linux/arm64").distance(Platform("linux", "arm64", "v8")) == 0
    assert Platform.parse("linux/arm").distance(Platform("linux", "arm", "")) == 0


@pytest.mark.parametrize(
    "document", [{}, {"os": "linux"}, {"os": "linux", "architecture": ["amd64"]}, {"os": ""}]
)
def test_a_document_without_one_has_none(document: dict[str, object]) -> None:
    assert Platform.of(document) is None


@pytest.mark.parametrize("text", ["linux/arm/v7", "windows/amd64:10.0.20348"])
def test_a_platform_is_written_as_it_is_read(text: str) -> None:
    assert Platform.parse(text).with_version == text
