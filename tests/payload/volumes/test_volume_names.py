"""Names of volumes: each leads back to its payload and its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from docker_charon.payload.volumes.volume_names import base_and_number, list_path, volume_path


@pytest.mark.parametrize(
    ("name", "base", "number"),
    [
        ("payload.zip", "payload.zip", None),
        ("payload.zip.001", "payload.zip", 1),
        ("payload.zip.999", "payload.zip", 999),
        ("payload.zip.000", "payload.zip.000", None),
        ("payload.zip.01", "payload.zip.01", None),
        ("payload.zip.0001", "payload.zip.0001", None),
        ("payload.zip.volumes.json", "payload.zip", None),
        (".001", ".001", None),
        (".volumes.json", ".volumes.json", None),
    ],
)
def test_a_name_tells_the_payload_and_the_number(name: str, base: str, number: int | None) -> None:
    assert base_and_number(Path("usb") / name) == (Path("usb") / base, number)


def test_the_names_of_volumes_lead_back_to_their_payload() -> None:
    base = Path("usb/payload.zip")
    assert base_and_number(volume_path(base, 7)) == (base, 7)
    assert base_and_number(list_path(base)) == (base, None)
