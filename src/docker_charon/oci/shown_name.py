"""A name as messages show it: not too long, and without a login that stands in it."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<!\S)\S+@(?!(?:sha\w*(?::\w*)?)?(?:\s|$))", re.IGNORECASE)
"""What a word has before its last ``@``, unless a digest or nothing follows."""
_LONGEST = 120  # characters


def without_login(text: str) -> str:
    """Return a text in which ``***`` stands for what may be a username and a password.

    That is what a word has before an ``@`` that no digest follows: ``https://me:secret@host/app``
    becomes ``***@host/app``, and ``app:1@sha256:...`` stays.
    """
    return _LOGIN.sub("***@", text)


def shown_name(name: object) -> str:
    """Return a value that should be a name in quotes, without a login and not too long."""
    shown = repr(without_login(name) if isinstance(name, str) else name)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
