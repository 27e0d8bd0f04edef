"""What a user is logged in with: the files of Docker and Podman, and a credential helper."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any


def entry(username: str, password: str, **more: str) -> dict[str, str]:
    """Return what ``auths`` holds for a registry."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode(), **more}


def write(file: Path, **config: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))


class Home:
    """A user's files: Docker's config, once it is written, and the helper named ``fake``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "docker/config.json"
        self.helper = CredentialHelper(folder / "bin", "fake")

    def docker(self, **config: Any) -> None:
        write(self.config, **config)


class CredentialHelper:
    """``docker-credential-NAME`` in ``folder``, once it is installed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.program = f"docker-credential-{name}"
        self._file = folder / self.program
        self._notes = folder / f"{self.program}.asked"

    def install(self, *commands: str) -> None:
        """Make the program, which notes what it is asked and then does this."""
        self._file.parent.mkdir(exist_ok=True)
        noting = f'{{ echo "$@"; cat; }} > "{self._notes}"'
        self._file.write_text("\n".join(["#!/bin/sh", noting, *commands, ""]))
        self._file.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        """Its arguments, and the lines of its standard input, when it ran last."""
        return self._notes.read_text().splitlines()


def answering(username: str, secret: str) -> str:
    """Return the command that answers with a login."""
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': username, 'Secret': secret})}'"
