"""Text as it is saved on different systems."""

from __future__ import annotations

import pytest

from docker_charon.written_text import decoded, is_marked


@pytest.mark.parametrize(
    "content",
    [
        b"app:1\r\n\xc3\xa9",
        b"\xef\xbb\xbfapp:1\r\n\xc3\xa9",
        "\ufeffapp:1\r\né".encode("utf-16-le"),
        "\ufeffapp:1\r\né".encode("utf-16-be"),
        b"app:1\r\n\xc3\xa9\x1a",
        b"\xef\xbb\xbfapp:1\r\n\xc3\xa9\x1a\x1a",
    ],
)
def test_text_is_the_same_however_it_was_saved(content: bytes) -> None:
    assert decoded(content) == "app:1\r\né"
    assert is_marked(content) == (content[:3] != b"app")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"caf\xe9"])
def test_other_encodings_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="neither UTF-8 nor UTF-16"):
        decoded(content)
    assert "\ufffd" in decoded(content, "replace")
