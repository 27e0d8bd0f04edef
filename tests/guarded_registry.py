"""Real registries that want a login, before the files of others that want none."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certificates
import registries
from proxy import Proxy, Rule
from token_service import TokenService

HTPASSWD = "htpasswd"
USER = "me"
PASSWORD = "correct horse"
LOGIN: dict[str, Any] = {"username": USER, "password": PASSWORD}


def htpasswd_is_installed() -> bool:
    return shutil.which(HTPASSWD) is not None


@dataclass
class Site:
    """A registry with a login as its clients see it, and all that they send."""

    registry: str
    proxy: Proxy
    tokens: TokenService

    def asked(self) -> list[tuple[str, ...]]:
        """Return the scopes of every request for a token."""
        return [tuple(asked.scopes) for asked in self.tokens.requests]

    def count(self) -> int:
        """Return the number of requests so far, to the registry and to the token service."""
        return len(self.proxy.requests) + len(self.tokens.requests)

    def told(self) -> str:
        """Return all headers that the registry has seen."""
        return "\n".join(str(request.headers) for request in self.proxy.requests)


class Guards:
    """Opens sites, with one set of certificates for all of them.

    ``root`` is everywhere the folder of a registry without a login, whose files are guarded.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = certificates.authority(folder)
        self.certificate = certificates.server_certificate(self.authority, folder)

    def token_service(self, **options: Any) -> TokenService:
        """Return a token service for one user, who may do anything unless ``options`` differ."""
        options = {"users": {USER: PASSWORD}, "rights": {USER: {"*": "pull,push"}}, **options}
        return TokenService(self.certificate, self.authority, **options)

    @contextlib.contextmanager
    def tokens(
        self, root: Path, *rules: Rule, auth: dict[str, Any] | None = None, **options: Any
    ) -> Iterator[Site]:
        """Guard a registry's files with a token service, or with another ``auth``."""
        with (
            self.token_service(**options) as tokens,
            guarded(root, auth or tokens.auth) as address,
            Proxy(address, rules) as proxy,
        ):
            yield Site(proxy.address, proxy, tokens)

    @contextlib.contextmanager
    def passwords(self, root: Path) -> Iterator[Site]:
        """Guard a registry's files with a password."""
        with self.tokens(root, auth=htpasswd(root)) as site:
            yield site


def htpasswd(folder: Path, user: str = USER, password: str = PASSWORD) -> dict[str, Any]:
    """Return what makes a registry ask for the user's name and password with every request."""
    file = folder / HTPASSWD
    done = subprocess.run([HTPASSWD, "-Bbn", user, password], check=True, stdout=subprocess.PIPE)
    file.write_bytes(done.stdout)
    return {"htpasswd": {"realm": "a registry of the tests", "path": str(file)}}


@contextlib.contextmanager
def guarded(
    root: Path, auth: dict[str, Any], *, http: dict[str, Any] | None = None
) -> Iterator[str]:
    """Run a registry with a login on a registry's files."""
    storage = {
        "filesystem": {"rootdirectory": str(root / "data")},
        "delete": {"enabled": True},
        "maintenance": {"uploadpurging": {"enabled": False}},
    }
    with registries.docker_registry(
        root.with_name(f"{root.name}-guarded"), http=http, storage=storage, auth=auth
    ) as address:
        yield address
