"""Names: what can be taken for one, why not, and how a value is shown."""

from __future__ import annotations

import pytest

from docker_charon.lists.name import is_exact_name, is_full_name, reason_against, shown
from docker_charon.lists.tree import Scalar, Style
from images import digest_of

DIGEST = digest_of(b"")


@pytest.mark.parametrize(
    "name",
    [
        *("nginx", "nginx:1.27", "library/nginx:1.27", f"nginx@{DIGEST}", f"nginx:1.27@{DIGEST}"),
        *("quay.io/team/app:1", "localhost/app", "localhost:5000/app:1", "127.0.0.1:5000/app"),
        *("registry.example.com:5000/a/b/c:v1", "Registry.example.com/app:1", "docker.io/nginx"),
        *(f"index.docker.io/library/redis@{DIGEST}", "app:sha256-0123.sig", "  nginx:1  "),
    ],
)
def test_a_plain_name_is_taken(name: str) -> None:
    assert reason_against(Scalar(1, name)) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("null", "it is empty"),
        ("~", "it is empty"),
        *((text, "it has a variable") for text in ("$A", "${A}", "a:${A:-1}", "a:$(A)", "###A###")),
        *((text, "it is a template") for text in ("{{ .a }}", "a:{{ .b }}", "a/{{b}}:1")),
        *((text, "it is an ID") for text in (DIGEST, DIGEST.removeprefix("sha256:"))),
        *((text, "it is an address") for text in ("docker://a", "https://a/b", "oci-archive://a")),
        *((text, "it is more than one word") for text in ("a b", "a:1\nb:2")),
        *((text, "it is not the name") for text in ("a:", ":1", "a@sha256:1", "a:b:c", "-a", "a/")),
        *(
            (text, "it is not the name")
            for text in ("me:pw@a.io/b:1", "a.io:port/b", "a_/b", "<a>")
        ),
        ("Team/App:1", "it is not the name of an image, or its repository has capitals"),
    ],
)
def test_what_is_not_the_plain_name_of_an_image_has_a_reason(text: str, reason: str) -> None:
    assert reason_against(Scalar(1, text)).startswith(reason)


def test_an_alias_is_not_followed() -> None:
    assert reason_against(Scalar(1, "nginx", Style.ALIAS)) == (
        "it is an alias: aliases are not followed"
    )


def test_a_name_is_full_with_a_registry_and_exact_with_a_tag_or_a_digest() -> None:
    assert is_full_name("quay.io/team/app:1")
    assert is_full_name(f"quay.io/app@{DIGEST}")
    for text in (
        "quay.io/app",
        "team/app:1",
        "app:1",
        "https://a.io/b:1",
        "a.io/b:1 c",
        "host:1/a:1",
    ):
        assert not is_full_name(text)
    assert is_exact_name("app:1")
    assert not is_exact_name("localhost:5000/app")
    assert not is_exact_name("app")


def test_a_value_is_shown_without_a_login_and_not_too_long() -> None:
    assert shown("https://me:secret@example.com/app:1") == "https://***@example.com/app:1"
    assert shown("me:secret@example.com/app:1") == "***@example.com/app:1"
    assert shown(f"app@{DIGEST}") == f"app@{DIGEST}"
    assert len(shown("a" * 1000)) == 150
    assert shown(f"me:{'secret' * 100}@example.com/app:1") == "***@example.com/app:1"
