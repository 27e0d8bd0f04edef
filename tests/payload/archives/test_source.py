"""Where payloads come from: here a pipe, whose copy has to fit somewhere."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import images
from docker_charon import PayloadError, inspect_payload, make_payload, verify_payload
from docker_charon.payload.random_access import RandomAccess, file_errors
from images import image, layer
from payloads import payload_of


def test_a_pipe_whose_copy_is_too_large_for_a_file_leads_to_another_directory() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-m", "docker_charon", "inspect-payload"],
        input=payload_of({"app:1": image(layer(1, 900_000))}),
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    assert done.returncode == 1
    assert b"cannot hold a file of more than 300,000 bytes; set TMPDIR" in done.stderr


@pytest.mark.posix
def test_a_device_without_end_is_not_copied() -> None:
    with pytest.raises(PayloadError, match=r"/dev/zero is not a payload.*it begins with zeros"):
        inspect_payload("/dev/zero")
    with pytest.raises(PayloadError, match=r"/dev/null is not a payload.*it is empty"):
        inspect_payload("/dev/null")


@pytest.mark.posix
def test_a_payload_is_read_from_a_descriptor() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe:
        pipe.write(payload_of({"app:1": image(layer(1, 2000))}))
        pipe.close()
        assert [i.name for i in inspect_payload(f"/dev/fd/{reading}").images] == ["app:1"]


@pytest.mark.posix
def test_a_payload_is_written_to_a_descriptor_after_what_is_there(
    source: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1, 2000)))
    with (tmp_path / "output").open("wb") as output:
        output.write(b"before")
        output.flush()
        make_payload(source, f"/dev/fd/{output.fileno()}", ["app:1"], secure=False)
    content = (tmp_path / "output").read_bytes()
    assert content == b"before" + payload_of({"app:1": image(layer(1, 2000))})
    assert {path.name for path in tmp_path.iterdir()} == {"output", "source"}


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EIO, "the medium may be damaged"),
        (errno.ESTALE, "the network share was connected again"),
        (errno.EDQUOT, "free some space"),
        (errno.ENOSPC, "free some space"),
        (errno.EFBIG, "write it in volumes"),
        (errno.EACCES, ""),
    ],
)
def test_an_error_of_the_system_comes_with_what_to_do(number: int, hint: str) -> None:
    with pytest.raises(PayloadError) as raised, file_errors("cannot write the report"):
        raise OSError(number, os.strerror(number))
    assert raised.value.message == f"cannot write the report: {os.strerror(number)}"
    assert raised.value.hint.startswith(hint)
    assert bool(raised.value.hint) == bool(hint)


def test_a_medium_that_cannot_be_read_is_named_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: RandomAccess, buffer: memoryview, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "p.zip"
    path.write_bytes(payload_of({"app:1": image(layer(1, 2000))}))
    monkeypatch.setattr(RandomAccess, "readinto", failing)
    place = f"cannot read payload_descriptor.json in {path}: Input/output error"
    with pytest.raises(PayloadError, match=place):
        inspect_payload(path)
    findings = verify_payload(path)
    assert findings
    assert all(f" in {path}: Input/output error; the medium may" in line for line in findings)
