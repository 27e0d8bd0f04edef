"""Credential helpers: the programs ``docker-credential-NAME`` that keep logins for Docker.

A helper is called with ``get`` and a key on its standard input, most often the registry's host, and
answers with ``{"Username": ..., "Secret": ...}``. One that knows no login says so in its own words.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

TIMEOUT = 30.0
"""Seconds that a helper may take; some of them ask a cloud."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"

_UNKNOWN = ("credentials not found", "no stored credential", "could not be found in the keychain")
"""How helpers say that they know no login. The protocol has no other sign for it."""


class HelperFailed(Exception):
    """A helper cannot be run, or its answer is not a login.

    The text is one line. It never repeats what the helper printed, which may be a password.
    """


def program_of(name: str) -> str:
    """Return the name of a helper's program; ``name`` is what a config calls the helper."""
    return f"docker-credential-{name}"


def ask(name: str, key: str) -> tuple[str, str] | None:
    """Return the username and the secret that a helper has for ``key``, or ``None``.

    ``None`` means that it has no login. Raises `HelperFailed` if it is not installed, fails, does
    not answer within `TIMEOUT`, or prints something else.
    """
    program = program_of(name)
    executable = shutil.which(program) if re.fullmatch(_NAME, name) else None
    if executable is None:
        raise HelperFailed(f"{program} is not installed")
    try:
        done = subprocess.run(  # noqa: S603  # the user's own config names it
            [executable, "get"],
            input=key.encode(),
            capture_output=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise HelperFailed(f"{program} does not answer within {TIMEOUT:g} seconds") from None
    except OSError as error:
        raise HelperFailed(f"cannot run {program}: {error.strerror}") from error
    if done.returncode != 0:
        words = (done.stdout + done.stderr).decode("utf-8", "replace").lower()
        if any(sign in words for sign in _UNKNOWN):
            return None
        raise HelperFailed(
            f"{program} fails with exit status {done.returncode} (to see why, run: "
            f"echo {key} | {program} get)"
        )
    return _login(done.stdout, f"{program} does not answer with a login")


def _login(output: bytes, problem: str) -> tuple[str, str] | None:
    """Read an answer; nothing at all, ``{}`` and an empty secret mean that there is no login."""
    if not output.strip():
        return None
    try:
        answer = json.loads(output) or {}
        username, secret = answer.get("Username") or "", answer.get("Secret") or ""
        (username + secret).encode()  # fails for half of a surrogate pair, which JSON can have
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise HelperFailed(problem) from None
    return (username, secret) if secret else None
