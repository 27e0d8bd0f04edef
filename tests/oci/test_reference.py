"""References: what users write, and what registries are asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from docker_charon.errors import InvalidReference
from docker_charon.oci.digest import Digest
from docker_charon.oci.reference import Reference, check_repository

DIGEST = Digest.of(b"")
SHA512 = Digest.of(b"", "sha512")


def test_a_name_without_tag_means_latest() -> None:
    assert Reference.parse("busybox") == Reference("busybox", "latest", None)
    assert Reference.parse("busybox") == Reference.parse("busybox:latest")


def test_a_name_with_a_digest_and_no_tag_has_no_tag() -> None:
    assert Reference.parse(f"busybox@{DIGEST}") == Reference("busybox", None, DIGEST)


@pytest.mark.parametrize(
    ("name", "repository", "tag", "digest"),
    [
        ("library/busybox:1.24.1", "library/busybox", "1.24.1", None),
        (f"a/b/c:v1@{DIGEST}", "a/b/c", "v1", DIGEST),
        (f"a@{SHA512}", "a", None, SHA512),
        ("a--b.c_d__e/f-g", "a--b.c_d__e/f-g", "latest", None),
        ("docker.io/library/busybox:1", "docker.io/library/busybox", "1", None),
        ("x:_UPPER.and-lower_9", "x", "_UPPER.and-lower_9", None),
        (f"x:{'t' * 128}", "x", "t" * 128, None),
        ("a" * 255, "a" * 255, "latest", None),
        ("1/2:3", "1/2", "3", None),
    ],
)
def test_a_name_has_a_repository_a_tag_and_a_digest(
    name: str, repository: str, tag: str | None, digest: Digest | None
) -> None:
    assert Reference.parse(name) == Reference(repository, tag, digest)


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("busybox", "latest", "latest"),
        ("busybox:1", "1", "1"),
        (f"busybox@{DIGEST}", DIGEST, DIGEST),
        (f"busybox:1@{DIGEST}", DIGEST, "1"),
    ],
)
def test_the_digest_decides_what_is_pulled_and_the_tag_what_is_pushed(
    name: str, source: str, target: str
) -> None:
    reference = Reference.parse(name)
    assert reference.source == source
    assert reference.target == target


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ":1",
        f"@{DIGEST}",
        "busybox:",
        "busybox@",
        "busybox:1:2",
        "busybox:-1",
        "busybox:.1",
        "busybox:1 ",
        "busybox:1\n",
        "busybox: 1",
        f"busybox:{'t' * 129}",
        "busybox@sha256:1234",
        f"busybox@{DIGEST.upper()}",
        f"busybox@{DIGEST}@{DIGEST}",
        f"busybox@{DIGEST}:1",
        "Busybox",
        "library/",
        "/busybox",
        "library//busybox",
        "../busybox",
        "a/../b",
        "a/./b",
        "-busybox",
        "busybox-",
        "busy___box",
        "busy..box",
        "busy box",
        "busybox?x=1",
        "busybox#1",
        "busybox%2f",
        "b\N{LATIN SMALL LETTER U WITH DIAERESIS}sybox",
        "a" * 256,
        f"{'a/' * 127}ab",
        "https://example.com/busybox",
        "localhost:5000/busybox",
    ],
)
def test_what_breaks_the_grammar_is_refused_in_one_short_line(name: str) -> None:
    with pytest.raises(InvalidReference, match="is not an image name") as raised:
        Reference.parse(name)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("", "it is empty"),
        (" busybox", "write it as repository:tag, without spaces"),
        ("Busybox:1", "write the repository in lower case"),
        ("a" * 256, "at most 255 characters"),
        ("busy box", "consists of parts separated by /"),
        ("localhost:5000/busybox", "leave out the registry"),
        ("https://example.com/busybox", "leave out the registry"),
    ],
)
def test_the_message_says_what_to_do_next(name: str, hint: str) -> None:
    with pytest.raises(InvalidReference) as raised:
        Reference.parse(name)
    assert hint in raised.value.hint
    assert str(raised.value).endswith(raised.value.hint)


def test_the_message_names_what_the_user_wrote_and_the_part_that_is_wrong() -> None:
    with pytest.raises(
        InvalidReference, match=r"'busybox:a\+b'.*'a\+b' is not a tag; .*Helm puts _ .*a_b"
    ):
        Reference.parse("busybox:a+b")


@pytest.mark.parametrize("tail", ["", ":1", f"@{DIGEST}", f":1@{DIGEST}", "@1"])
@pytest.mark.parametrize("parse", [Reference.parse, Reference.parse_full])
def test_a_name_with_a_login_is_refused_and_the_login_is_not_shown(
    parse: Callable[[str], Reference], tail: str
) -> None:
    for login in ("me:secret", "https://me:secret", "me:se/cret", "me:se@cret", "me:cret cret"):
        with pytest.raises(InvalidReference, match="without a login") as raised:
            parse(f"{login}@example.com/app{tail}")
        assert "cret" not in str(raised.value)


def test_a_huge_name_is_answered_at_once_and_cut() -> None:
    with pytest.raises(InvalidReference) as raised:
        Reference.parse("a-" * 1_000_000)
    assert len(str(raised.value)) < 500


def test_a_repository_is_given_back_when_it_is_one() -> None:
    assert check_repository("library/busybox") == "library/busybox"


@pytest.mark.parametrize("repository", ["", "busybox:1", f"busybox@{DIGEST}", "UP"])
def test_a_name_with_more_than_a_repository_is_not_a_repository(repository: str) -> None:
    with pytest.raises(InvalidReference):
        check_repository(repository)


def test_a_bad_repository_is_reported_by_the_name_that_it_came_in() -> None:
    with pytest.raises(InvalidReference, match="'UP:1@sha256:x'"):
        check_repository("UP", "UP:1@sha256:x")


@pytest.mark.parametrize(
    ("name", "repository", "rest"),
    [
        ("quay.io/team/app:1", "quay.io/team/app", ":1"),
        ("QUAY.io/team/app:1", "quay.io/team/app", ":1"),
        ("localhost/app", "localhost/app", ":latest"),
        ("localhost:5000/app:2", "localhost:5000/app", ":2"),
        ("[::1]:5000/app:2", "[::1]:5000/app", ":2"),
        ("python:3.13", "python", ":3.13"),
        ("team/app:1", "team/app", ":1"),
        ("docker.io/library/python:3.13", "library/python", ":3.13"),
        ("index.docker.io/team/app:1", "team/app", ":1"),
    ],
)
def test_a_full_name_says_which_registry_it_is_from(name: str, repository: str, rest: str) -> None:
    reference = Reference.parse_full(name)
    assert str(reference) == repository + rest
    assert reference.repository == repository


def test_only_a_named_registry_may_stand_in_front_of_a_name() -> None:
    named = Reference.parse_named("localhost:5000/app:2", {"localhost:5000"})
    assert named.repository == "localhost:5000/app"
    with pytest.raises(InvalidReference):
        Reference.parse_named("localhost:5001/app:2", {"localhost:5000"})
    assert Reference.parse_named("quay.io/app:2", set()).repository == "quay.io/app"
