"""The body of an error: what a registry or a token service says of the reason.

OCI distribution-spec 1.1, "Error Codes"; OAuth 2 for token services (RFC 6749, section 5.2).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from docker_charon.messages import one_line
from docker_charon.registry.secrets import redacted

_MESSAGES = ("detail", "error_description", "details")
_WITHOUT_MEANING = (None, "", "UNKNOWN")


def first_error(body: bytes, secrets: Sequence[str]) -> tuple[str, str]:
    """Return the code and the message of the first error in a body whose code has a meaning.

    If none has, it is the first one. Each is ``""`` if there is none. A text in ``detail`` is added
    to the message; plain text is a message. Some servers repeat the request, so ``secrets`` are
    hidden.
    """
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
        errors = document.get("errors", [document])
        first = next((e for e in errors if e.get("code") not in _WITHOUT_MEANING), errors[0])
        code, message = first.get("code", first.get("error")), _message(first)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        code, message = "", "" if text.lstrip()[:1] in ("<", "{", "[") else text
    return _shortened(code, 60, secrets), _shortened(message, 200, secrets)


def _message(error: Any) -> object:
    """Return the message of an error, with its detail if that is a text."""
    message, detail = error.get("message"), error.get("detail")
    if not message:
        return next((error[key] for key in _MESSAGES if isinstance(error.get(key), str)), None)
    if isinstance(detail, dict):  # Quay
        detail = detail.get("message")
    if isinstance(message, str) and isinstance(detail, str) and detail not in message:
        return f"{message}: {detail}"
    return message


def _shortened(value: object, longest: int, secrets: Sequence[str]) -> str:
    """Return a server's text without ``secrets``, of at most ``longest`` characters."""
    text = redacted(value, secrets) if isinstance(value, str) else ""
    return " ".join(one_line(text[: 4 * longest]).split())[:longest]
