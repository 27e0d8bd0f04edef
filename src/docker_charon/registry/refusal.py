"""A refusal: what an answer that was not asked for means, in one line that says what to do.

Error bodies follow OCI distribution-spec 1.1, "Error Codes"; many servers send something else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from docker_charon.errors import AuthenticationError, RegistryError, one_line

_HINTS = {
    "NAME_UNKNOWN": "some registries, as ECR, want a repository to be created before a first push",
    "MANIFEST_BLOB_UNKNOWN": "the registry lost a blob meanwhile: push again",
    "BLOB_UPLOAD_INVALID": "try again; if it stays, look at the registry's storage",
    "SIZE_INVALID": "something on the way changes or cuts what is sent",
    "DIGEST_INVALID": "something on the way changes or cuts what is sent",
    "UNSUPPORTED": "the registry does not allow this",
}
_FULL = ("quota", "insufficient storage", "no space", "exceed")
"""How registries say that there is no room left; some do so with 403, some with 412 or 413."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked: the registry's name, and what a hint depends on."""

    registry: str
    secure: bool
    is_docker_hub: bool


def refusal(
    asker: Asker,
    status: int,
    body: bytes,
    doing: str,
    *,
    has_credentials: bool,
    elsewhere: str = "",
) -> RegistryError:
    """Make an error of an answer; ``doing`` is what it was the answer to.

    ``elsewhere`` is the other host that answered, where the registry sent us to one: the storage
    behind it, most often.
    """
    code, message = _error(body)
    said = " ".join(part for part in (str(status), code, message) if part)
    who = asker.registry
    if elsewhere:
        who = f"{elsewhere}, where {asker.registry} sends us,"
    text = f"{who} answers {said} to {doing}"
    is_full = status == 507 or any(word in message.lower() for word in _FULL)
    if status == 429 or code == "TOOMANYREQUESTS":
        if asker.is_docker_hub and not has_credentials:
            hint = "Docker Hub limits anonymous pulls: log in (docker login, or --username)"
        else:
            hint = "the limit of requests is reached: wait, and run the same command again"
        return RegistryError(text, hint=hint, status=status, code=code)
    if is_full:
        hint = "the registry, or this user's quota there, is full"
        return RegistryError(text, hint=hint, status=status, code=code)
    if elsewhere and status in (401, 403):
        hint = "it, or something on the way to it, does not let us in: a login would not help"
        return RegistryError(text, hint=hint, status=status, code=code)
    if status == 401:
        hint = "check the username and the password, and what this user may do"
        if not has_credentials:
            hint = "it does not exist, or needs a login: give a username and a password"
        return AuthenticationError(text, hint=hint, status=status, code=code)
    if status == 403:
        hint = "this user is not allowed to do it"
        if not has_credentials:
            hint = "without a login this is not allowed: give a username and a password"
        return AuthenticationError(text, hint=hint, status=status, code=code)
    hint = _HINTS.get(code, "")
    if not hint and status == 400 and not asker.secure and b"HTTPS" in body:
        hint = "it speaks TLS: leave --insecure (secure=False) out"
    if not hint and status in (404, 405) and doing == "its check":
        hint = "it does not look like a registry"
    if not hint and status == 405:
        hint = "it may be read-only, or a cache of another registry"
    if not hint and status == 413:
        hint = "something before the registry limits the size of requests: raise it there"
    if not hint and status >= 500:
        hint = "try again later, or look into the registry's log"
    return RegistryError(text, hint=hint, status=status, code=code)


def _error(body: bytes) -> tuple[str, str]:
    """Return code and message of the first error in a body; plain text is all message."""
    text = body.decode("utf-8", "replace")
    try:
        first = json.loads(text)["errors"][0]
        code, message = first.get("code"), first.get("message")
        detail = first.get("detail")
        if not message and isinstance(detail, str):
            message = detail
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        code, message = "", "" if text.lstrip()[:1] in ("<", "{", "[") else text
    return _shortened(code, 60), _shortened(message, 200)


def _shortened(value: object, longest: int) -> str:
    """Make a server's words fit for a line of ours."""
    text = value if isinstance(value, str) else ""
    return " ".join(one_line(text[: 4 * longest]).split())[:longest]
