"""The program ``ssh-keygen`` of OpenSSH, which makes and verifies signatures."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docker_charon.errors import PayloadError
from docker_charon.payload.random_access import file_errors

_INSTALL = "install OpenSSH 8.2 or newer (the package openssh-client)"
_FRAME = "@"
"""What the lines around a warning of ssh-keygen begin with."""


@contextlib.contextmanager
def file_with(content: bytes, purpose: str) -> Iterator[Path]:
    """Yield a file with this content in a new directory that other users cannot read.

    Raises `PayloadError` if it cannot be written, with the ``purpose`` that it is needed for.
    """
    with (
        file_errors(f"cannot {purpose}"),
        tempfile.TemporaryDirectory(prefix="docker-charon-") as folder,
    ):
        path = Path(folder) / "file"
        path.write_bytes(content)
        yield path


def ssh_keygen(
    arguments: list[str], text: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen, with ``text`` as its standard input, or with ours.

    Raises `PayloadError` if it is not installed. Its exit status and its output are the caller's.
    """
    try:
        return subprocess.run(  # noqa: S603  # no shell, and the arguments are paths and names
            ["ssh-keygen", *arguments],  # noqa: S607  # OpenSSH's, wherever it is installed
            input=text,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise PayloadError("there is no ssh-keygen on this machine", hint=_INSTALL) from error


def reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the error message of ssh-keygen in parentheses, if there is one."""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    reasons = [line.strip() for line in lines if not line.startswith(_FRAME)]
    return f" ({reasons[0]})" if reasons else ""
