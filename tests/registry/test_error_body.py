"""The body of an error: which of its words are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docker_charon.registry.error_body import first_error


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([{"code": "DENIED", "message": "no"}], ("DENIED", "no")),
        ([{"code": "X", "message": "no", "detail": "why"}], ("X", "no: why")),
        ([{"code": "X", "message": "no", "detail": {"message": "why"}}], ("X", "no: why")),
        ([{"code": "X", "message": "no, why", "detail": "why"}], ("X", "no, why")),
        ([{"code": "X", "message": "no", "detail": [{"Action": "pull"}]}], ("X", "no")),
        ([{"code": "X", "message": "no", "detail": {"Tag": "1"}}], ("X", "no")),
        ([{"code": "X", "detail": "why"}], ("X", "why")),
        ([{"status": 413, "message": "full"}], ("", "full")),
    ],
)
def test_the_words_of_an_error_are_its_message_and_its_detail(
    errors: list[Any], expected: tuple[str, str]
) -> None:
    assert first_error(json.dumps({"errors": errors}).encode(), ()) == expected


def test_of_several_errors_the_one_with_a_meaning_is_told() -> None:
    unknown = {"code": "UNKNOWN", "message": "unknown error"}
    missing = {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}
    body = json.dumps({"errors": [unknown, unknown, missing]}).encode()
    assert first_error(body, ()) == ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
    assert first_error(json.dumps({"errors": [unknown]}).encode(), ())[0] == "UNKNOWN"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'{"errors": [1]}', b'{"errors": []}', b"<p>"]
)
def test_what_is_no_error_says_nothing(body: bytes) -> None:
    assert first_error(body, ()) == ("", "")


def test_secrets_in_a_detail_are_hidden() -> None:
    body = json.dumps({"errors": [{"code": "X", "message": "no", "detail": "with hunter2"}]})
    assert "hunter2" not in first_error(body.encode(), ["hunter2"])[1]
