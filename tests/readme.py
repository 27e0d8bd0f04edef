"""The README's blocks, and the world in which they are executed as they are printed.

The hosts that the README names are registries on loopback: whoever asks for them, over TLS or not,
is led there. Programs that are not ours are stand-ins which say what the real ones would.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from docker_charon.registry.http import HTTPSession

PAGE = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text and the heading above it."""

    language: str
    text: str
    heading: str

    def __str__(self) -> str:
        return f"{self.heading}: {self.text.splitlines()[0]}"


def blocks() -> list[Block]:
    page = PAGE.read_text("utf-8")
    headings = [(m.start(), m[1]) for m in re.finditer(r"^#{2,5} (.*)$", page, re.MULTILINE)]
    return [
        Block(m[1], m[2], [title for start, title in headings if start < m.start()][-1])
        for m in BLOCK.finditer(page)
    ]


def lead(hosts: dict[str, str]) -> None:
    """Have requests for the README's hosts answered by registries at other addresses."""
    send = HTTPSession.send

    def send_there(
        self: HTTPSession, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        url = request.url or ""
        address = hosts.get(urlsplit(url).netloc)
        if address is None:
            return send(self, request, **options)
        there = urlsplit(url)._replace(scheme="http", netloc=address)
        request.url = there.geturl()
        response = send(self, request, **options)
        response.url = request.url = url
        return response

    HTTPSession.send = send_there  # type: ignore[method-assign]


if __name__ == "__main__":
    # docker-charon, for the shell blocks: HOST=ADDRESS ... -- ARGUMENTS...
    at = sys.argv.index("--")
    lead(dict(word.split("=", 1) for word in sys.argv[1:at]))
    sys.argv[1 : at + 1] = []
    from docker_charon.cli.program import main

    main()
