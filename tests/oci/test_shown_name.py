"""Names in messages: no login is in them, and no digest is taken for one."""

from __future__ import annotations

import pytest

from docker_charon.errors import InvalidReference
from docker_charon.oci.shown_name import shown_name, without_login
from docker_charon.transfer.naming.names import source_references
from docker_charon.transfer.renaming.repository_map import parse_rule

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("me:secret@host/app:1", "***@host/app:1"),
        ("https://me:secret@host/app", "***@host/app"),
        ("me:secret@host", "***@host"),
        ("me:secret@host:5000", "***@host:5000"),
        ("me:se/cr@et@host/app", "***@host/app"),
        (f"me:secret@host/app@{DIGEST}", f"***@host/app@{DIGEST}"),
        ("from me:secret@host/a and you:secret@host/b", "from ***@host/a and ***@host/b"),
        (f"app:1@{DIGEST}", f"app:1@{DIGEST}"),
        ("app@sha256:abc", "app@sha256:abc"),
        ("app@SHA256", "app@SHA256"),
        ("app@", "app@"),
        ("app", "app"),
    ],
)
def test_what_stands_before_an_at_sign_is_hidden_unless_it_is_a_name(text: str, shown: str) -> None:
    assert without_login(text) == shown


@pytest.mark.parametrize("separator", ["@", "x@", " ", "@ "])
def test_a_long_text_takes_no_long_time(separator: str) -> None:
    assert without_login(separator * 200_000)


def test_a_long_name_is_cut_after_its_login_has_been_hidden() -> None:
    assert shown_name(f"me:{'secret' * 100}@host/app") == "'***@host/app'"
    assert len(shown_name("a" * 1000)) == 120


@pytest.mark.parametrize("registry", [None, "registry.example.com"])
@pytest.mark.parametrize(
    "name",
    [
        f"me:secret@host/app@{DIGEST}",
        "me:secret@host",
        "me:secret@host:5000",
        "me:secret*@host",
        "me:>secret@host",
        f"https://me:secret@host/app:1.*@{DIGEST}",
        "https://me:secret@host/app:>=one",
        "docker.io/me:secret@quay.io/app",
        "quay.io:5000/me:secret@host/app",
        "me:secret/secret@host/app",
    ],
)
def test_no_message_about_a_name_contains_a_login(name: str, registry: str | None) -> None:
    with pytest.raises(InvalidReference) as caught:
        source_references([name], "names", registry, secure=True)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("rule", ["me:secret@host=app", "app=me:secret@host", "me:secret@host"])
def test_no_message_about_a_rule_contains_a_login(rule: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_rule(rule)
    assert "secret" not in str(caught.value)
