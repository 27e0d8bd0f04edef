"""The outcome of a push: whose failure an error is, and what is raised in the end."""

from __future__ import annotations

from typing import cast

import pytest

from docker_charon import (
    AuthenticationError,
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    PushIncomplete,
    RegistryError,
)
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.outcome import Outcome, parts_of
from images import image, layer
from payloads import named

NAMES = ["a:1", "b:1", "c:1"]
PARTS = parts_of(named(name, image(layer(n))) for n, name in enumerate(NAMES))


class Client:
    """A registry that answers, or does not."""

    registry = "registry.lan"

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers

    def check_api(self) -> None:
        if not self.answers:
            raise RegistryError("it is not there", status=503)


def outcome(*, answers: bool = True) -> Outcome:
    return Outcome(cast(RegistryClient, Client(answers=answers)), PARTS)


def wrong_login() -> AuthenticationError:
    error = AuthenticationError("the password is wrong", status=401)
    error.login_refused = True
    return error


@pytest.mark.parametrize(
    "error",
    [ConnectionFailed("lost"), wrong_login(), RegistryError("too many", status=429)],
    ids=["connection", "login", "limit"],
)
def test_what_every_other_request_would_meet_is_raised(error: RegistryError) -> None:
    with pytest.raises(type(error)):
        outcome().fail(PARTS[:1], error)


@pytest.mark.parametrize("status", [408, 502, 503, 504])
def test_an_overload_ends_the_push_only_if_the_registry_does_not_answer(status: int) -> None:
    error = RegistryError("overload", status=status)
    outcome(answers=True).fail(PARTS[:1], error)
    with pytest.raises(RegistryError, match="overload"):
        outcome(answers=False).fail(PARTS[:1], error)


@pytest.mark.parametrize(
    "error",
    [
        DigestMismatch("damaged"),
        RegistryError("urls", status=500),
        AuthenticationError("denied", status=403),
        RegistryError("immutable", status=412),
    ],
    ids=["damaged", "500", "403", "412"],
)
def test_everything_else_belongs_to_its_image(error: DockerCharonError) -> None:
    result = outcome(answers=False)
    result.fail(PARTS[:1], error)
    assert result.remaining(PARTS) == PARTS[1:]
    incomplete = result.incomplete(NAMES)
    assert isinstance(incomplete, PushIncomplete)
    assert incomplete.failed == {"a:1": error}
    assert incomplete.pushed == ["b:1", "c:1"]
    assert incomplete.summary == ("2 of 3 images are at registry.lan; 1 image could not be pushed")
    assert str(error) in str(incomplete)


def test_no_failure_is_no_error() -> None:
    assert outcome().incomplete(NAMES) is None


def test_a_login_that_all_images_lack_is_raised_itself() -> None:
    result = outcome()
    result.fail(PARTS, AuthenticationError("log in", status=401))
    with pytest.raises(AuthenticationError, match="log in"):
        result.incomplete(NAMES)
