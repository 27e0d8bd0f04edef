"""Challenges, as servers write them."""

from __future__ import annotations

import pytest

from docker_charon.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Negotiate", [("negotiate", {})]),
        ('Basic realm="a b"', [("basic", {"realm": "a b"})]),
        ("bAsIc ReAlM=here", [("basic", {"realm": "here"})]),
        (
            'Bearer realm="https://a/t?x=1",service=s , scope="repository:a:pull,push"',
            [
                (
                    "bearer",
                    {"realm": "https://a/t?x=1", "service": "s", "scope": "repository:a:pull,push"},
                )
            ],
        ),
        (
            "BEARER realm=https://a/t,service=s",
            [("bearer", {"realm": "https://a/t", "service": "s"})],
        ),
        (r'Basic realm="the \"inner\" \\ one"', [("basic", {"realm": r'the "inner" \ one'})]),
        ('Basic realm=""', [("basic", {"realm": ""})]),
        ('Bearer realm = "x" , service\t=\ts', [("bearer", {"realm": "x", "service": "s"})]),
        (
            'Negotiate, Basic realm="Basic realm=x, Bearer", Bearer realm="y",service="z"',
            [
                ("negotiate", {}),
                ("basic", {"realm": "Basic realm=x, Bearer"}),
                ("bearer", {"realm": "y", "service": "z"}),
            ],
        ),
        (', Basic realm="a",, charset="UTF-8"', [("basic", {"realm": "a", "charset": "UTF-8"})]),
        ('Bearer realm="never closed', [("bearer", {})]),
        ('realm="nobody\'s", Basic realm="r"', [("basic", {"realm": "r"})]),
        ("<html>", []),
        ("=,=", []),
        ('"' * 10_000, []),
        ("Basic " + "\\" * 10_000, [("basic", {})]),
    ],
)
def test_challenges_are_read(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    expected = [Challenge(scheme, parameters) for scheme, parameters in challenges]
    assert parse_challenges(header) == expected


@pytest.mark.parametrize("token", ["dG9rZW4=", "dG9rZW4==", "dG9/ZW4", "dG9+ZW4="])
def test_a_token_beside_a_scheme_does_not_hide_the_next_challenge(token: str) -> None:
    challenges = parse_challenges(f'Negotiate {token}, Basic realm="r"')
    assert [challenge.scheme for challenge in challenges] == ["negotiate", "basic"]
