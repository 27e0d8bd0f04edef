"""The options about deliveries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import images
from command_line import charon
from docker_charon import make_inventory
from images import image, layer


@pytest.mark.parametrize("option", ["--ledger", "--lock", "--report"])
def test_what_is_written_beside_a_payload_is_not_written_to_standard_output(option: str) -> None:
    done = charon("make-payload", "-f", "p.zip", option, "-", "app:1")
    assert done.status == 2
    assert f"'{option}': - is not possible here: name a file" in done.stderr


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *(("make-payload", option) for option in ("-f", "--ledger", "--cacert", "--sign")),
        *(("push-payload", option) for option in ("-f", "--map-file", "--mirrors-dir")),
        ("make-payload", "--already-transferred-payload"),
        ("make-inventory", "-f"),
        ("serve", "--storage"),
    ],
)
def test_a_file_has_a_name(command: str, option: str) -> None:
    done = charon(command, option, "")
    assert done.status == 2
    assert "the name of the file is empty" in done.stderr


@pytest.mark.parametrize("option", ["--cacert", "--cert", "--key", "--sign", "--allowed-signers"])
def test_what_is_read_several_times_is_not_read_from_standard_input(option: str) -> None:
    done = charon("make-payload", "-f", "p.zip", option, "-", "app:1")
    assert done.status == 2
    assert f"'{option}': - is not possible here: name a file" in done.stderr


def test_an_earlier_payload_is_read_from_standard_input(source: str, tmp_path: Path) -> None:
    images.put(source, "app:1", image(layer(1, 50_000)))
    images.put(source, "app:2", image(layer(1, 50_000), layer(2)))
    make_inventory(source, tmp_path / "inventory.zip", ["app:1"], secure=False)
    make = ["make-payload", "-q", "-r", source, "-i", "-f", tmp_path / "p.zip", "app:2"]
    earlier = ["--already-transferred-payload", "-"]
    done = charon(*make, *earlier, stdin=(tmp_path / "inventory.zip").read_bytes())
    assert done.status == 0, done.stderr
    assert (tmp_path / "p.zip").stat().st_size < 50_000
    done = charon(*make, *earlier, "--images-from", "-")
    assert "cannot be the list of images and an earlier payload at once" in done.stderr


@pytest.mark.posix
def test_layer_deltas_are_not_made_with_what_can_be_read_only_once(
    source: str, tmp_path: Path
) -> None:
    images.put(source, "app:1", image(layer(1)))
    make_inventory(source, tmp_path / "inventory.zip", ["app:1"], secure=False)
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb") as pipe:
        pipe.write((tmp_path / "inventory.zip").read_bytes())
        pipe.close()
        make = ["make-payload", "-q", "-r", source, "-i", "-f", tmp_path / "p.zip", "app:1"]
        earlier = f"/dev/fd/{reading}"
        done = charon(*make, "--layer-deltas", "--already-transferred-payload", earlier)
    assert f"{earlier}, which has to be read twice: it is a pipe" in done.line


@pytest.mark.parametrize("option", ["--receipt", "--report"])
def test_what_is_written_by_a_push_is_not_written_to_standard_output(option: str) -> None:
    done = charon("push-payload", "-r", "registry.example", "-f", "p.zip", option, "-")
    assert done.status == 2
    assert f"'{option}': - is not possible here: name a file" in done.stderr
