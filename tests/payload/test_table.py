"""Tables: aligned where there is room, and lists where there is none."""

from __future__ import annotations

from docker_charon.payload.table import table, wrapped

ROWS = [
    ("IMAGE", "SIZE", "EXPECTED THERE"),
    ("app:1", "5.0 MB", "4 blobs, in base"),
    ("  + sbom", "", ""),
]


def test_the_columns_are_aligned() -> None:
    assert table(ROWS) == [
        "IMAGE     SIZE    EXPECTED THERE",
        "app:1     5.0 MB  4 blobs, in base",
        "  + sbom",
    ]
    assert table(ROWS, 34) == table(ROWS)


def test_a_narrow_terminal_gets_a_list() -> None:
    assert table(ROWS, 30) == [
        "app:1",
        "    size 5.0 MB, expected",
        "      there 4 blobs, in base",
        "  + sbom",
    ]


def test_a_long_word_stays_whole() -> None:
    digest = f"sha256:{'0' * 64}"
    assert digest in wrapped([f"the digest is {digest}"], 30)[-1]


def test_without_a_terminal_nothing_is_broken() -> None:
    assert wrapped(["a " * 100], None) == ["a " * 100]
