"""An upload: its file holds exactly the bytes that were counted, whatever happened before."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_charon.server.layouts.upload import Upload
from images import digest_of


def broken_off() -> Iterator[bytes]:
    yield b"some bytes"
    raise ConnectionError("the connection ended within a body")


@pytest.mark.parametrize("all_or_nothing", [True, False])
def test_bytes_that_cannot_be_taken_back_at_once_are_not_a_part_of_the_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_or_nothing: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    upload = Upload("1", "app", tmp_path / "1")
    upload.append([b"begin "])
    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        with pytest.raises(ConnectionError):
            upload.append(broken_off(), all_or_nothing=all_or_nothing)
    upload.append([b" end"])
    expected = b"begin  end" if all_or_nothing else b"begin some bytes end"
    assert upload.path.read_bytes() == expected
    assert upload.digest("sha256") == digest_of(expected)
    assert upload.size == len(expected)
