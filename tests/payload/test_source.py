"""Where payloads come from: here a pipe, whose copy has to fit somewhere."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import images
from docker_charon import PayloadError, inspect_payload, make_payload
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
