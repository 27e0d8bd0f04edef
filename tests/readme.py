"""The README and the pages in .github, and the world in which their blocks are executed as printed.

The hosts that the pages name are registries on loopback: whoever asks for them, over TLS or not, is
led there. Programs that are not ours are stand-ins which say what the real ones would.
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

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = "text"
"""The language of a block that shows what a program prints, or what a file contains."""


def pages() -> list[Path]:
    """Return the README and every page in .github."""
    return [PAGE, *sorted((ROOT / ".github").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, its page and the heading above it."""

    language: str
    text: str
    page: str
    heading: str

    def __str__(self) -> str:
        return f"{self.page}: {self.heading}: {self.text.splitlines()[0]}"


def blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in pages() for block in blocks_of(page)]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of one page."""
    text = page.read_text("utf-8")
    # A single # also starts a comment in a block; above all other headings is the page's title.
    title = text.partition("\n")[0].removeprefix("# ")
    headings = [(0, title)]
    headings += [(m.start(), m[1]) for m in re.finditer(r"^#{2,5} (.*)$", text, re.MULTILINE)]
    return [
        Block(m[1], m[2], page.name, [words for at, words in headings if at < m.start()][-1])
        for m in BLOCK.finditer(text)
    ]


def lead(hosts: dict[str, str]) -> None:
    """Have requests for these hosts answered by registries at other addresses."""
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
