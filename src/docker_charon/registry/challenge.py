"""A challenge: a way to log in that a server offers (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re

import requests

from docker_charon.value import dataclass

_MOST_SCOPES = 10  # of a challenge that are asked for besides those that a request needs
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CHALLENGE_PART = rf"""(?x)[\s,]*(?:
        (?P<name>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))
      | (?P<scheme>{_WORD})(?=\s|,|$)
      | [A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))  # what some schemes have instead of parameters
    )"""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A way to log in that a server offers; scheme and parameter names are in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Return the challenges of a ``WWW-Authenticate`` header, up to the first malformed part."""
    challenges: list[Challenge] = []
    position = 0
    part = re.compile(_CHALLENGE_PART)
    while match := part.match(header, position):
        position = match.end()
        if match["scheme"]:
            challenges.append(Challenge(match["scheme"].lower(), {}))
        elif match["name"] and challenges:
            quoted = match["quoted"]
            value = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            challenges[-1].parameters[match["name"].lower()] = value
    return challenges


def choose(response: requests.Response) -> Challenge | None:
    """Return the best challenge of a 401: a token is preferred to the password."""
    challenges = parse_challenges(response.headers.get("WWW-Authenticate", ""))
    first = {challenge.scheme: challenge for challenge in reversed(challenges)}
    return first.get("bearer") or first.get("basic")


def other_scopes(challenge: Challenge, scopes: tuple[str, ...]) -> list[str]:
    """Return the scopes that a challenge names besides ``scopes``."""
    named = challenge.parameters.get("scope", "").split()
    return [scope for scope in dict.fromkeys(named) if scope not in scopes][:_MOST_SCOPES]
