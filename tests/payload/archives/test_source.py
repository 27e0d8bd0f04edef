"""Where payloads come from: here a pipe, whose copy has to fit somewhere."""

from __future__ import annotations

import resource
import subprocess
import sys

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
