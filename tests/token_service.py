"""A token service: Docker registry token authentication, as a real registry can enforce it.

It knows its users and what each of them may do; a registry that is configured with `auth` verifies
every token: its signature (RS256, with the certificate in ``x5c``), its time and its scopes.
"""

from __future__ import annotations

import base64
import fnmatch
import http.server
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from certificates import Certificate
from proxy import Action, Head

ISSUER = "the token service of the tests"
SERVICE = "the registry of the tests"
NOBODY = ""
"""The user who gives no name."""

Rights = Mapping[str, Mapping[str, str]]
"""What users may do: ``{user: {pattern of repositories: "pull,push"}}``."""


@dataclass(frozen=True)
class Asked:
    """A request for a token, as it came."""

    method: str
    headers: dict[str, str]
    """By name in lower case."""
    fields: dict[str, list[str]]
    """Those of the query, or of the form."""

    @property
    def scopes(self) -> list[str]:
        """What the token is to be good for, in the order of the request."""
        return [scope for value in self.fields.get("scope", ()) for scope in value.split()]

    def field(self, name: str) -> str:
        return self.fields.get(name, [""])[0]


class TokenService:
    """Gives out tokens at `realm` for as long as it is entered, and remembers who asked.

    ``name`` is what its answer calls a token, ``expires_in`` what it says about its life
    (``None``: nothing), ``lifetime`` how many seconds a registry takes it for, and ``identities``
    are refresh tokens and the users that they stand for. With a ``certificate`` it speaks TLS.
    ``status`` is what it answers, when that is not 200.
    """

    def __init__(
        self,
        signer: Certificate,
        authority: Certificate,
        users: Mapping[str, str],
        rights: Rights,
        *,
        identities: Mapping[str, str] | None = None,
        name: str = "token",
        expires_in: object = 300,
        lifetime: int = 300,
        certificate: Certificate | None = None,
    ) -> None:
        self.status = 200
        self.requests: list[Asked] = []
        self.given: list[str] = []
        self._signer = signer
        self._authority = authority
        self._users = users
        self._rights = rights
        self._identities = identities or {}
        self._name = name
        self._expires_in = expires_in
        self._lifetime = lifetime
        self._numbers = itertools.count(1)
        self._server = _Server(self)
        if certificate is not None:
            context = certificate.server_context()
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.realm = f"http{'s' if certificate else ''}://{self.address}/token"

    def __enter__(self) -> TokenService:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def auth(self) -> dict[str, Any]:
        """What makes a registry send its users here, and believe nobody else."""
        return {
            "token": {
                "realm": self.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(self._authority.file),
            }
        }

    def answer(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        """Record a request; return the status and the document that answer it."""
        self.requests.append(asked)
        user = self._user(asked)
        if self.status != 200 or user is None or asked.field("service") != SERVICE:
            status = self.status if self.status != 200 else 401
            message = "incorrect username or password"
            return status, {"errors": [{"code": "UNAUTHORIZED", "message": message}]}
        token = self._token(user, [self._access(user, scope) for scope in asked.scopes])
        self.given.append(token)
        document = {"access_token" if asked.method == "POST" else self._name: token}
        if self._expires_in is not None:
            document["expires_in"] = self._expires_in  # type: ignore[assignment]  # may be nonsense
        return 200, document

    def _user(self, asked: Asked) -> str | None:
        """Return who asks, or ``None`` if that is somebody else."""
        if asked.method == "POST" and asked.field("grant_type") == "refresh_token":
            return self._identities.get(asked.field("refresh_token"))
        if asked.method == "POST":
            name, password = asked.field("username"), asked.field("password")
        elif header := asked.headers.get("authorization"):
            name, _, password = base64.b64decode(header.split()[1]).decode().partition(":")
        else:
            return NOBODY
        return name if self._users.get(name) == password else None

    def _access(self, user: str, scope: str) -> dict[str, Any]:
        """Return what of a scope the user gets: the rest is left out, as the protocol wants it."""
        kind, name, actions = scope.split(":")
        allowed = {
            action
            for pattern, its in self._rights.get(user, {}).items()
            if fnmatch.fnmatch(name, pattern)
            for action in its.split(",")
        }
        granted = [action for action in actions.split(",") if action in allowed]
        return {"type": kind, "name": name, "actions": granted}

    def _token(self, user: str, access: list[dict[str, Any]]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._signer.der]}
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": user,
            "iat": now,
            "nbf": now - 3600,
            "exp": now + self._lifetime,
            "jti": str(next(self._numbers)),
            "access": access,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_base64url(self._signer.sign(signed.encode()))}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, service: TokenService) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:  # the name that http.server looks for
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:  # the same
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, query: str) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, document = self.server.service.answer(
            Asked(self.command, headers, parse_qs(query, keep_blank_values=True))
        )
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class WearOut(Action):
    """Let each token pass so many times; from then on the registry gets one that is worn out."""

    def __init__(self, uses: int) -> None:
        self._uses = uses
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def request(self, head: Head) -> None:
        token = head.get("Authorization")
        with self._lock:
            self._used[token] += 1
            worn_out = token and self._used[token] > self._uses
        if worn_out:
            head.set("Authorization", "Bearer worn.out.token")
