"""The file of allowed signers: what cannot be one is refused, with what to do about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from docker_charon import PayloadError
from docker_charon.payload.signature.allowed_signers import readable_signers

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJUWhuj+oiC8lrIFVNcJNwwuPYvvdoEyeL0YsdXCKWx3"


@pytest.mark.parametrize(
    "content",
    ["", f"me@example.com {KEY}\n", f"# ours\nsk-ssh-desk {KEY} the desk\n", "nonsense\n"],
)
def test_a_file_that_may_be_one_is_left_to_ssh_keygen(tmp_path: Path, content: str) -> None:
    file = tmp_path / "signers"
    file.write_text(content)
    assert readable_signers(str(file)) == file


@pytest.mark.parametrize(
    "content",
    [KEY, f"# ours\n  {KEY} me@example.com", "-----BEGIN OPENSSH PRIVATE KEY-----\n"],
    ids=["public", "below a comment", "private"],
)
def test_a_file_of_keys_is_not_one(tmp_path: Path, content: str) -> None:
    file = tmp_path / "signers"
    file.write_text(content)
    with pytest.raises(PayloadError, match="keys without names; write the name of the signer"):
        readable_signers(file)


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    file = tmp_path / "signers"
    for encoding in ("utf-16", "utf-8-sig"):
        file.write_text(f"me@example.com {KEY}\n", encoding=encoding)
        with pytest.raises(PayloadError, match="it is not plain text in UTF-8; save it as UTF-8"):
            readable_signers(file)


@pytest.mark.posix
def test_it_is_read_several_times(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(PayloadError, match=rf"the allowed signers in {path}: it is a \w+;"):
            readable_signers(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the path of a descriptor")
def test_it_may_be_an_open_file(tmp_path: Path) -> None:
    (tmp_path / "signers").write_text(f"me@example.com {KEY}\n")
    with (tmp_path / "signers").open() as signers:
        assert readable_signers(f"/dev/fd/{signers.fileno()}") == tmp_path / "signers"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=f"allowed signers in {tmp_path}/none: No such file"):
        readable_signers(tmp_path / "none")
