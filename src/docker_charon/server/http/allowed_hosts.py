"""The hosts that requests may name: a check that keeps web pages away from a loopback server.

A page of any web site can make a browser send requests to this machine. Such a request has the
site in ``Origin`` or, if the site's name was made to resolve to this machine (DNS rebinding), in
``Host``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from docker_charon.errors import ServerError
from docker_charon.messages import argument
from docker_charon.server.http.head import RequestHead
from docker_charon.server.store import Code, Rejected

_HOST = re.compile(r"\[[0-9a-f:.]+\]|[0-9a-z._-]+")
_PORT = re.compile(r":[0-9]*$")


@dataclass(frozen=True)
class AllowedHosts:
    """The hosts that requests may name, in lower case.

    ``own`` are the names of the server's address, and ``named`` those that the user allows.
    """

    own: frozenset[str]
    named: frozenset[str]

    @classmethod
    def parse(cls, own: Iterable[str], named: Iterable[str]) -> AllowedHosts:
        """Normalize the names of hosts; raise `ServerError` if one of ``named`` is not valid."""
        hosts = frozenset(_normalized(name) for name in named)
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ServerError(
                    f"{host!r} is not the name of a host",
                    hint="write it without http:// and without a port",
                )
        return cls(frozenset(_normalized(name) for name in own), hosts)

    def check(self, head: RequestHead) -> None:
        """Raise `Rejected` for a request that a page of another web site may have caused."""
        if head.host is not None and _normalized(head.host) not in self.own | self.named:
            raise Rejected(
                Code.DENIED,
                f"this server does not answer to the host {head.host[:100]}: "
                f"{argument('--allow-host', 'allow_hosts=')} makes it do so",
            )
        own_origin = f"{head.host}:{head.port}" if head.port else head.host
        for origin in head.headers.get_all("Origin"):
            authority = origin.lower().partition("://")[2]
            if authority != own_origin and _PORT.sub("", authority) not in self.named:
                raise Rejected(
                    Code.DENIED, f"this server does not answer to pages of {origin[:100]}"
                )


def _normalized(host: str) -> str:
    host = host.lower().removesuffix(".")
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
