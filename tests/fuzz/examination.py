"""The examination of a payload: every function that reads one is called with it.

Each of them has to come to the right result or to an error of ours, which is one printable line.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from docker_charon import (
    DockerCharonError,
    inspect_payload,
    push_payload_to_registry,
    verify_payload,
)
from docker_charon.transfer import push
from fuzz.destination import Destination
from fuzz.line import is_line
from images import TestImage


def examine(
    content: bytes | Path,
    there: Mapping[str, TestImage],
    right: Collection[bytes] | None = None,
    jobs: int = 1,
) -> list[str]:
    """Return how verifying, inspecting and pushing a payload ended, one line each.

    ``there`` is what the destination has, and ``right`` are the manifests that a tag may get;
    ``None``: any, as long as it is complete. Raises ``AssertionError`` for a wrong end, and lets
    through what no caller should ever see.
    """

    def file() -> io.BytesIO | Path:
        return content if isinstance(content, Path) else io.BytesIO(content)

    findings: list[str] | None = None
    ends: list[str] = []
    with _collecting(ends):
        findings = verify_payload(file(), jobs=jobs, progress=False)
        assert all(map(is_line, findings)), "a finding that is not a line"
        ends.append("whole" if not findings else f"{len(findings)} findings")
    with _collecting(ends):
        summary = inspect_payload(file())
        json.loads(summary.as_json().encode())
        ends.append(f"{len(summary.images)} images")
    destination = Destination(there)
    with _collecting(ends), _standing_in(destination):
        pushed = push_payload_to_registry("destination.example", file(), jobs=jobs, progress=False)
        assert all(map(is_line, pushed))
        ends.append(f"{len(pushed)} pushed")
    new = {key: tag for key, tag in destination.tags.items() if destination.before.get(key) != tag}
    assert right is None or all(tag in right for tag in new.values()), "a tag of a wrong image"
    if findings == []:
        assert ends[1].endswith("images"), f"verified, but not inspected: {ends[1]}"
        assert ends[2].endswith("pushed"), f"verified, but not pushed: {ends[2]}"
    return ends


@contextmanager
def _collecting(ends: list[str]) -> Iterator[None]:
    try:
        yield
    except DockerCharonError as error:
        ends.append(str(error))
    assert all(map(is_line, ends)), "an error that is not a line"


@contextmanager
def _standing_in(destination: Destination) -> Iterator[None]:
    """Have a push find ``destination`` in place of a registry."""
    with (
        mock.patch.object(push, "open_registry", destination),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        yield
    assert all(is_line(str(one.message)) for one in warned), "a warning that is not a line"
