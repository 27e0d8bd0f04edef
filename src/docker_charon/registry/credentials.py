"""Credentials: the logins that Docker and Podman have stored for a registry.

Both keep them in files of one form: ``{"auths": {KEY: {"auth": BASE64}}, "credHelpers": {HOST:
NAME}, "credsStore": NAME}``. What an environment variable names comes first, then Podman's files,
then Docker's, which is the order of containers-auth.json(5):

1. the file ``REGISTRY_AUTH_FILE``
2. the content of ``DOCKER_AUTH_CONFIG``
3. ``$DOCKER_CONFIG/config.json``
4. ``$XDG_RUNTIME_DIR/containers/auth.json`` and ``/run/containers/UID/auth.json``
5. ``$XDG_CONFIG_HOME/containers/auth.json``, by default in ``~/.config``
6. ``~/.docker/config.json``, unless ``DOCKER_CONFIG`` names another folder

In a file, the order is Docker's: the helper of the host, else the one for all hosts
(``credsStore``), else ``auths``. There, the most specific key comes first: ``HOST/team/app``,
``HOST/team``, ``HOST``, and then URLs of the host. A source that does not work is remembered as a
problem, and the search goes on.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from docker_charon.messages import get_logger, one_line
from docker_charon.oci.host import DOCKER_HUB, is_docker_hub
from docker_charon.registry import credential_helper
from docker_charon.special_file import read_all
from docker_charon.value import dataclass

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""The key under which Docker stores the login to Docker Hub."""

RUN_CONTAINERS = Path("/run/containers")
"""Podman's folder of logins if ``XDG_RUNTIME_DIR`` is not set: each user has a folder in it."""

_TOKEN_USER = "<token>"  # noqa: S105  # the name that says that the secret is an identity token
_LONGEST_FILE = 16 * 1024 * 1024  # bytes
_API_PATHS = ("", "/v1", "/v2")
"""Paths of a key that stand for the whole registry, even where a path could be a namespace.

Docker Hub has tokens of another kind under longer paths: ``.../v1/access-token``.
"""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username and a password, or a token in place of the password; ``repr`` shows no secret.

    An identity token is exchanged for tokens at the registry's token service. A registry token is
    sent to the registry as it is.
    """

    username: str
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)
    registry_token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        """The value of a Basic ``Authorization`` header (RFC 7617, in UTF-8)."""
        pair = f"{self.username}:{self.password}"
        encoded = base64.b64encode(pair.encode("utf-8", "surrogateescape"))
        return f"Basic {encoded.decode()}"


@dataclass(frozen=True, slots=True)
class FoundLogin:
    """The result of a search for a login.

    ``source`` is the file, the variable or the helper program that has the login; it is ``""`` for
    a login that the caller gave. ``problems`` are the sources that did not work, each in one line
    without secrets; they are shown only if the registry refuses access.
    """

    credentials: Credentials | None = None
    source: str = ""
    problems: tuple[str, ...] = ()


class Logins(Protocol):
    """The logins for the repositories of one registry."""

    def find(self, repository: str | None = None) -> FoundLogin:
        """Return the login for ``repository``, or without one that for the registry as a whole."""

    def forget(self) -> None:
        """Search everywhere again from now on."""


@dataclass(frozen=True, slots=True)
class GivenLogin:
    """One login for all repositories, which the caller gives; it may be none."""

    login: FoundLogin

    def find(self, repository: str | None = None) -> FoundLogin:
        """Return the login."""
        return self.login

    def forget(self) -> None:
        """Do nothing: there is nothing to search."""


class Keychain:
    """The stored logins for one registry.

    Every file is read once, and every helper is asked once, until they are forgotten.
    """

    def __init__(self, registry: str) -> None:
        self._registry = registry
        host = registry.lower()
        self._is_docker_hub = is_docker_hub(host)
        self._hosts = (
            ["docker.io", "index.docker.io", DOCKER_HUB] if self._is_docker_hub else [host]
        )
        self.forget()

    def forget(self) -> None:
        """Read the files and ask the helpers again when a login is next searched."""
        self._configs: list[_Config | _Broken] | None = None
        self._answers: dict[str, Credentials | _Broken | None] = {}

    def find(self, repository: str | None = None) -> FoundLogin:
        """Return the login for ``repository``; without one, that for the registry as a whole."""
        if self._configs is None:
            self._configs = list(_configs())
        problems: list[str] = []
        for config in self._configs:
            if isinstance(config, _Broken):
                problems.append(config.problem)
                continue
            for source, credentials in self._logins(config, repository):
                if isinstance(credentials, _Broken):
                    problems.append(credentials.problem)
                elif credentials is not None:
                    _log.debug("the login to %s is from %s", self._registry, source)
                    return FoundLogin(credentials, source, tuple(problems))
            if config.is_named:
                problems.append(one_line(f"{config.source} has no login for {self._registry}"))
        return FoundLogin(problems=tuple(dict.fromkeys(problems)))

    def _logins(
        self, config: _Config, repository: str | None
    ) -> Iterator[tuple[str, Credentials | _Broken | None]]:
        """Yield the logins that a config has for a repository, best first, with their sources."""
        for name in self._helpers(config):
            yield credential_helper.program_of(name), self._ask(name, config.source)
        for entry in self._entries(config.section("auths"), self._keys(repository)):
            yield config.source, _read_entry(entry, config.source, self._registry)

    def _helpers(self, config: _Config) -> list[str]:
        """Return the helpers to ask; an empty name says that the host has none."""
        own = next(self._entries(config.section("credHelpers"), self._keys(None)), None)
        names = [] if own == "" else [own, config.content.get("credsStore")]
        return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))

    def _keys(self, repository: str | None) -> list[str]:
        """Return the keys that stand for a repository exactly, the longest first."""
        keys: list[str] = []
        if repository is not None:
            parts = repository.split("/")
            if self._is_docker_hub and len(parts) == 1:
                parts.insert(0, "library")
            paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
            keys = [f"{host}/{path}" for path in paths for host in self._hosts]
        return [*keys, *([DOCKER_HUB_KEY] if self._is_docker_hub else []), *self._hosts]

    def _entries(self, entries: dict[str, Any], keys: list[str]) -> Iterator[Any]:
        """Yield the values of ``keys``, in their order, and then those of URLs of the host."""
        for wanted in keys:
            yield from (value for key, value in entries.items() if key.lower() == wanted)
        for key, value in entries.items():
            if key.lower() not in keys and self._is_url(key):
                yield value

    def _is_url(self, key: str) -> bool:
        """Whether a key is another way to write the registry: a URL, or a host with ``/v1/``."""
        scheme, separator, rest = key.lower().rpartition("://")
        host, slash, path = rest.partition("/")
        if host not in self._hosts or scheme not in ("", "https", "http"):
            return False
        takes_any_path = bool(separator) and not self._is_docker_hub
        return takes_any_path or f"{slash}{path}".rstrip("/") in _API_PATHS

    def _ask(self, name: str, source: str) -> Credentials | _Broken | None:
        """Ask a helper, which ``source`` names, for the registry's login."""
        if name not in self._answers:
            key = DOCKER_HUB_KEY if self._is_docker_hub else self._registry
            answer: Credentials | _Broken | None = None
            try:
                if login := credential_helper.ask(name, key):
                    username, secret = login
                    is_token = username == _TOKEN_USER
                    answer = Credentials(
                        username, "" if is_token else secret, secret if is_token else None
                    )
            except credential_helper.HelperFailed as failure:
                answer = _Broken(f"{source} names a credential helper, and {failure}")
            self._answers[name] = answer
        return self._answers[name]


class _Broken:
    """A source that does not work, in one line."""

    def __init__(self, problem: str) -> None:
        self.problem = one_line(problem)


@dataclass(frozen=True, slots=True)
class _Config:
    """The content of a file, or of ``DOCKER_AUTH_CONFIG``.

    ``is_named`` says that the user has named it for its logins.
    """

    source: str
    content: dict[str, Any] = field(repr=False)
    is_named: bool = False

    def section(self, name: str) -> dict[str, Any]:
        """Return an object of the config; one that is missing or malformed holds nothing."""
        section = self.content.get(name)
        return section if isinstance(section, dict) else {}


def _configs() -> Iterator[_Config | _Broken]:
    """Read every place where logins are kept, in the order in which they are searched."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        config = _read_file(Path(named), is_named=True)
        yield config or _Broken(f"REGISTRY_AUTH_FILE names {named}, which does not exist")
    if value := os.environ.get("DOCKER_AUTH_CONFIG"):
        yield _parse("DOCKER_AUTH_CONFIG", value.encode("utf-8", "surrogateescape"), is_named=True)
    docker = os.environ.get("DOCKER_CONFIG")
    if docker and not os.path.isdir(docker):  # noqa: PTH112  # Path.is_dir() may raise
        yield _Broken(f"DOCKER_CONFIG names {docker}, which is not a directory")
    for path in dict.fromkeys(_files()):
        config = None if named and path == Path(named) else _read_file(path)
        if config is not None:
            yield config


def _files() -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises where there is none
    docker = os.environ.get("DOCKER_CONFIG")
    if docker:
        yield Path(docker) / "config.json"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers/auth.json"
    if hasattr(os, "getuid"):
        yield RUN_CONTAINERS / str(os.getuid()) / "auth.json"
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"
    if not docker:
        yield home / ".docker/config.json"


def _read_file(path: Path, *, is_named: bool = False) -> _Config | _Broken | None:
    """Read a config; ``None`` where there is no file."""
    try:
        content = read_all(path, _LONGEST_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # a ValueError for a path that no file can have
        return _Broken(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")
    return _parse(str(path), content, is_named=is_named)


def _parse(source: str, content: bytes, *, is_named: bool) -> _Config | _Broken:
    try:
        config = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        return _Broken(f"{source} does not hold a JSON object")
    return _Config(source, config, is_named)


def _read_entry(entry: Any, source: str, registry: str) -> Credentials | _Broken | None:
    """Read an entry of ``auths``; an entry without a login means that a helper has the login."""
    broken = _Broken(f"{source} has a malformed entry for {registry}")
    if not isinstance(entry, dict):
        return broken if entry else None
    username, password = entry.get("username") or "", entry.get("password") or ""
    if encoded := entry.get("auth"):
        try:
            # Docker ignores line breaks, too.
            decoded = base64.b64decode("".join(encoded.split()), validate=True)
        except (ValueError, AttributeError):
            return broken
        pair = decoded.decode("utf-8", "surrogateescape").rstrip("\0")
        username, colon, password = pair.partition(":")
        if not colon:
            return broken
    elif not (_is_text(username) and _is_text(password)):
        return broken
    identity_token, registry_token = entry.get("identitytoken"), entry.get("registrytoken")
    if username == _TOKEN_USER and not identity_token:
        identity_token = password
    if not all(_is_text(token or "") for token in (identity_token, registry_token)):
        return broken
    if registry_token and not re.fullmatch("[!-~]+", registry_token):
        return broken
    if password and not (username or identity_token or registry_token):
        return broken
    if password or identity_token or registry_token:
        return Credentials(
            username or _TOKEN_USER, password, identity_token or None, registry_token or None
        )
    return None


def _is_text(value: object) -> bool:
    """Whether a value is a string without half of a surrogate pair, which JSON can have."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
