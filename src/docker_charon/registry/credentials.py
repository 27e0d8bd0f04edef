"""Credentials: where Docker and Podman keep them, and the helper programs that know them.

The files have one form: ``{"auths": {HOST: {"auth": BASE64}}, "credHelpers": {HOST: NAME},
"credsStore": NAME}``. A helper is a program ``docker-credential-NAME``; called with ``get`` and the
host on its standard input, it answers in JSON.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker_charon.errors import AuthenticationError
from docker_charon.messages import get_logger

HELPER_TIMEOUT = 30.0
"""Seconds that a helper may take; some of them ask a cloud."""

DOCKER_HUB = "registry-1.docker.io"
"""The registry where no other is named."""

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""What credentials for Docker Hub are filed under."""

_TOKEN_USER = "<token>"  # noqa: S105  # the name that says that the secret is an identity token
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password, or an identity token; no ``repr`` shows a secret."""

    username: str
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        """The value of a Basic ``Authorization`` header (RFC 7617, in UTF-8)."""
        pair = f"{self.username}:{self.password}"
        encoded = base64.b64encode(pair.encode("utf-8", "surrogateescape"))
        return f"Basic {encoded.decode()}"


def find_credentials(registry: str) -> Credentials | None:
    """Return what the user is logged in to ``registry`` with, according to Docker, then Podman.

    Raises `AuthenticationError` for a file or a helper that is there and does not work.
    """
    for path in _files():
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise AuthenticationError(f"cannot read {path}: {error.strerror}") from error
        found = _find(path, content, registry)
        if found is not None:
            _log.debug("the login to %s is from %s", registry, path)
            return found
    return None


def _files() -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises where there is none
    yield Path(os.environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers/auth.json"
    config = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    yield Path(config) / "containers/auth.json"


def _find(path: Path, content: bytes, registry: str) -> Credentials | None:
    """Look for a registry's credentials in a file: its own helper, its entry, the store."""
    try:
        config = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise AuthenticationError(f"{path} is not a JSON object", hint="mend it, or move it away")
    helper = _entry(config.get("credHelpers"), registry)
    if isinstance(helper, str) and (found := _ask_helper(helper, registry)):
        return found
    entry = _entry(config.get("auths"), registry)
    if isinstance(entry, dict) and (found := _from_entry(path, entry, registry)):
        return found
    store = config.get("credsStore")
    return _ask_helper(store, registry) if store and isinstance(store, str) else None


def _entry(entries: Any, registry: str) -> Any:
    """Return the entry of a registry: keys can be hosts or URLs."""
    if not isinstance(entries, dict):
        return None
    host = _host(registry)
    return next((value for key, value in entries.items() if _host(key) == host), None)


def _host(key: str) -> str:
    """Return the host that a key stands for; all names of Docker Hub are one."""
    host = key.partition("://")[2] or key
    host = re.sub(r"/(v1|v2)?/?$", "", host).lower()
    return "docker.io" if host in DOCKER_HUB_HOSTS else host


def _from_entry(path: Path, entry: dict[str, Any], registry: str) -> Credentials | None:
    username, password = entry.get("username"), entry.get("password")
    if encoded := entry.get("auth"):
        try:
            decoded = base64.b64decode(encoded, validate=True).decode().rstrip("\0")
            username, colon, password = decoded.partition(":")
        except (ValueError, TypeError):
            colon = ""
        if not colon:
            raise AuthenticationError(f"{path} has a malformed entry for {registry}")
    token = entry.get("identitytoken") or None
    if not all(value is None or _is_text(value) for value in (username, password, token)):
        raise AuthenticationError(f"{path} has a malformed entry for {registry}")
    if username == _TOKEN_USER and not token:
        token = password
    if token or (username and password):
        return Credentials(username or _TOKEN_USER, password or "", token)
    return None


def _is_text(value: object) -> bool:
    """Whether a value is a string that can be sent: JSON can say half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ask_helper(name: str, registry: str) -> Credentials | None:
    """Run a helper; ``None`` when it knows of no credentials for the registry."""
    program = f"docker-credential-{name}"
    executable = shutil.which(program) if _HELPER_NAME.fullmatch(name) else None
    if executable is None:
        raise AuthenticationError(
            f"Docker's config names the credential helper {program}, which is not there",
            hint="install it, or give a username and a password",
        )
    key = DOCKER_HUB_KEY if _host(registry) == "docker.io" else registry
    try:
        done = subprocess.run(  # noqa: S603  # the user's own config names it
            [executable, "get"],
            input=key.encode(),
            capture_output=True,
            check=False,
            timeout=HELPER_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise AuthenticationError(
            f"{program} does not answer within {HELPER_TIMEOUT:g} seconds",
            hint="call it yourself, or give a username and a password",
        ) from None
    except OSError as error:
        raise AuthenticationError(f"cannot run {program}: {error.strerror}") from error
    output = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        said = output or done.stderr.decode("utf-8", "replace").strip() or "it says nothing"
        if "credentials not found" in said.lower():
            return None
        raise AuthenticationError(
            f"{program} fails for {registry}: {said[:200]}", hint="log in again with it"
        )
    try:
        answer = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        username = secret = None
    if not _is_text(username) or not _is_text(secret):
        raise AuthenticationError(f"{program} answers nonsense for {registry}")
    if username == _TOKEN_USER:
        return Credentials(username, "", secret)
    return Credentials(username, secret) if username or secret else None
