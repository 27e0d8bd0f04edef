"""Signals at random moments of a push that rebuilds layers, then the same push again."""

from __future__ import annotations

import io
import random
import signal
import time
from pathlib import Path

import pytest

import images
from delta_payloads import payload_with_deltas, release, version
from docker_charon import push_payload_to_registry
from faults import processes
from faults.cells import Sides
from faults.ends import ends
from proxy import Proxy

DURATION = 2.0
"""Seconds from the first request to the end, more or less."""
UPDATES = (2, 3, 4)


def processes_with(folder: Path) -> list[str]:
    """Return the processes whose folder for temporary files this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or belongs to somebody else
        if f"TMPDIR={folder}\0".encode() in environment:
            found.append(process.name)
    return found


@pytest.mark.parametrize(("seed", "how"), ends())
def test_a_push_that_rebuilds_layers_ends_right_whenever_it_was_ended(
    sides: Sides,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    how: signal.Signals,
) -> None:
    name, payload = f"rebuilt{seed}-{how.value}", tmp_path / "p.zip"
    images.put(sides.destination, f"{name}:1", release(1))
    wanted = {f"{name}:{n}": release(n) for n in UPDATES}
    deltas = {version(n): [version(1)] for n in UPDATES}
    payload.write_bytes(payload_with_deltas(wanted, deltas, {f"{name}:1": release(1)}, [name]))
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with Proxy(sides.destination) as proxy:
        process = processes.push(proxy.address, payload)
        processes.wait_until(lambda: proxy.requests)
        time.sleep(random.Random(seed).uniform(0, DURATION))  # noqa: S311  # repeatable on purpose
        process.send_signal(how)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, -how, 128 + how), stderr
    assert stderr.count("\n") <= 1
    for image, expected in wanted.items():
        assert images.read(sides.destination, image) in (None, expected.contents())
    processes.wait_until(lambda: not processes_with(folder))
    if how != signal.SIGKILL:
        assert [*folder.iterdir()] == []
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    file = io.BytesIO(payload.read_bytes())
    assert push_payload_to_registry(sides.destination, file, secure=False) == [*wanted]
    for image, expected in wanted.items():
        assert images.read(sides.destination, image) == expected.contents()
    assert [*folder.iterdir()] == []
