"""Secrets: what was sent to log in, and texts without it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

import requests

_HIDDEN = "***"
_AUTHORIZATION = r"(?i)(authorization\W{1,4})(?:(?:basic|bearer)\W{1,3})?[^\s\"',;]+"
"""A header that somebody quotes, with its name: whatever stands in it is hidden."""
_USERINFO = r"(://)[^/?#\s]*@"
_SHORTEST = 3  # characters; to hide shorter ones would make other words unreadable


def sent_secrets(response: requests.Response) -> list[str]:
    """Return the secrets in the requests that led to an answer, the longest first.

    They are the tokens and the passwords of their ``Authorization`` headers, in the forms in which
    a server may repeat them.
    """
    secrets: set[str] = set()
    for answer in (*response.history, response):
        headers = getattr(answer.request, "headers", None) or {}
        scheme, _, value = str(headers.get("Authorization") or "").partition(" ")
        secrets.add(value)
        if scheme.lower() == "basic":
            secrets |= _parts(value)
    return sorted((text for text in secrets if len(text) >= _SHORTEST), key=len, reverse=True)


def _parts(basic: str) -> set[str]:
    """Return the password in a Basic ``Authorization``, as it is and as a part of a URL."""
    try:
        pair = base64.b64decode(basic).decode("utf-8", "surrogateescape")
    except ValueError:
        return set()
    password = pair.partition(":")[2]
    return {pair, password, quote(password, safe="", errors="surrogateescape")}


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with neither the secrets nor an ``Authorization`` header in it."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return re.sub(_AUTHORIZATION, rf"\1{_HIDDEN}", without_login(text))


def without_login(text: str) -> str:
    """Return ``text`` without the username and the password of the URLs in it."""
    return re.sub(_USERINFO, r"\1", text)
